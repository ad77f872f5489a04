//! Environment variables, and references to fields of the Pod.

use serde_json::Value;

use super::{invalid_name, names, one_of, require};
use crate::error::{FieldError, FieldPath};
use crate::json::{list, text};

/// Fields of the Pod that a variable can take its value from.
const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// `env` and `envFrom`.
pub(super) fn check(errors: &mut Vec<FieldError>, container: &Value, path: &FieldPath) {
    for (index, variable) in list(container, &["env"]).iter().enumerate() {
        let path = path.child("env").index(index);
        let name = text(variable, &["name"]);
        if require(errors, variable, "name", &path) {
            invalid_name(errors, &path.child("name"), name, names::variable(name));
        }
        value_from(errors, variable, &path.child("valueFrom"));
    }
    for (index, source) in list(container, &["envFrom"]).iter().enumerate() {
        let path = path.child("envFrom").index(index);
        let prefix = text(source, &["prefix"]);
        if !prefix.is_empty() {
            invalid_name(errors, &path.child("prefix"), prefix, names::variable(prefix));
        }
        let kinds: Vec<&str> =
            ["configMapRef", "secretRef"].into_iter().filter(|kind| source[*kind].is_object()).collect();
        for kind in &kinds {
            require(errors, &source[*kind], "name", &path.child(kind));
        }
        match kinds.len() {
            0 => {
                let message = "must specify one of: `configMapRef` or `secretRef`";
                errors.push(FieldError::invalid(&path, "", message));
            }
            1 => {}
            _ => {
                let message = "may not have more than one field specified at a time";
                errors.push(FieldError::invalid(&path, "", message));
            }
        }
    }
}

fn value_from(errors: &mut Vec<FieldError>, variable: &Value, path: &FieldPath) {
    let source = &variable["valueFrom"];
    if !source.is_object() {
        return;
    }
    let mut count = 0;
    for kind in ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"] {
        let (reference, path) = (&source[kind], path.child(kind));
        if !reference.is_object() {
            continue;
        }
        count += 1;
        match kind {
            "fieldRef" => field_reference(errors, reference, FIELDS, &path),
            "resourceFieldRef" => {
                if require(errors, reference, "resource", &path) {
                    const KNOWN: &[&str] = &[
                        "limits.cpu",
                        "limits.ephemeral-storage",
                        "limits.memory",
                        "requests.cpu",
                        "requests.ephemeral-storage",
                        "requests.memory",
                    ];
                    one_of(errors, &path.child("resource"), text(reference, &["resource"]), KNOWN);
                }
            }
            _ => {
                require(errors, reference, "name", &path);
                if require(errors, reference, "key", &path) {
                    let key = text(reference, &["key"]);
                    invalid_name(errors, &path.child("key"), key, names::config_key(key));
                }
            }
        }
    }
    if count == 0 {
        let message = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        errors.push(FieldError::invalid(path, "", message));
    }
    if !text(variable, &["value"]).is_empty() {
        if count != 0 {
            errors.push(FieldError::invalid(path, "", "may not be specified when `value` is not empty"));
        }
    } else if count > 1 {
        errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
    }
}

/// A path to a field of the Pod: one of `allowed`, or one label or annotation.
pub(super) fn field_reference(errors: &mut Vec<FieldError>, reference: &Value, allowed: &[&str], path: &FieldPath) {
    if !require(errors, reference, "apiVersion", path) || !require(errors, reference, "fieldPath", path) {
        return;
    }
    const KNOWN: [&str; 5] =
        ["metadata.labels", "metadata.annotations", "spec.restartPolicy", "spec.schedulerName", "status.phase"];
    let (field, path) = (text(reference, &["fieldPath"]), path.child("fieldPath"));
    if let Some((base, key)) = field.strip_suffix("']").and_then(|field| field.split_once("['")) {
        match base {
            "metadata.labels" | "metadata.annotations" => {
                invalid_name(errors, &path, key, names::qualified_name(&key.to_lowercase()));
            }
            _ => errors.push(FieldError::invalid(&path, base, "does not support subscript")),
        }
    } else if !allowed.contains(&field) {
        if FIELDS.contains(&field) || KNOWN.contains(&field) {
            errors.push(FieldError::not_supported(&path, field, allowed));
        } else {
            let message = format!("error converting fieldPath: field label not supported: {field}");
            errors.push(FieldError::invalid(&path, field, message));
        }
    }
}
