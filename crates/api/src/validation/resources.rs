//! Amounts of resources that containers ask for.

use serde_json::Value;

use super::{invalid_name, names};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, entries};
use crate::quantity::Quantity;

/// Resources that every node has; anything else has a domain in its name.
fn is_standard(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

/// Whether more may be promised than there is: not for huge pages, and not for counted devices.
fn is_overcommittable(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage")
}

/// `resources` of a container: names, amounts, and requests no larger than limits.
pub(super) fn requirements(resources: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    for (name, value) in entries(resources, &["limits"]) {
        errors.extend(container_resource(name, value, &limits_path.key(name)));
    }
    for (name, value) in entries(resources, &["requests"]) {
        errors.extend(container_resource(name, value, &requests_path.key(name)));
        let limit = Quantity::from_json(at(resources, &["limits", name]));
        let Some(request) = Quantity::from_json(value) else { continue };
        match limit {
            Some(limit) if request != limit && !is_overcommittable(name) => errors.push(FieldError::invalid(
                &requests_path,
                request.to_string(),
                format!("must be equal to {name} limit of {limit}"),
            )),
            Some(limit) if request > limit => errors.push(FieldError::invalid(
                &requests_path,
                request.to_string(),
                format!("must be less than or equal to {name} limit of {limit}"),
            )),
            None if !is_overcommittable(name) => {
                let message = "Limit must be set for non overcommitable resources";
                errors.push(FieldError::required(&limits_path, message));
            }
            _ => {}
        }
    }
    errors
}

fn container_resource(name: &str, value: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    invalid_name(&mut errors, path, name, names::qualified_name(name));
    if errors.is_empty() && !name.contains('/') && !is_standard(name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource type or fully qualified"));
        errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
    }
    errors.extend(quantity(name, value, path));
    errors
}

/// No amount is negative, and countable things come in whole numbers.
pub(super) fn quantity(name: &str, value: &Value, path: &FieldPath) -> Vec<FieldError> {
    let Some(amount) = Quantity::from_json(value) else { return Vec::new() };
    let mut errors = Vec::new();
    if amount.is_negative() {
        errors.push(FieldError::invalid(path, amount.to_string(), "must be greater than or equal to 0"));
    }
    let countable = name.contains('/') || matches!(name, "pods" | "services" | "secrets" | "configmaps");
    if countable && !amount.is_whole() {
        errors.push(FieldError::invalid(path, amount.to_string(), "must be an integer"));
    }
    errors
}

/// What a ResourceQuota can limit.
pub(super) fn quota_name(name: &str, path: &FieldPath) -> Vec<FieldError> {
    const STANDARD: &[&str] = &[
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.storage",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    let mut errors = Vec::new();
    invalid_name(&mut errors, path, name, names::qualified_name(name));
    if !name.contains('/') && !STANDARD.contains(&name) && !name.contains("hugepages-") {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for quota"));
    }
    errors
}
