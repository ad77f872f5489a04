//! Ended at each of the named points between two effects of a Pod's start and end.

use k8s_openapi::api::core::v1::Pod;
use podlab_linux::fail_point;
use serde_json::json;

use super::rig::{Rig, processes_with, restarts};
use super::{marker, steady};

/// A Pod that passes every point in its life.
fn eventful(name: &str, marker: &str) -> serde_json::Value {
    let mut pod = steady(name, marker);
    pod["spec"]["terminationGracePeriodSeconds"] = json!(1);
    let hook = |what: &str| json!({"exec": {"command": ["sh", "-c", format!("echo {what} >> /data/hooks")]}});
    let container = &mut pod["spec"]["containers"][0];
    container["lifecycle"] = json!({"postStart": hook("started"), "preStop": hook("stopping")});
    container["imagePullPolicy"] = json!("IfNotPresent");
    container["readinessProbe"] = json!({"exec": {"command": ["true"]}, "periodSeconds": 1});
    // It ends when it is asked to.
    container["command"][2] = json!(format!(": {marker}; trap 'exit 0' TERM; echo begin; sleep 1000000 & wait"));
    pod
}

#[test]
fn a_pod_lives_and_ends_although_somebody_dies_between_any_two_effects() {
    let rig = Rig::start();
    let points = rig.cluster.directory().join("nodes/node1/fail-points");
    std::fs::create_dir_all(&points).unwrap();
    for (number, point) in fail_point::ALL.into_iter().enumerate() {
        let name = format!("pod-{number}");
        let marker = marker(&rig, &name);
        let armed = points.join(point);
        std::fs::write(&armed, "").unwrap();
        rig.create::<Pod>(&eventful(&name, &marker));
        let pod = rig.until_ready(&name);
        assert_eq!(processes_with(&marker), 1, "{point}: it runs once");
        if point.starts_with("kubelet-") {
            assert_eq!(restarts(&pod), 0, "{point}: the Pod did not notice");
            assert_eq!(rig.logs(&pod, "main"), [["begin"]], "{point}: nothing was started twice");
        }
        rig.delete(&name, 1);
        rig.until_gone(&name);
        rig.until_ended(&marker);
        rig.until(&format!("the end at {point}"), |_| (!armed.exists()).then_some(()));
        rig.until_all_run();
        assert!(!rig.pod_directory(&pod).exists(), "{point}: its directory is gone");
    }
    rig.cluster.stop();
}
