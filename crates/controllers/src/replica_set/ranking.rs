//! Which Pods to lose first: those that do the least.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::objects::{is_ready, node_of, phase, ready_since};

/// An owner may say what a Pod's deletion costs.
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Sorts Pods as `ActivePodsWithRanks` in k8s.io/kubernetes/pkg/controller/controller_utils.go does.
pub(super) fn least_valuable_first(pods: &mut [&Arc<Pod>]) {
    let mut on_node: HashMap<String, usize> = HashMap::new();
    for pod in pods.iter() {
        *on_node.entry(node_of(pod).unwrap_or_default().to_owned()).or_default() += 1;
    }
    pods.sort_by_cached_key(|pod| {
        let progress = match phase(pod) {
            "Pending" => 0,
            "Unknown" => 1,
            _ => 2,
        };
        let cost = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(COST)?.parse::<i32>().ok());
        let siblings = on_node.get(node_of(pod).unwrap_or_default()).copied().unwrap_or_default();
        let restarts = pod
            .status
            .as_ref()
            .and_then(|status| status.container_statuses.as_ref())
            .and_then(|containers| containers.iter().map(|container| container.restart_count).max());
        (
            node_of(pod).is_some(),
            progress,
            is_ready(pod),
            cost.unwrap_or_default(),
            Reverse(siblings),
            // Ready for a short time, often restarted, young: less valuable.
            Reverse(ready_since(pod)),
            Reverse(restarts.unwrap_or_default()),
            Reverse(pod.metadata.creation_timestamp.as_ref().map(|time| time.0)),
            pod.metadata.name.clone(),
        )
    });
}
