//! Nodes that are not heard of any more (k8s.io/kubernetes/pkg/controller/nodelifecycle).
//!
//! A kubelet renews its Lease every ten seconds. After fifty without, its node is Unknown: its conditions say so, a taint
//! keeps new Pods away, and the Pods on it count as not Ready. They go on running, for all anybody knows; whether they
//! are deleted is decided by their tolerations, in [`crate::taint_eviction`].
//!
//! What is remembered is when each node was last heard of, on our own clock: stamps are the node's. After a restart every
//! node has its fifty seconds again.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use podlab_client::cache::Key;
use podlab_client::events::{EventType, Recorder, reference};
use podlab_client::{Cache, Error, Object, Patch};
use serde_json::json;

use crate::context::Context;
use crate::objects::{is_ready, node_of, node_ready};
use crate::worker::settled;

/// How often nodes are looked at.
const PERIOD: Duration = Duration::from_secs(5);
/// How long a node may be silent (`--node-monitor-grace-period`).
const GRACE: Duration = Duration::from_secs(50);
/// Where nodes keep their Leases.
const LEASES: &str = "kube-node-lease";

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// The conditions that are Unknown once a node is silent.
const CONDITIONS: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];

/// The last that was heard of a node, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    renewed: Option<Timestamp>,
    heartbeat: Option<Timestamp>,
    at: Duration,
    ready: String,
}

impl Heard {
    /// Takes note of what a node shows now.
    #[must_use]
    pub fn update(before: Option<&Heard>, node: &Node, lease: Option<&Lease>, elapsed: Duration) -> Heard {
        let renewed = lease.and_then(|lease| lease.spec.as_ref()?.renew_time.as_ref()).map(|time| time.0);
        let heartbeat = ready_condition(node).and_then(|ready| ready.last_heartbeat_time.as_ref()).map(|time| time.0);
        let unchanged = before.filter(|before| before.renewed == renewed && before.heartbeat == heartbeat);
        let at = unchanged.map_or(elapsed, |before| before.at);
        Heard { renewed, heartbeat, at, ready: node_ready(node).to_owned() }
    }

    /// Whether the node has been silent for too long.
    #[must_use]
    pub fn is_silent(&self, elapsed: Duration) -> bool {
        elapsed.saturating_sub(self.at) > GRACE
    }
}

/// The conditions of a silent node; `None` when they say so already.
#[must_use]
pub fn silenced(node: &Node, now: Timestamp) -> Option<Vec<NodeCondition>> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let changed: Vec<NodeCondition> = CONDITIONS
        .iter()
        .filter_map(|kind| {
            let old = conditions.iter().find(|condition| condition.type_ == *kind);
            if old.is_some_and(|old| old.status == "Unknown") {
                return None;
            }
            let (reason, message) = match old {
                Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
                None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
            };
            Some(NodeCondition {
                type_: (*kind).to_owned(),
                status: "Unknown".to_owned(),
                reason: Some(reason.to_owned()),
                message: Some(message.to_owned()),
                last_heartbeat_time: old
                    .and_then(|old| old.last_heartbeat_time.clone())
                    .or_else(|| node.metadata.creation_timestamp.clone()),
                last_transition_time: Some(Time(now)),
            })
        })
        .collect();
    (!changed.is_empty()).then_some(changed)
}

/// The taints a node should have; `None` when it has them.
///
/// `all_lost`: not one node is Ready. Then it is more likely that we cannot hear than that all are gone, and nothing is
/// evicted.
#[must_use]
pub fn taints(node: &Node, all_lost: bool, now: Timestamp) -> Option<Vec<Taint>> {
    let spec = node.spec.as_ref();
    let old = spec.and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let key = match node_ready(node) {
        "True" => None,
        "False" => Some(NOT_READY),
        _ => Some(UNREACHABLE),
    };
    let cordoned = spec.and_then(|spec| spec.unschedulable).unwrap_or_default();
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    if let Some(key) = key {
        wanted.push((key, "NoSchedule"));
        if !all_lost {
            wanted.push((key, "NoExecute"));
        }
    }
    if cordoned {
        wanted.push(("node.kubernetes.io/unschedulable", "NoSchedule"));
    }
    let ours =
        |taint: &Taint| matches!(taint.key.as_str(), NOT_READY | UNREACHABLE | "node.kubernetes.io/unschedulable");
    let mut new: Vec<Taint> = old
        .iter()
        .filter(|taint| !ours(taint) || wanted.contains(&(taint.key.as_str(), taint.effect.as_str())))
        .cloned()
        .collect();
    for (key, effect) in wanted {
        if !new.iter().any(|taint| taint.key == key && taint.effect == effect) {
            new.push(Taint {
                key: key.to_owned(),
                effect: effect.to_owned(),
                time_added: Some(Time(now)),
                ..Taint::default()
            });
        }
    }
    (new != old).then_some(new)
}

/// Runs the controller.
pub async fn run(context: Context) {
    let nodes = context.cache::<Node>();
    let leases = context.cache::<Lease>();
    let pods = context.cache::<Pod>();
    tokio::join!(nodes.synced(), leases.synced(), pods.synced());
    let monitor = Monitor { recorder: context.recorder("node-controller"), context, nodes, leases, pods };
    monitor.run().await;
}

struct Monitor {
    context: Context,
    recorder: Recorder,
    nodes: Cache<Node>,
    leases: Cache<Lease>,
    pods: Cache<Pod>,
}

impl Monitor {
    async fn run(self) {
        let mut heard: HashMap<String, Heard> = HashMap::new();
        // Nodes are looked at when one changes, for its taints, and every few seconds, for those that do not.
        let mut changes = self.nodes.changes();
        loop {
            self.turn(&mut heard).await;
            let next = self.context.time.elapsed() + PERIOD;
            tokio::select! {
                _ = changes.next() => {}
                () = self.context.time.sleep_until(Some(next)) => {}
            }
        }
    }

    async fn turn(&self, heard: &mut HashMap<String, Heard>) {
        let nodes = self.nodes.all();
        let elapsed = self.context.time.elapsed();
        heard.retain(|name, _| nodes.iter().any(|node| node.name() == name));
        let all_lost = nodes.iter().all(|node| node_ready(node) != "True");
        for node in &nodes {
            let name = node.name();
            let lease = self.leases.get(LEASES, name);
            let before = heard.get(name);
            if before.is_none() {
                self.say(node, "RegisteredNode", format!("Node {name} event: Registered Node {name} in Controller"));
            }
            let after = Heard::update(before, node, lease.as_deref(), elapsed);
            let was_ready = before.is_some_and(|before| before.ready == "True");
            let silent = after.is_silent(elapsed);
            heard.insert(name.to_owned(), after);
            if let Err(error) = self.deal(node, silent, was_ready, all_lost).await {
                tracing::debug!(node = name, %error, "not brought up to date, will be tried again");
            }
        }
    }

    async fn deal(&self, node: &Node, silent: bool, was_ready: bool, all_lost: bool) -> Result<(), Error> {
        let now = self.context.time.now();
        let client = &self.context.client;
        if silent && let Some(conditions) = silenced(node, now) {
            let patch = Patch::Strategic(json!({ "status": { "conditions": conditions } }));
            let new = client.patch::<Node>(None, node.name(), &patch, Some("status")).await?;
            self.nodes.insert(new.clone());
            self.lost(&new).await?;
            return self.taint(&new, all_lost, now).await;
        }
        if was_ready && node_ready(node) == "False" {
            self.lost(node).await?;
        }
        self.taint(node, all_lost, now).await
    }

    async fn taint(&self, node: &Node, all_lost: bool, now: Timestamp) -> Result<(), Error> {
        let Some(taints) = taints(node, all_lost, now) else { return Ok(()) };
        // A merge patch replaces the list; the revision makes it fail if somebody else changed it meanwhile.
        let patch = Patch::Merge(json!({
            "metadata": { "resourceVersion": node.metadata.resource_version },
            "spec": { "taints": taints },
        }));
        let new = self.context.client.patch::<Node>(None, node.name(), &patch, None).await?;
        self.nodes.insert(new);
        Ok(())
    }

    /// A node is not Ready any more: neither are its Pods.
    async fn lost(&self, node: &Node) -> Result<(), Error> {
        self.say(node, "NodeNotReady", format!("Node {} status is now: NodeNotReady", node.name()));
        for pod in self.pods.all() {
            if node_of(&pod) != Some(node.name()) || !is_ready(&pod) {
                continue;
            }
            self.recorder.event(&reference(pod.as_ref()), EventType::Warning, "NodeNotReady", "Node is not ready");
            let condition =
                json!({ "type": "Ready", "status": "False", "lastTransitionTime": Time(self.context.time.now()) });
            let patch = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
            let key = Key::of(pod.as_ref());
            let result = self.context.client.patch::<Pod>(key.namespace.as_str(), &key.name, &patch, Some("status"));
            settled(result.await)?;
        }
        Ok(())
    }

    fn say(&self, node: &Node, reason: &str, message: String) {
        self.recorder.event(&reference(node), EventType::Normal, reason, &message);
    }
}

fn ready_condition(node: &Node) -> Option<&NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_deref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: &str, extra: serde_json::Value) -> Node {
        serde_json::from_value(json!({
            "metadata": { "name": "node1" },
            "spec": extra,
            "status": { "conditions": [
                { "type": "Ready", "status": ready, "lastHeartbeatTime": "2026-11-20T19:21:34Z" },
                { "type": "DiskPressure", "status": "False", "lastHeartbeatTime": "2026-11-20T19:21:34Z" },
            ] },
        }))
        .expect("a node")
    }

    fn lease(second: i64) -> Lease {
        let time = Timestamp::from_second(1_800_000_000 + second).expect("a time");
        serde_json::from_value(json!({ "metadata": { "name": "node1" }, "spec": { "renewTime":
            k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(time) } }))
        .expect("a lease")
    }

    #[test]
    fn a_node_is_silent_fifty_seconds_after_its_last_renewal() {
        let node = node("True", json!({}));
        let seconds = Duration::from_secs;
        let first = Heard::update(None, &node, Some(&lease(0)), seconds(100));
        let same = Heard::update(Some(&first), &node, Some(&lease(0)), seconds(150));
        assert!(!same.is_silent(seconds(150)));
        assert!(same.is_silent(seconds(151)));
        let renewed = Heard::update(Some(&same), &node, Some(&lease(10)), seconds(151));
        assert!(!renewed.is_silent(seconds(151)));
    }

    #[test]
    fn golden_126_a_silent_node_is_unknown_in_all_conditions() {
        let now = Timestamp::UNIX_EPOCH;
        let conditions = silenced(&node("True", json!({})), now).expect("something to say");
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready").expect("Ready");
        assert_eq!((ready.status.as_str(), ready.reason.as_deref()), ("Unknown", Some("NodeStatusUnknown")));
        assert_eq!(ready.message.as_deref(), Some("Kubelet stopped posting node status."));
        assert_eq!(
            ready.last_heartbeat_time,
            ready_condition(&node("True", json!({}))).and_then(|old| old.last_heartbeat_time.clone())
        );
        let never = conditions.iter().find(|condition| condition.type_ == "PIDPressure").expect("PIDPressure");
        assert_eq!(never.reason.as_deref(), Some("NodeStatusNeverUpdated"));
        let mut unknown = node("Unknown", json!({}));
        unknown.status.as_mut().expect("a status").conditions = Some(conditions);
        assert_eq!(silenced(&unknown, now), None);
    }

    #[test]
    fn taints_follow_the_condition_and_leave_others_alone() {
        let now = Timestamp::UNIX_EPOCH;
        let keys = |node: &Node, all_lost: bool| {
            let taints = taints(node, all_lost, now)?;
            Some(taints.iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect::<Vec<_>>().join(" "))
        };
        let special = json!({ "taints": [{ "key": "special", "value": "yes", "effect": "NoSchedule" }] });
        assert_eq!(keys(&node("True", special.clone()), false), None);
        assert_eq!(
            keys(&node("Unknown", special), false).as_deref(),
            Some(
                "special:NoSchedule node.kubernetes.io/unreachable:NoSchedule node.kubernetes.io/unreachable:NoExecute"
            )
        );
        assert_eq!(
            keys(&node("Unknown", json!({})), true).as_deref(),
            Some("node.kubernetes.io/unreachable:NoSchedule"),
            "golden 126: the only node"
        );
        let back = json!({ "taints": [{ "key": UNREACHABLE, "effect": "NoSchedule" }] });
        assert_eq!(keys(&node("True", back), false).as_deref(), Some(""));
        assert_eq!(
            keys(&node("True", json!({ "unschedulable": true })), false).as_deref(),
            Some("node.kubernetes.io/unschedulable:NoSchedule")
        );
    }
}
