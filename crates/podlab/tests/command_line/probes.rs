//! What probes cost while they wait.

use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use podlab_testkit::{Cluster, DEADLINE};
use serde_json::{Value, json};

use crate::plug::marker;
use crate::plug::rig::{Part, Rig, processes_with};

const PROBED: usize = 40;

/// A server that takes every connection and never says a word, each in a process with `marker` in its arguments; and
/// containers that are probed there, with all the time of the world.
fn pod(marker: &str) -> Value {
    let listen = format!("touch /tmp/{marker}; exec nc -ll -p 8080 -e tail -f /tmp/{marker}");
    let probed = (0..PROBED).map(|number| {
        json!({
            "name": format!("probed-{number}"), "image": "busybox", "command": ["sleep", "infinity"],
            "livenessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 3600},
        })
    });
    let server = json!({"name": "server", "image": "busybox", "command": ["sh", "-c", listen]});
    let containers: Vec<_> = std::iter::once(server).chain(probed).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "many", "namespace": "default"},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": containers},
    })
}

fn threads(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
}

#[test]
fn probes_that_wait_cost_no_thread() {
    let rig = Rig::of(Cluster::start());
    let marker = marker(&rig, "many");
    rig.create::<Pod>(&pod(&marker));
    rig.until_ready("many");
    let kubelet = rig.pids(Part::Kubelet)[0];
    // What starts a container works with files, on threads that go when there is nothing to do. Those of probes would stay.
    let end = Instant::now() + DEADLINE;
    loop {
        // One is the server itself.
        let (waiting, threads) = (processes_with(&marker).saturating_sub(1), threads(kubelet));
        if waiting == PROBED && threads < PROBED / 2 {
            break;
        }
        assert!(Instant::now() < end, "{waiting} probes wait, on {threads} threads\n{}", rig.cluster.logs());
    }
    rig.cluster.stop();
}
