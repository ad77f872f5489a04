//! When a cluster is of use: a node is Ready, and the namespace `default` takes Pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, ListOptions};

/// The nodes as the store knew them before any kubelet could write: each name with its revision.
///
/// The store may say Ready from before a reboot.
pub(super) struct Before {
    revisions: BTreeMap<Option<String>, Option<String>>,
    /// Seconds since the epoch; heartbeats have whole seconds.
    since: i64,
}

impl Before {
    /// # Errors
    ///
    /// When the nodes cannot be listed.
    pub(super) async fn read(client: &Client) -> Result<Self, podlab_client::Error> {
        let since = jiff::Timestamp::now().as_second();
        let nodes = client.list::<Node>(None, &ListOptions::default()).await?.items;
        let revisions = nodes.into_iter().map(|node| (node.metadata.name, node.metadata.resource_version)).collect();
        Ok(Self { revisions, since })
    }

    /// Whether a kubelet of this life has said Ready: it renews its conditions when it starts.
    fn is_ready_since(&self, node: &Node) -> bool {
        let written = self.revisions.get(&node.metadata.name) != Some(&node.metadata.resource_version);
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        written
            && conditions.into_iter().flatten().any(|condition| {
                let beat = condition.last_heartbeat_time.as_ref().map_or(i64::MIN, |time| time.0.as_second());
                condition.type_ == "Ready" && condition.status == "True" && beat >= self.since
            })
    }
}

/// Calls `ready` once a node is Ready *now* and Pods can be created.
pub(super) async fn watch(client: Client, before: Before, ready: impl FnOnce(String)) {
    let nodes = Cache::<Node>::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
    let accounts = ListOptions::default().fields("metadata.name=default");
    let accounts = Cache::<ServiceAccount>::spawn(client, Some("default".into()), accounts, Sleeper::wall());
    let (mut nodes_changed, mut accounts_changed) = (nodes.version(), accounts.version());
    loop {
        nodes_changed.mark_unchanged();
        accounts_changed.mark_unchanged();
        // Without its service account, every Pod of the namespace is refused.
        let usable = accounts.get("default", "default").is_some();
        let node = nodes.all().into_iter().find(|node| before.is_ready_since(node));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node(revision: &str, status: &str, heartbeat: &str) -> Node {
        let condition = serde_json::json!({"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat});
        let metadata = serde_json::json!({"name": "node1", "resourceVersion": revision});
        serde_json::from_value(serde_json::json!({"metadata": metadata, "status": {"conditions": [condition]}}))
            .unwrap()
    }

    #[test]
    fn what_was_ready_before_a_reboot_is_not_ready_yet() {
        let since = "2026-11-20T12:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        let revisions = BTreeMap::from([(Some("node1".to_owned()), Some("7".to_owned()))]);
        let before = Before { revisions, since };
        let ready = |revision, status, heartbeat| before.is_ready_since(&node(revision, status, heartbeat));
        assert!(ready("8", "True", "2026-11-20T12:00:00Z"));
        assert!(!ready("8", "True", "2026-11-20T11:59:59Z"), "touched, but not by its kubelet");
        assert!(!ready("7", "True", "2026-11-20T12:00:00Z"), "from an earlier life within the same second");
        assert!(!ready("8", "Unknown", "2026-11-20T12:00:01Z"));
        assert!(!before.is_ready_since(&Node::default()));
    }
}
