//! Pods leave a node with a NoExecute taint that they do not tolerate, or no longer
//! (k8s.io/kubernetes/pkg/controller/tainteviction). Every Pod tolerates a lost node for five minutes, unless it says
//! otherwise: admission adds those tolerations.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use podlab_client::cache::Key;
use podlab_client::events::{EventType, reference};
use podlab_client::{DeleteOptions, Object};
use podlab_runtime::scheduler::filters::tolerated;

use crate::context::Context;
use crate::objects::node_of;
use crate::queue::WorkQueue;
use crate::worker::{Again, feed, itself, settled, work};

/// When a Pod has to leave a node with these taints; `None` if it may stay.
#[must_use]
pub fn deadline(taints: &[Taint], tolerations: &[Toleration], now: Timestamp) -> Option<Timestamp> {
    taints
        .iter()
        .filter(|taint| taint.effect == "NoExecute")
        .filter_map(|taint| {
            let since = taint.time_added.as_ref().map_or(now, |time| time.0);
            let matching = tolerations.iter().filter(|one| tolerated(taint, std::slice::from_ref(one)));
            let mut limits = matching.map(|toleration| toleration.toleration_seconds).peekable();
            if limits.peek().is_none() {
                return Some(now);
            }
            // Of several tolerations for one taint the shortest counts; without a limit it is for ever.
            let shortest = limits.flatten().min()?;
            since.checked_add(SignedDuration::from_secs(shortest.max(0))).ok()
        })
        .min()
}

/// Runs the controller.
pub async fn run(context: Context) {
    let queue = WorkQueue::default();
    let (pods, nodes) = (context.cache::<Pod>(), context.cache::<Node>());
    tokio::join!(pods.synced(), nodes.synced());
    let recorder = context.recorder("taint-eviction-controller");
    let deal = async |key: Key| {
        let Some(pod) = pods.get_key(&key) else { return Ok(Again::No) };
        let Some(node) = node_of(&pod).and_then(|name| nodes.get(None, name)) else { return Ok(Again::No) };
        if pod.metadata.deletion_timestamp.is_some() {
            return Ok(Again::No);
        }
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        let now = context.time.now();
        let Some(deadline) = deadline(taints, tolerations, now) else { return Ok(Again::No) };
        let wait = Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
        if !wait.is_zero() {
            return Ok(Again::After(wait));
        }
        let message = format!("Marking for deletion Pod {key}");
        recorder.event(&reference(pod.as_ref()), EventType::Normal, "TaintManagerEviction", &message);
        let options = DeleteOptions::of_uid(pod.uid());
        settled(context.client.delete::<Pod>(key.namespace.as_str(), &key.name, &options).await)?;
        Ok(Again::No)
    };
    let on_node = |name: &str| -> Vec<Key> {
        pods.all().iter().filter(|pod| node_of(pod) == Some(name)).map(|pod| Key::of(pod.as_ref())).collect()
    };
    tokio::join!(
        feed(pods.clone(), &queue, itself),
        feed(nodes.clone(), &queue, |change| {
            // Nodes change with every heartbeat; only their taints matter here, and those are few.
            let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone());
            let old = change.old.as_deref().and_then(taints);
            let new = change.new.as_deref().and_then(taints);
            if old == new { Vec::new() } else { on_node(&change.key.name) }
        }),
        work("taint eviction", &queue, &context.time, deal),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_shortest_toleration_of_the_most_urgent_taint_counts() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().expect("a time");
        let since = "2026-11-20T09:59:00Z";
        let taint = json!({ "key": "lost", "effect": "NoExecute", "timeAdded": since });
        let minutes = |minutes: i64| Some(now + SignedDuration::from_mins(minutes));
        let table = [
            (json!([]), Some(now)),
            (json!([{ "key": "lost", "operator": "Exists" }]), None),
            (json!([{ "key": "lost", "operator": "Exists", "tolerationSeconds": 300 }]), minutes(4)),
            (
                json!([{ "operator": "Exists", "tolerationSeconds": 120 },
                       { "key": "lost", "operator": "Exists", "tolerationSeconds": 300 }]),
                minutes(1),
            ),
            (json!([{ "key": "lost", "operator": "Exists", "tolerationSeconds": -1 }]), minutes(-1)),
            (json!([{ "key": "other", "operator": "Exists" }]), Some(now)),
        ];
        let taints = [serde_json::from_value::<Taint>(taint).expect("a taint")];
        for (tolerations, expected) in table {
            let list: Vec<Toleration> = serde_json::from_value(tolerations.clone()).expect("tolerations");
            assert_eq!(deadline(&taints, &list, now), expected, "{tolerations}");
        }
        assert_eq!(deadline(&[], &[], now), None);
    }
}
