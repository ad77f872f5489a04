//! metrics.k8s.io: what the kubelets measure, in the shape `kubectl top` reads.

use http::StatusCode;
use podlab_api::error::ApiError;
use podlab_api::selector::LabelSelector;
use serde_json::{Value, json};

use super::negotiate::Encoding;
use super::object::{not_found, stamp, text};
use super::respond::{self, Shape};
use super::{Answer, Call, Target, Verb};
use crate::store::{GroupResource, Range};
use crate::streaming;

const NODES: GroupResource = GroupResource { group: "", resource: "nodes" };
const PODS: GroupResource = GroupResource { group: "", resource: "pods" };
/// Over how much time the processor's use is measured, as the answer says.
const WINDOW: &str = "10s";

pub(super) async fn serve(call: &mut Call, target: &Target, verb: Verb) -> Answer {
    if !matches!(verb, Verb::Get | Verb::List) {
        return Err(ApiError::MethodNotAllowed);
    }
    let selector =
        LabelSelector::parse(call.query.text("labelSelector").unwrap_or_default()).map_err(ApiError::BadRequest)?;
    let mut items = Vec::new();
    for node in call.server.store().list(NODES, &Range::default()).objects {
        let node = node.value();
        // A node that does not answer has no figures; the others have.
        let Ok(summary) = streaming::summary(&call.server, text(&node, "name")).await else { continue };
        if target.resource.plural == "nodes" {
            if selector.matches(&node["metadata"]["labels"]) {
                items.push(node_metrics(call, target, &node, &summary));
            }
        } else {
            items.extend(pod_metrics(call, target, &selector, &summary));
        }
    }
    items.sort_by_key(|item| (text(item, "namespace").to_owned(), text(item, "name").to_owned()));
    let value = if verb == Verb::Get {
        let name = target.name();
        items.into_iter().find(|item| text(item, "name") == name).ok_or_else(|| not_found(target.resource, name))?
    } else {
        json!({
            "kind": target.resource.list_kind(),
            "apiVersion": target.resource.api_version(),
            "metadata": {},
            "items": items,
        })
    };
    Ok(respond::value(&Shape::of(&call.parts), Encoding::Json, StatusCode::OK, &value))
}

/// `cpu` in nanocores and `memory` in KiB, as the metrics server writes them.
fn usage(stats: &Value) -> Value {
    let cpu = stats["cpu"]["usageNanoCores"].as_u64().unwrap_or(0);
    let memory = stats["memory"]["workingSetBytes"].as_u64().unwrap_or(0);
    json!({"cpu": format!("{cpu}n"), "memory": format!("{}Ki", memory / 1024)})
}

fn node_metrics(call: &Call, target: &Target, node: &Value, summary: &Value) -> Value {
    json!({
        "kind": target.resource.kind,
        "apiVersion": target.resource.api_version(),
        "metadata": {"name": node["metadata"]["name"], "labels": node["metadata"]["labels"],
            "creationTimestamp": stamp(call.server.now())},
        "timestamp": stamp(call.server.now()),
        "window": WINDOW,
        "usage": usage(&summary["node"]),
    })
}

fn pod_metrics<'a>(
    call: &'a Call,
    target: &'a Target,
    selector: &'a LabelSelector,
    summary: &'a Value,
) -> impl Iterator<Item = Value> + 'a {
    let now = stamp(call.server.now());
    summary["pods"].as_array().into_iter().flatten().filter_map(move |stats| {
        let reference = &stats["podRef"];
        let (namespace, name) = (reference["namespace"].as_str()?, reference["name"].as_str()?);
        if target.namespace.as_deref().is_some_and(|wanted| wanted != namespace) {
            return None;
        }
        let pod = call.server.store().get(&crate::store::Key::new(PODS, namespace, name))?.value();
        if !selector.matches(&pod["metadata"]["labels"]) {
            return None;
        }
        let containers: Vec<Value> = stats["containers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|container| json!({"name": container["name"], "usage": usage(container)}))
            .collect();
        Some(json!({
            "kind": target.resource.kind,
            "apiVersion": target.resource.api_version(),
            "metadata": {"name": name, "namespace": namespace, "labels": pod["metadata"]["labels"],
                "creationTimestamp": now},
            "timestamp": now,
            "window": WINDOW,
            "containers": containers,
        }))
    })
}
