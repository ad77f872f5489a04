//! Two state directories are two clusters.

use podlab_testkit::{Cluster, Kubectl};

use crate::run_kuard;

#[test]
fn two_directories_are_two_clusters() {
    let Some(kubectl) = Kubectl::any() else { return };
    let (one, two) = (Cluster::start(), Cluster::start());
    run_kuard(&one, &kubectl);
    let nothing = two.kubectl(&kubectl, ["get", "pods"]).success();
    assert_eq!(nothing.stderr, "No resources found in default namespace.\n");
    two.stop();
    one.kubectl(&kubectl, ["get", "pod", "kuard"]).success();
    one.stop();
}
