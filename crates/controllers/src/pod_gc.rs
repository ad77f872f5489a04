//! Ends Pods that nobody else will end: bound to a node that is gone, deleted before they had a node, or finished long
//! ago in great number (k8s.io/kubernetes/pkg/controller/podgc).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use podlab_client::cache::Key;
use podlab_client::{DeleteOptions, Object};

use crate::context::Context;
use crate::objects::{has_ended, node_of};
use crate::worker::settled;

/// How often all Pods are looked at.
const PERIOD: Duration = Duration::from_secs(20);
/// A node has to be missing for so long: its object may be about to come.
const QUARANTINE: Duration = Duration::from_secs(40);
/// So many finished Pods are kept for their logs.
const MAX_FINISHED: usize = 12_500;

/// Decides which Pods to remove. `missing` remembers since when nodes that Pods name are not there.
#[must_use]
pub fn doomed(
    pods: &[Arc<Pod>],
    nodes: &HashSet<String>,
    missing: &mut BTreeMap<String, Duration>,
    elapsed: Duration,
) -> Vec<Key> {
    let named: HashSet<&str> = pods.iter().filter_map(|pod| node_of(pod)).collect();
    missing.retain(|name, _| named.contains(name.as_str()) && !nodes.contains(name));
    for name in named {
        if !nodes.contains(name) && !missing.contains_key(name) {
            missing.insert(name.to_owned(), elapsed);
        }
    }
    let lost = |pod: &Pod| {
        let since = node_of(pod).and_then(|node| missing.get(node));
        since.is_some_and(|since| elapsed.saturating_sub(*since) >= QUARANTINE)
    };
    let unplaced = |pod: &Pod| pod.metadata.deletion_timestamp.is_some() && node_of(pod).is_none();
    let mut finished: Vec<&Arc<Pod>> = pods.iter().filter(|pod| has_ended(pod)).collect();
    finished.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let surplus = finished.len().saturating_sub(MAX_FINISHED);
    let surplus: HashSet<Key> = finished.into_iter().take(surplus).map(|pod| Key::of(pod.as_ref())).collect();
    pods.iter()
        .filter(|pod| lost(pod) || unplaced(pod) || surplus.contains(&Key::of(pod.as_ref())))
        .map(|pod| Key::of(pod.as_ref()))
        .collect()
}

/// Runs the controller.
pub async fn run(context: Context) {
    let (pods, nodes) = (context.cache::<Pod>(), context.cache::<Node>());
    tokio::join!(pods.synced(), nodes.synced());
    let mut missing = BTreeMap::new();
    loop {
        let known = nodes.all().iter().map(|node| node.name().to_owned()).collect();
        for key in doomed(&pods.all(), &known, &mut missing, context.time.elapsed()) {
            // With no grace: there is no kubelet to grant it.
            let options = DeleteOptions::default().grace(0);
            let result = context.client.delete::<Pod>(key.namespace.as_str(), &key.name, &options).await;
            if let Err(error) = settled(result) {
                tracing::warn!(%key, %error, "a Pod without a node was not removed, will be tried again");
            }
        }
        context.time.sleep_until(Some(context.time.elapsed() + PERIOD)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, node: Option<&str>, deleted: bool) -> Arc<Pod> {
        let mut pod = serde_json::json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": { "containers": [], "nodeName": node },
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = "2026-11-20T10:00:00Z".into();
        }
        Arc::new(serde_json::from_value(pod).expect("a Pod"))
    }

    #[test]
    fn pods_of_a_lost_node_go_after_the_quarantine() {
        let pods = [pod("a", Some("node1"), false), pod("b", Some("node2"), false), pod("c", None, false)];
        let nodes = HashSet::from(["node1".to_owned()]);
        let mut missing = BTreeMap::new();
        assert_eq!(doomed(&pods, &nodes, &mut missing, Duration::from_secs(100)), []);
        assert_eq!(doomed(&pods, &nodes, &mut missing, Duration::from_secs(139)), []);
        assert_eq!(doomed(&pods, &nodes, &mut missing, Duration::from_secs(140)), [Key::new("default", "b")]);
        let both = HashSet::from(["node1".to_owned(), "node2".to_owned()]);
        assert_eq!(doomed(&pods, &both, &mut missing, Duration::from_secs(141)), [], "it came back");
        assert!(missing.is_empty());
    }

    #[test]
    fn a_deleted_pod_without_a_node_goes_at_once() {
        let pods = [pod("a", None, true), pod("b", Some("node1"), true)];
        let nodes = HashSet::from(["node1".to_owned()]);
        assert_eq!(doomed(&pods, &nodes, &mut BTreeMap::new(), Duration::ZERO), [Key::new("default", "a")]);
    }
}
