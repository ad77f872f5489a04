//! LimitRanger: defaults and bounds that a LimitRange sets for the containers of its namespace.

use podlab_api::error::ApiError;
use podlab_api::quantity::Quantity;
use serde_json::{Map, Value, json};

use super::{Admission, containers_mut};

/// Tells a reader what was filled in.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// The items of all limit ranges of the namespace that are about `kind`.
fn items(admission: &Admission<'_>, kind: &str) -> Vec<Value> {
    let mut ranges = admission.core_list("limitranges");
    ranges.sort_by_key(|range| range["metadata"]["name"].as_str().unwrap_or_default().to_owned());
    let items = ranges.iter_mut().filter_map(|range| match range["spec"]["limits"].take() {
        Value::Array(items) => Some(items),
        _ => None,
    });
    items.flatten().filter(|item| item["type"] == kind).collect()
}

/// Fills in defaults, then checks.
pub(super) fn pod(admission: &Admission<'_>, pod: &mut Value) -> Result<(), ApiError> {
    let items = items(admission, "Container");
    let mut told = Vec::new();
    for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
        for container in containers_mut(pod, list) {
            for item in &items {
                told.extend(fill(container, item, word));
            }
        }
    }
    if !told.is_empty() {
        let text = format!("LimitRanger plugin set: {}", told.join("; "));
        if !pod["metadata"]["annotations"].is_object() {
            pod["metadata"]["annotations"] = json!({});
        }
        pod["metadata"]["annotations"][ANNOTATION] = text.into();
    }
    check_pod(admission, pod)
}

/// Gives a container what it does not say; tells what that was.
fn fill(container: &mut Value, item: &Value, word: &str) -> Vec<String> {
    let name = container["name"].as_str().unwrap_or_default().to_owned();
    let mut told = Vec::new();
    // Limits first: a request that is not said is the limit, unless there is a default for it.
    for (default, field, noun) in [("defaultRequest", "requests", "request"), ("default", "limits", "limit")] {
        let mut set = Vec::new();
        for (resource, quantity) in item[default].as_object().into_iter().flatten() {
            let resources = object(&mut container["resources"]);
            let values = object(resources.entry(field).or_insert_with(|| json!({})));
            if !values.contains_key(resource) {
                values.insert(resource.clone(), quantity.clone());
                set.push(resource.as_str());
            }
        }
        if !set.is_empty() {
            told.push(format!("{} {noun} for {word} {name}", set.join(", ")));
        }
    }
    told
}

/// Checks the containers of a Pod, and the Pod as a whole, against all bounds. A Pod that is there is not looked at again,
/// as upstream: its resources do not change.
fn check_pod(admission: &Admission<'_>, pod: &Value) -> Result<(), ApiError> {
    let mut findings = Vec::new();
    for item in items(admission, "Container") {
        for list in ["containers", "initContainers"] {
            for container in pod["spec"][list].as_array().into_iter().flatten() {
                findings.extend(check(&container["resources"], &item, "Container"));
            }
        }
    }
    for item in items(admission, "Pod") {
        findings.extend(check(&total(pod), &item, "Pod"));
    }
    refuse(admission, pod, &findings)
}

/// Checks what a claim asks for.
pub(super) fn claim(admission: &Admission<'_>, claim: &Value) -> Result<(), ApiError> {
    let mut findings = Vec::new();
    for item in items(admission, "PersistentVolumeClaim") {
        findings.extend(check(&claim["spec"]["resources"], &item, "PersistentVolumeClaim"));
    }
    refuse(admission, claim, &findings)
}

fn refuse(admission: &Admission<'_>, object: &Value, findings: &[String]) -> Result<(), ApiError> {
    match findings {
        [] => Ok(()),
        [one] => Err(admission.forbidden(object, one.clone())),
        many => Err(admission.forbidden(object, format!("[{}]", many.join(", ")))),
    }
}

fn check(resources: &Value, item: &Value, kind: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let bounds = |name: &str| item[name].as_object().cloned().unwrap_or_default();
    let quantity = |field: &str, resource: &str| Quantity::from_json(&resources[field][resource]);
    for (resource, bound) in bounds("min") {
        let Some(least) = Quantity::from_json(&bound) else { continue };
        match (quantity("requests", &resource), quantity("limits", &resource)) {
            (None, _) => {
                findings.push(format!("minimum {resource} usage per {kind} is {least}.  No request is specified"));
            }
            (Some(request), _) if request < least => {
                findings.push(format!("minimum {resource} usage per {kind} is {least}, but request is {request}"));
            }
            (_, Some(limit)) if limit < least => {
                findings.push(format!("minimum {resource} usage per {kind} is {least}, but limit is {limit}"));
            }
            _ => {}
        }
    }
    for (resource, bound) in bounds("max") {
        let Some(most) = Quantity::from_json(&bound) else { continue };
        // A claim has no limits: what it asks for is what it may get.
        let limit = if kind == "PersistentVolumeClaim" { "requests" } else { "limits" };
        match (quantity("requests", &resource), quantity(limit, &resource)) {
            (_, None) => {
                findings.push(format!("maximum {resource} usage per {kind} is {most}.  No limit is specified"));
            }
            (_, Some(limit)) if limit > most => {
                findings.push(format!("maximum {resource} usage per {kind} is {most}, but limit is {limit}"));
            }
            (Some(request), _) if request > most => {
                findings.push(format!("maximum {resource} usage per {kind} is {most}, but request is {request}"));
            }
            _ => {}
        }
    }
    for (resource, bound) in bounds("maxLimitRequestRatio") {
        let Some(most) = Quantity::from_json(&bound) else { continue };
        let (Some(request), Some(limit)) = (quantity("requests", &resource), quantity("limits", &resource)) else {
            findings.push(format!(
                "{resource} max limit to request ratio per {kind} is {most}, but no request is specified or request is 0."
            ));
            continue;
        };
        let ratio = limit.milli_value() as f64 / request.milli_value().max(1) as f64;
        if ratio > most.milli_value() as f64 / 1000.0 {
            findings.push(format!(
                "{resource} max limit to request ratio per {kind} is {most}, but provided ratio is {ratio:.6}"
            ));
        }
    }
    findings
}

/// What all containers of a Pod ask for together.
fn total(pod: &Value) -> Value {
    let mut total = json!({"requests": {}, "limits": {}});
    for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
        for field in ["requests", "limits"] {
            for (resource, value) in container["resources"][field].as_object().into_iter().flatten() {
                let Some(value) = Quantity::from_json(value) else { continue };
                let sum = Quantity::from_json(&total[field][resource]).map_or(value, |sum| sum.plus(value));
                total[field][resource] = sum.to_string().into();
            }
        }
    }
    total
}

/// The value as an object, made one when it is something else.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("it has just been made one"),
    }
}
