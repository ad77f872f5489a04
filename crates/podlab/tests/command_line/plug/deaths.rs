//! A row of the table in ARCHITECTURE.md each.

use k8s_openapi::api::core::v1::Pod;

use super::rig::{Part, Rig, alive, kill, processes_with, restarts};
use super::{marker, steady};

/// A cluster with one Pod, and what counts its processes.
fn with_a_pod() -> (Rig, Pod, String) {
    let rig = Rig::start();
    let marker = marker(&rig, "steady");
    rig.create::<Pod>(&steady("steady", &marker));
    let pod = rig.until_ready("steady");
    assert_eq!(processes_with(&marker), 1);
    (rig, pod, marker)
}

/// Kills the one process of a part, and waits until there is another.
#[track_caller]
fn kill_and_wait(rig: &Rig, part: Part) {
    let old = rig.pids(part);
    assert_eq!(old.len(), 1, "{part:?}");
    kill(old[0]);
    rig.until(&format!("another {part:?}"), |rig| rig.pids(part).iter().any(|pid| *pid != old[0]).then_some(()));
    rig.until_all_run();
}

fn id(pod: &Pod) -> Option<String> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()?.container_id.clone()
}

/// Waits until the Pod runs again after `count` restarts, once.
#[track_caller]
fn until_restarted(rig: &Rig, marker: &str, count: i32) -> Pod {
    rig.until_pod("steady", |pod| pod.filter(|pod| restarts(pod) == count).map(drop));
    let pod = rig.until_ready("steady");
    assert_eq!((restarts(&pod), processes_with(marker)), (count, 1));
    pod
}

#[test]
fn machine_everything_is_gone_and_the_next_start_is_a_reboot() {
    let (rig, _, marker) = with_a_pod();
    for count in 1..=2 {
        kill(rig.pids(Part::Machine)[0]);
        rig.cluster.settle();
        assert_eq!(processes_with(&marker), 0);
        rig.cluster.start_again();
        until_restarted(&rig, &marker, count);
    }
    // Everything at the same time, the janitor with it: what it would have swept, the next start sweeps, even while
    // the rest is still on its way out.
    for part in [Part::Janitor, Part::Machine, Part::Fabric, Part::ControlPlane] {
        // Some are quicker to notice that the machine has gone.
        rig.pids(part).into_iter().for_each(kill);
    }
    rig.cluster.start_again();
    until_restarted(&rig, &marker, 3);
    rig.cluster.stop();
}

#[test]
fn control_plane_pods_go_on_and_it_comes_back() {
    let (rig, before, marker) = with_a_pod();
    let address = rig.cluster.record().unwrap()["server"].clone();
    kill_and_wait(&rig, Part::ControlPlane);
    assert_eq!(rig.cluster.record().unwrap()["server"], address);
    let after = rig.until_ready("steady");
    assert_eq!((id(&after), restarts(&after)), (id(&before), 0), "the Pod was not touched");
    assert_eq!(processes_with(&marker), 1);
    rig.cluster.stop();
}

#[test]
fn fabric_its_nodes_end_with_it_and_are_booted_again() {
    let (rig, _, marker) = with_a_pod();
    let on_the_node = [rig.pids(Part::NodeInit), rig.pids(Part::Kubelet), rig.pids(Part::Supervisor)].concat();
    kill_and_wait(&rig, Part::Fabric);
    rig.until("another node", |rig| (rig.pids(Part::NodeInit).first()? != &on_the_node[0]).then_some(()));
    assert!(on_the_node.iter().all(|pid| !alive(*pid)), "{on_the_node:?}");
    until_restarted(&rig, &marker, 1);
    rig.cluster.stop();
}

#[test]
fn janitor_it_is_started_again_and_sweeps_in_the_end() {
    let (rig, before, marker) = with_a_pod();
    kill_and_wait(&rig, Part::Janitor);
    assert_eq!(id(&rig.until_ready("steady")), id(&before));
    kill(rig.pids(Part::Machine)[0]);
    rig.cluster.settle();
    assert_eq!(processes_with(&marker), 0);
    rig.cluster.gone();
}

#[test]
fn node_init_everything_on_it_is_gone_and_the_node_is_booted_again() {
    let (rig, _, marker) = with_a_pod();
    let fabric = rig.pids(Part::Fabric);
    let on_the_node = [rig.pids(Part::Kubelet), rig.pids(Part::Supervisor)].concat();
    kill_and_wait(&rig, Part::NodeInit);
    assert!(on_the_node.iter().all(|pid| !alive(*pid)), "{on_the_node:?}");
    assert_eq!(rig.pids(Part::Fabric), fabric, "the fabric goes on");
    until_restarted(&rig, &marker, 1);
    rig.cluster.stop();
}

#[test]
fn kubelet_pods_go_on_and_it_asks_what_runs() {
    let (rig, before, marker) = with_a_pod();
    let supervisor = rig.pids(Part::Supervisor);
    kill_and_wait(&rig, Part::Kubelet);
    // It is of use again: a Pod that is new runs, and the old one was not touched.
    rig.create::<Pod>(&steady("new", &format!("{marker}-new")));
    rig.until_ready("new");
    let after = rig.until_ready("steady");
    assert_eq!((id(&after), restarts(&after)), (id(&before), 0));
    assert_eq!(rig.logs(&after, "main"), [["begin"]], "nothing was started twice");
    assert!(supervisor.iter().all(|pid| rig.pids(Part::Supervisor).contains(pid)));
    rig.cluster.stop();
}

#[test]
fn supervisor_the_processes_of_its_pod_end_and_that_is_reported() {
    let (rig, before, marker) = with_a_pod();
    let node = rig.pids(Part::NodeInit);
    kill(rig.pids(Part::Supervisor)[0]);
    let pod = until_restarted(&rig, &marker, 1);
    let last = pod.status.unwrap().container_statuses.unwrap().remove(0).last_state.unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.container_id), (137, id(&before)));
    assert_eq!(rig.pids(Part::NodeInit), node, "the node goes on");
    rig.cluster.stop();
}
