//! A kubelet on a simulated node, driven through the API and the clock, against what a real one did.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic to fail it")]

mod changes;
mod endings;
mod lives;
mod probes;
mod replay;
mod statuses;
mod support;
mod troubles;

use std::time::Duration;

use serde_json::{Value, json};
use support::Cluster;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn one(image: &str) -> Value {
    json!({"containers": [{"name": "main", "image": image}]})
}

/// What is different each time, written the same: times, ids, addresses.
fn steady(status: &Value) -> Value {
    match status {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let value = match name.as_str() {
                    "startTime" | "lastTransitionTime" | "startedAt" | "finishedAt" => "TIME".into(),
                    "containerID" | "imageID" if !value.as_str().unwrap_or_default().is_empty() => "ID".into(),
                    "podIP" | "hostIP" | "ip" => "ADDRESS".into(),
                    _ => steady(value),
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(steady).collect(),
        Value::String(text) if text.starts_with("kube-api-access-") => "kube-api-access".into(),
        other => other.clone(),
    }
}

/// A condition as the status lists it.
fn condition(name: &str, holds: bool, more: Value) -> Value {
    let mut condition = json!({"lastProbeTime": null, "lastTransitionTime": "TIME",
        "status": if holds { "True" } else { "False" }, "type": name});
    condition.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    condition
}

async fn raw_status(cluster: &Cluster, name: &str) -> Value {
    let path = podlab_client::Path::object::<k8s_openapi::api::core::v1::Pod>(Some("default"), name);
    let bytes = cluster.client.get_bytes(&path).await.expect("the Pod");
    serde_json::from_slice::<Value>(&bytes).expect("JSON")["status"].clone()
}

fn restarts(pod: &k8s_openapi::api::core::v1::Pod) -> i32 {
    let init = pod.status.as_ref().and_then(|status| status.init_container_statuses.clone()).unwrap_or_default();
    init.first().map_or(0, |one| one.restart_count)
}
