//! What is killed comes back, or takes everything with it: as the picture in ARCHITECTURE.md says.

use podlab_testkit::{Cluster, Kubectl};
use rustix::process::{Pid, Signal, kill_process};

use crate::{run_kuard, wait_for_kuard};

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn killing_the_machine_leaves_nothing_and_the_next_start_is_a_reboot() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    run_kuard(&cluster, &kubectl);

    kill(cluster.machine().unwrap());
    cluster.settle();

    cluster.start_again();
    // A reboot restarts containers, and everything that was acknowledged is still known.
    let restarted = "--for=jsonpath={.status.containerStatuses[0].restartCount}=1";
    cluster.kubectl(&kubectl, ["wait", restarted, "pod/kuard", "--timeout=60s"]).success();
    wait_for_kuard(&cluster, &kubectl);
    cluster.stop();
}

#[test]
fn pods_go_on_without_the_control_plane_and_it_comes_back() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    run_kuard(&cluster, &kubectl);
    let started = ["get", "pod", "kuard", "-o", "jsonpath={.status.containerStatuses[0].state.running.startedAt}"];
    let before = cluster.kubectl(&kubectl, started).success().stdout;

    let control_plane = |record: serde_json::Value| record.pointer("/control_plane/pid").and_then(|pid| pid.as_i64());
    let old = cluster.record().and_then(control_plane).unwrap();
    kill(old.try_into().unwrap());
    // It says so once it serves again.
    cluster.wait_for_record(|record| {
        control_plane(record.clone()).is_some_and(|pid| pid != old) && record["server"].is_string()
    });
    assert_eq!(cluster.kubectl(&kubectl, started).success().stdout, before, "the Pod was not touched");
    cluster.stop();
}
