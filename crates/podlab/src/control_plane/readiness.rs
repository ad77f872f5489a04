//! When a cluster is of use: a node is Ready, and the namespace `default` takes Pods.

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, ListOptions};

/// Calls `ready` once a node is Ready *now* and Pods can be created.
///
/// The store may say Ready from before a reboot. A kubelet renews its conditions when it starts, so only a heartbeat
/// that is not older than this control plane counts.
pub(super) async fn watch(client: Client, ready: impl FnOnce(String)) {
    // Heartbeats have whole seconds.
    let since = jiff::Timestamp::now().as_second();
    let nodes = Cache::<Node>::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
    let accounts = ListOptions::default().fields("metadata.name=default");
    let accounts = Cache::<ServiceAccount>::spawn(client, Some("default".into()), accounts, Sleeper::wall());
    let (mut nodes_changed, mut accounts_changed) = (nodes.version(), accounts.version());
    loop {
        nodes_changed.mark_unchanged();
        accounts_changed.mark_unchanged();
        // Without its service account, every Pod of the namespace is refused.
        let usable = accounts.get("default", "default").is_some();
        let node = nodes.all().into_iter().find(|node| is_ready_since(node, since));
        if let (true, Some(node)) = (usable, node) {
            return ready(node.metadata.name.clone().unwrap_or_default());
        }
        let changed = tokio::select! {
            changed = nodes_changed.changed() => changed,
            changed = accounts_changed.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Whether the kubelet said so at or after `since` (seconds since the epoch).
fn is_ready_since(node: &Node, since: i64) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| {
        let beat = condition.last_heartbeat_time.as_ref().map_or(i64::MIN, |time| time.0.as_second());
        condition.type_ == "Ready" && condition.status == "True" && beat >= since
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(status: &str, heartbeat: &str) -> Node {
        let condition = serde_json::json!({"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat});
        let node = serde_json::json!({"metadata": {"name": "node1"}, "status": {"conditions": [condition]}});
        serde_json::from_value(node).unwrap()
    }

    #[test]
    fn what_was_ready_before_a_reboot_is_not_ready_yet() {
        let since = "2026-11-20T12:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        assert!(is_ready_since(&node("True", "2026-11-20T12:00:00Z"), since));
        assert!(!is_ready_since(&node("True", "2026-11-20T11:59:59Z"), since), "from an earlier life");
        assert!(!is_ready_since(&node("Unknown", "2026-11-20T12:00:01Z"), since));
        assert!(!is_ready_since(&Node::default(), since));
    }
}
