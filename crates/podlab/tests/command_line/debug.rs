//! `kubectl debug`: a container put into a Pod that runs, with or without a view of another one's processes; and a copy.

use podlab_testkit::{Cluster, Kubectl};

use crate::run_kuard;

/// What `ps` says in a container that `kubectl debug ARGUMENTS` adds, once it has ended.
fn processes(cluster: &Cluster, kubectl: &Kubectl, name: &str, arguments: &[&str]) -> String {
    let command = [&["debug", "kuard", "--image=busybox", "-c", name], arguments, &["--", "ps"]].concat();
    cluster.kubectl(kubectl, command).success();
    let ended =
        format!("jsonpath={{.status.ephemeralContainerStatuses[?(@.name==\"{name}\")].state.terminated.exitCode}}=0");
    cluster.kubectl(kubectl, ["wait", "pod/kuard", "--for", &ended, "--timeout=60s"]).success();
    cluster.kubectl(kubectl, ["logs", "kuard", "-c", name]).success().stdout
}

#[test]
fn a_debugger_sees_its_targets_processes_or_only_its_own() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    run_kuard(&cluster, &kubectl);
    let alone = processes(&cluster, &kubectl, "alone", &[]);
    assert!(alone.contains("ps") && !alone.contains("kuard"), "{alone}");
    let beside = processes(&cluster, &kubectl, "beside", &["--target=kuard"]);
    assert!(beside.contains("ps") && beside.contains("/kuard"), "{beside}");

    // Its end is nobody else's, and it is not started again.
    let pod = cluster.kubectl(&kubectl, ["get", "pod", "kuard", "-o", "json"]).success().stdout;
    let pod: serde_json::Value = serde_json::from_str(&pod).unwrap();
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
    assert_eq!(pod["status"]["containerStatuses"][0]["ready"], true);
    let debuggers = pod["status"]["ephemeralContainerStatuses"].as_array().unwrap();
    assert!(
        debuggers.iter().all(|one| one["restartCount"] == 0 && one["state"]["terminated"]["reason"] == "Completed")
    );
    let nobody = ["debug", "kuard", "--image=busybox", "-c", "lost", "--target=nobody", "--", "ps"];
    let refused = cluster.kubectl(&kubectl, nobody).failure(1);
    assert!(refused.stderr.contains("spec.ephemeralContainers[2].targetContainerName"), "{refused}");
    cluster.stop();
}

#[test]
fn a_copy_of_a_pod_has_the_debugger_beside_the_rest() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    run_kuard(&cluster, &kubectl);
    let copy = ["debug", "kuard", "--image=busybox", "--copy-to=copy", "--share-processes", "-c", "look", "--"];
    let command = ["sh", "-c", "until ps | grep -q '[/]kuard'; do :; done; ps; exec tail -f /dev/null"];
    cluster.kubectl(&kubectl, [&copy[..], &command].concat()).success();
    cluster.kubectl(&kubectl, ["wait", "--for=condition=Ready", "pod/copy", "--timeout=60s"]).success();
    let table = cluster.kubectl(&kubectl, ["get", "pod", "copy", "--no-headers"]).success().stdout;
    assert_eq!(table.split_whitespace().nth(1), Some("2/2"), "{table}");
    let followed = cluster.kubectl(&kubectl, ["exec", "copy", "-c", "look", "--", "ps"]).success().stdout;
    assert!(followed.contains("/kuard") && followed.contains("/pause"), "{followed}");
    cluster.stop();
}
