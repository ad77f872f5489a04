//! When a cluster is of use: a node is Ready, and the namespace `default` takes Pods.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, ListOptions};

/// Calls `ready` once a node is Ready and Pods can be created. `since` is when this control plane started.
///
/// The store may say Ready from before a reboot. A kubelet that starts reports its node and then renews its lease; so the
/// word of a node counts whose lease was renewed since. (Its conditions would not do: their stamps are whole seconds.)
pub(super) async fn watch(client: Client, since: Timestamp, ready: impl FnOnce(String)) {
    let all = ListOptions::default;
    let nodes = Cache::<Node>::spawn(client.clone(), None, all(), Sleeper::wall());
    let leases = Cache::<Lease>::spawn(client.clone(), Some(LEASES.into()), all(), Sleeper::wall());
    let accounts = all().fields("metadata.name=default");
    let accounts = Cache::<ServiceAccount>::spawn(client, Some("default".into()), accounts, Sleeper::wall());
    let mut changed = (nodes.version(), leases.version(), accounts.version());
    loop {
        changed.0.mark_unchanged();
        changed.1.mark_unchanged();
        changed.2.mark_unchanged();
        // Without its service account, every Pod of the namespace is refused.
        let usable = accounts.get("default", "default").is_some();
        let node = nodes.all().into_iter().find(|node| {
            let lease = leases.get(LEASES, node.metadata.name.as_deref().unwrap_or_default());
            is_ready(node) && lease.is_some_and(|lease| was_renewed(&lease, since))
        });
        if let (true, Some(node)) = (usable, node) {
            return ready(node.metadata.name.clone().unwrap_or_default());
        }
        let alive = tokio::select! {
            alive = changed.0.changed() => alive,
            alive = changed.1.changed() => alive,
            alive = changed.2.changed() => alive,
        };
        if alive.is_err() {
            return;
        }
    }
}

/// Where kubelets renew their leases.
const LEASES: &str = "kube-node-lease";

pub(super) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn was_renewed(lease: &Lease, since: Timestamp) -> bool {
    let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref());
    renewed.is_some_and(|renewed| renewed.0 >= since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_from_before_a_reboot_does_not_count() {
        let since: Timestamp = "2026-11-20T12:00:00.5Z".parse().unwrap();
        let lease = |renewed: &str| -> Lease {
            serde_json::from_value(serde_json::json!({"metadata": {}, "spec": {"renewTime": renewed}})).unwrap()
        };
        assert!(was_renewed(&lease("2026-11-20T12:00:00.500001Z"), since));
        assert!(!was_renewed(&lease("2026-11-20T12:00:00.499999Z"), since), "the same second, an earlier life");
        assert!(!was_renewed(&Lease::default(), since));
    }

    #[test]
    fn only_true_is_ready() {
        let node = |status: &str| -> Node {
            let conditions = [serde_json::json!({"type": "Ready", "status": status})];
            serde_json::from_value(serde_json::json!({"metadata": {}, "status": {"conditions": conditions}})).unwrap()
        };
        assert!(is_ready(&node("True")));
        assert!(!is_ready(&node("Unknown")));
        assert!(!is_ready(&Node::default()));
    }
}
