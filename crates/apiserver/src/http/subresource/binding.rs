//! `pods/NAME/binding`: the scheduler's decision (k8s.io/kubernetes/pkg/registry/core/pod/storage/storage.go).

use http::StatusCode;
use podlab_api::error::ApiError;
use serde_json::{Value, json};

use super::success;
use crate::http::body::kind_of;
use crate::http::object::{self, conflict, stamp};
use crate::http::write::{Update, dry_run};
use crate::http::{Answer, Call, Target};

pub(super) async fn bind(call: &mut Call, target: &Target) -> Answer {
    let Some(subresource) = target.subresource else { return Err(ApiError::UnknownPath) };
    let update = Update { subresource: Some("binding"), dry_run: dry_run(call)? };
    let (binding, _) = call.decode(&kind_of(target.resource, subresource)).await?;
    let node = binding["target"]["name"].as_str().unwrap_or_default().to_owned();
    let kind = binding["target"]["kind"].as_str().unwrap_or_default();
    if node.is_empty() || !matches!(kind, "" | "Node") {
        return Err(ApiError::BadRequest("a binding needs a target of kind Node with a name".to_owned()));
    }
    let now = stamp(call.server.now());
    update.run(call, target, |pod| bound(target, pod, &binding, &node, &now)).await?;
    success(call, StatusCode::CREATED)
}

/// The Pod with its node.
fn bound(target: &Target, pod: &Value, binding: &Value, node: &str, now: &str) -> Result<Value, ApiError> {
    let refused = |message: String| conflict_of_binding(target, message);
    let expected = object::text(binding, "uid");
    if !expected.is_empty() && expected != object::text(pod, "uid") {
        let found = object::text(pod, "uid");
        let message = format!("Precondition failed: UID in precondition: {expected}, UID in object meta: {found}");
        return Err(refused(message));
    }
    let name = target.name();
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return Err(refused(format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    let assigned = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if !assigned.is_empty() {
        return Err(refused(format!("pod {name} is already assigned to node {assigned:?}")));
    }
    if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        return Err(refused(format!("pod {name} has non-empty .spec.schedulingGates")));
    }
    let mut pod = pod.clone();
    pod["spec"]["nodeName"] = node.into();
    let annotations = binding["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    if !annotations.is_empty() {
        let known = object::metadata(&mut pod).entry("annotations").or_insert_with(|| json!({}));
        if let Some(known) = known.as_object_mut() {
            known.extend(annotations);
        }
    }
    scheduled(&mut pod, now);
    Ok(pod)
}

/// Condition `PodScheduled` becomes true.
fn scheduled(pod: &mut Value, now: &str) {
    if !pod["status"].is_object() {
        pod["status"] = json!({});
    }
    if !pod["status"]["conditions"].is_array() {
        pod["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = pod["status"]["conditions"].as_array_mut() else { return };
    let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
    match conditions.iter_mut().find(|condition| condition["type"] == "PodScheduled") {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}

fn conflict_of_binding(target: &Target, message: String) -> ApiError {
    match conflict(target.resource, target.name(), message) {
        ApiError::Conflict { group, name, message, .. } => {
            ApiError::Conflict { group, plural: "pods/binding".to_owned(), name, message }
        }
        other => other,
    }
}
