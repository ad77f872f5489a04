//! Rows of Nodes and Namespaces.

use jiff::Timestamp;
use serde_json::Value;

use crate::json::{at, entries, list, text, truth};
use crate::registry::cells::{self, AGE, NAME, column, or_none, wide};
use crate::registry::{Column, Doc};

pub(in crate::registry) const NODE_COLUMNS: &[Column] = &[
    NAME,
    column("Status", Doc::Text("The status of the node")),
    column("Roles", Doc::Text("The roles of the node")),
    AGE,
    column("Version", Doc::Field("io.k8s.api.core.v1.NodeSystemInfo", "kubeletVersion")),
    wide("Internal-IP", Doc::Field("io.k8s.api.core.v1.NodeStatus", "addresses")),
    wide("External-IP", Doc::Field("io.k8s.api.core.v1.NodeStatus", "addresses")),
    wide("OS-Image", Doc::Field("io.k8s.api.core.v1.NodeSystemInfo", "osImage")),
    wide("Kernel-Version", Doc::Field("io.k8s.api.core.v1.NodeSystemInfo", "kernelVersion")),
    wide("Container-Runtime", Doc::Field("io.k8s.api.core.v1.NodeSystemInfo", "containerRuntimeVersion")),
];

pub(in crate::registry) fn node(node: &Value, now: Timestamp) -> Vec<Value> {
    let ready = list(node, &["status", "conditions"]).iter().find(|condition| text(condition, &["type"]) == "Ready");
    let mut status = match ready {
        Some(condition) if text(condition, &["status"]) == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if truth(node, &["spec", "unschedulable"]) {
        status.push_str(",SchedulingDisabled");
    }
    let info = at(node, &["status", "nodeInfo"]);
    let or_unknown = |key: &str| match text(info, &[key]) {
        "" => Value::from("<unknown>"),
        known => known.into(),
    };
    let address = |kind: &str| {
        let addresses = list(node, &["status", "addresses"]);
        let found = addresses.iter().find(|address| text(address, &["type"]) == kind);
        or_none(found.map_or("", |address| text(address, &["address"])))
    };
    vec![
        cells::name(node),
        status.into(),
        or_none(&roles(node)),
        cells::age(node, now),
        text(info, &["kubeletVersion"]).into(),
        address("InternalIP"),
        address("ExternalIP"),
        or_unknown("osImage"),
        or_unknown("kernelVersion"),
        or_unknown("containerRuntimeVersion"),
    ]
}

/// The roles that labels give a node, in alphabetical order.
fn roles(node: &Value) -> String {
    let mut roles: Vec<&str> = entries(node, &["metadata", "labels"])
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => (!role.is_empty()).then_some(role),
            None if key == "kubernetes.io/role" => value.as_str().filter(|role| !role.is_empty()),
            None => None,
        })
        .collect();
    roles.sort_unstable();
    roles.dedup();
    roles.join(",")
}

pub(in crate::registry) const NAMESPACE_COLUMNS: &[Column] =
    &[NAME, column("Status", Doc::Text("The status of the namespace")), AGE];

pub(in crate::registry) fn namespace(namespace: &Value, now: Timestamp) -> Vec<Value> {
    vec![cells::name(namespace), text(namespace, &["status", "phase"]).into(), cells::age(namespace, now)]
}
