//! Pods.

use podlab_api::json::{at, integer, list, text};
use serde_json::Value;

use super::container::{Place, containers};
use super::parts::{annotations, controller, events, labels, terminating, time, tolerations};
use super::volume::volumes;
use super::{About, Page};

pub(super) async fn describe(page: &mut Page, about: &About<'_>, pod: &Value) {
    let events_of = about.events_of(pod, None).await;
    body(page, pod, about.now);
    events(page, events_of, about.now);
}

fn body(page: &mut Page, pod: &Value, now: jiff::Timestamp) {
    let (spec, status) = (at(pod, &["spec"]), at(pod, &["status"]));
    page.line(0, format!("Name:\t{}", text(pod, &["metadata", "name"])));
    page.line(0, format!("Namespace:\t{}", text(pod, &["metadata", "namespace"])));
    if let Some(priority) = at(spec, &["priority"]).as_i64() {
        page.line(0, format!("Priority:\t{priority}"));
    }
    optional(page, "Priority Class Name", text(spec, &["priorityClassName"]));
    optional(page, "Runtime Class Name", text(spec, &["runtimeClassName"]));
    optional(page, "Service Account", text(spec, &["serviceAccountName"]));
    match text(spec, &["nodeName"]) {
        "" => page.line(0, "Node:\t<none>"),
        node => page.line(0, format!("Node:\t{node}/{}", text(status, &["hostIP"]))),
    }
    if !at(status, &["startTime"]).is_null() {
        page.line(0, format!("Start Time:\t{}", time(at(status, &["startTime"]))));
    }
    labels(page, "Labels", at(pod, &["metadata", "labels"]));
    annotations(page, "Annotations", at(pod, &["metadata", "annotations"]));
    let phase = text(status, &["phase"]);
    match terminating(pod, now).filter(|_| !matches!(phase, "Failed" | "Succeeded")) {
        Some(ending) => {
            page.line(0, format!("Status:\t{ending}"));
            let grace = integer(pod, &["metadata", "deletionGracePeriodSeconds"]);
            page.line(0, format!("Termination Grace Period:\t{grace}s"));
        }
        None => page.line(0, format!("Status:\t{phase}")),
    }
    optional(page, "Reason", text(status, &["reason"]));
    optional(page, "Message", text(status, &["message"]));
    optional(page, "SeccompProfile", text(spec, &["securityContext", "seccompProfile", "type"]));
    optional(page, "LocalhostProfile", text(spec, &["securityContext", "seccompProfile", "localhostProfile"]));
    page.line(0, format!("IP:\t{}", text(status, &["podIP"])));
    let addresses = list(status, &["podIPs"]);
    if addresses.is_empty() {
        page.line(0, "IPs:\t<none>");
    } else {
        page.line(0, "IPs:");
        for address in addresses {
            page.line(1, format!("IP:\t{}", text(address, &["ip"])));
        }
    }
    if let Some(owner) = controller(pod) {
        page.line(0, format!("Controlled By:\t{owner}"));
    }
    optional(page, "NominatedNodeName", text(status, &["nominatedNodeName"]));
    for (title, field, statuses) in [
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
        ("Ephemeral Containers", "ephemeralContainers", "ephemeralContainerStatuses"),
    ] {
        let all = list(spec, &[field]);
        if !all.is_empty() || field == "containers" {
            containers(page, title, all, &Place { pod: Some(pod), statuses: list(status, &[statuses]), space: "" });
        }
    }
    gates(page, spec, status);
    let conditions = list(status, &["conditions"]);
    if !conditions.is_empty() {
        page.line(0, "Conditions:\n  Type\tStatus");
        for condition in conditions {
            page.line(1, format!("{} \t{} ", text(condition, &["type"]), text(condition, &["status"])));
        }
    }
    volumes(page, list(spec, &["volumes"]), "");
    page.line(0, format!("QoS Class:\t{}", text(status, &["qosClass"])));
    labels(page, "Node-Selectors", at(spec, &["nodeSelector"]));
    tolerations(page, "Tolerations", list(spec, &["tolerations"]));
    spread(page, "", list(spec, &["topologySpreadConstraints"]));
}

pub(super) fn optional(page: &mut Page, title: &str, value: &str) {
    if !value.is_empty() {
        page.line(0, format!("{title}:\t{value}"));
    }
}

fn gates(page: &mut Page, spec: &Value, status: &Value) {
    let gates = list(spec, &["readinessGates"]);
    if gates.is_empty() {
        return;
    }
    page.line(0, "Readiness Gates:\n  Type\tStatus");
    for gate in gates {
        let kind = text(gate, &["conditionType"]);
        let met = list(status, &["conditions"]).iter().find(|condition| text(condition, &["type"]) == kind);
        page.line(1, format!("{kind} \t{} ", met.map_or("<none>", |condition| text(condition, &["status"]))));
    }
}

pub(super) fn spread(page: &mut Page, space: &str, constraints: &[Value]) {
    if constraints.is_empty() {
        return;
    }
    let mut constraints: Vec<&Value> = constraints.iter().collect();
    constraints.sort_by_key(|constraint| text(constraint, &["topologyKey"]));
    page.put(0, format!("{space}Topology Spread Constraints:\t"));
    for (index, constraint) in constraints.into_iter().enumerate() {
        let indent = if index == 0 { "" } else { "\t" };
        let [key, otherwise] = ["topologyKey", "whenUnsatisfiable"].map(|field| text(constraint, &[field]));
        let skew = integer(constraint, &["maxSkew"]);
        let selector = match at(constraint, &["labelSelector"]) {
            Value::Null => String::new(),
            selector => format!(" for selector {}", super::parts::selector(selector)),
        };
        page.line(0, format!("{indent}{key}:{otherwise} when max skew {skew} is exceeded{selector}"));
    }
}
