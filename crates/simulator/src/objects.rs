//! The objects of a simulated cluster: the API's own types.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use podlab_runtime::backend::simulated::Program;
use serde_json::json;

use crate::random::Random;

/// What the images of the simulated containers do.
pub(crate) fn program(image: &str) -> Program {
    match image {
        "ends" => Program::ending(Duration::from_secs(40), 0),
        "crashes" => Program::ending(Duration::from_secs(7), 1),
        "stubborn" => Program { ends_on_term: None, ..Program::default() },
        "sick" => {
            let from = Duration::from_secs(20);
            Program { unhealthy: vec![(from, from + Duration::from_secs(300))], ..Program::default() }
        }
        _ => Program { ends_on_term: Some((Duration::from_millis(300), 0)), ..Program::default() },
    }
}

/// How large a simulated node is.
pub(crate) const NODE_CPU: i64 = 8000;
pub(crate) const NODE_MEMORY: i64 = 32 << 30;

pub(crate) fn node_name(index: usize) -> String {
    format!("node{}", index + 1)
}

#[expect(clippy::expect_used, reason = "the text is ours")]
pub(crate) fn node(index: usize, now: Timestamp) -> Node {
    let name = node_name(index);
    let zone = format!("zone{}", index % 3 + 1);
    let amounts = json!({ "cpu": format!("{NODE_CPU}m"), "memory": NODE_MEMORY.to_string(), "pods": "110" });
    serde_json::from_value(json!({
        "metadata": { "name": name, "uid": name, "creationTimestamp": stamp(now),
            "labels": { "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone } },
        "spec": {},
        "status": { "capacity": amounts, "allocatable": amounts, "conditions": [ready(now)] },
    }))
    .expect("a node")
}

fn ready(now: Timestamp) -> serde_json::Value {
    json!({ "type": "Ready", "status": "True", "reason": "KubeletReady",
        "message": "kubelet is posting ready status", "lastHeartbeatTime": stamp(now), "lastTransitionTime": stamp(now) })
}

/// The conditions that a kubelet reports.
#[expect(clippy::expect_used, reason = "the text is ours")]
pub(crate) fn conditions(now: Timestamp) -> Vec<k8s_openapi::api::core::v1::NodeCondition> {
    vec![serde_json::from_value(ready(now)).expect("a condition")]
}

/// A set of Pods with requests by chance.
#[expect(clippy::expect_used, reason = "the text is ours")]
pub(crate) fn set(index: usize, replicas: usize, faults: bool, random: &mut Random) -> ReplicaSet {
    let name = format!("set{}", index + 1);
    let cpu = [50, 100, 150, 250][random.below(4)];
    let memory = [64, 128, 256, 512][random.below(4)];
    // Where nothing is to go wrong, programs do not either: what is measured then is the cluster.
    let image =
        if faults { ["runs", "runs", "runs", "stubborn", "crashes", "sick", "ends"][random.below(7)] } else { "runs" };
    let probe = json!({ "httpGet": { "path": "/", "port": 80 }, "periodSeconds": 10, "timeoutSeconds": 1,
        "successThreshold": 1, "failureThreshold": 3 });
    let container = json!({ "name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
        "resources": { "requests": { "cpu": format!("{cpu}m"), "memory": format!("{memory}Mi") } },
        "livenessProbe": if image == "sick" { probe } else { json!(null) } });
    let lost = |key: &str| json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 });
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "default", "uid": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": {
                    "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "containers": [container],
                    "tolerations": [lost("node.kubernetes.io/not-ready"), lost("node.kubernetes.io/unreachable")],
                },
            },
        },
    }))
    .expect("a set")
}

/// When a Pod was created, and by which name and uid: what the API server adds.
pub(crate) fn complete(mut pod: Pod, number: u64, now: Timestamp) -> Pod {
    let prefix = pod.metadata.generate_name.take().unwrap_or_default();
    pod.metadata.name = Some(format!("{prefix}{number:05x}"));
    pod.metadata.uid = Some(format!("uid-{number:08x}"));
    pod.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(whole(now)));
    pod.status.get_or_insert_default().phase = Some("Pending".to_owned());
    pod
}

/// Stamps of objects are in whole seconds.
pub(crate) fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn stamp(time: Timestamp) -> String {
    whole(time).to_string()
}
