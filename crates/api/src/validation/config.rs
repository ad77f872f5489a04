//! ConfigMaps, Secrets and Leases.

use serde_json::Value;

use super::{immutable, invalid_name, metadata, names};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, entries, integer, text, truth};

/// Bytes of all data together at most: 1 MiB.
const DATA_SIZE: usize = 1024 * 1024;

pub(crate) fn config_map(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    if let Some(old) = old {
        frozen(&mut errors, object, old, &["data", "binaryData"]);
    }
    let mut size = 0;
    for (key, value) in entries(object, &["data"]) {
        let path = FieldPath::new("data").key(key);
        invalid_name(&mut errors, &path, key, names::config_key(key));
        if at(object, &["binaryData", key]).is_string() {
            errors.push(FieldError::invalid(&path, key.as_str(), "duplicate of key present in binaryData"));
        }
        size += value.as_str().unwrap_or_default().len();
    }
    for (key, value) in entries(object, &["binaryData"]) {
        invalid_name(&mut errors, &FieldPath::new("binaryData").key(key), key, names::config_key(key));
        size += decoded_length(value.as_str().unwrap_or_default());
    }
    if size > DATA_SIZE {
        errors.push(FieldError::too_long(&FieldPath::default(), DATA_SIZE));
    }
    errors
}

pub(crate) fn secret(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    if let Some(old) = old {
        immutable(&mut errors, &FieldPath::new("type"), at(object, &["type"]), at(old, &["type"]));
        frozen(&mut errors, object, old, &["data"]);
    }
    let mut size = 0;
    for (key, value) in entries(object, &["data"]) {
        invalid_name(&mut errors, &FieldPath::new("data").key(key), key, names::config_key(key));
        size += decoded_length(value.as_str().unwrap_or_default());
    }
    if size > DATA_SIZE {
        errors.push(FieldError::too_long(&FieldPath::new("data"), DATA_SIZE));
    }
    let needed: &[&str] = match text(object, &["type"]) {
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        _ => &[],
    };
    for key in needed {
        if !at(object, &["data", key]).is_string() {
            errors.push(FieldError::required(&FieldPath::new("data").key(key), ""));
        }
    }
    errors
}

/// Bytes that padded base64 stands for.
fn decoded_length(base64: &str) -> usize {
    let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
    (base64.len() / 4 * 3).saturating_sub(padding)
}

/// What was declared immutable stays.
fn frozen(errors: &mut Vec<FieldError>, object: &Value, old: &Value, fields: &[&str]) {
    if !truth(old, &["immutable"]) {
        return;
    }
    const MESSAGE: &str = "field is immutable when `immutable` is set";
    if !truth(object, &["immutable"]) {
        errors.push(FieldError::forbidden(&FieldPath::new("immutable"), MESSAGE));
    }
    for field in fields {
        if at(object, &[field]) != at(old, &[field]) {
            errors.push(FieldError::forbidden(&FieldPath::new(field), MESSAGE));
        }
    }
}

pub(crate) fn lease(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    let path = FieldPath::new("spec");
    let spec = at(object, &["spec"]);
    let duration = integer(spec, &["leaseDurationSeconds"]);
    if spec["leaseDurationSeconds"].is_i64() && duration <= 0 {
        errors.push(FieldError::invalid(&path.child("leaseDurationSeconds"), duration, "must be greater than 0"));
    }
    let transitions = integer(spec, &["leaseTransitions"]);
    if transitions < 0 {
        let path = path.child("leaseTransitions");
        errors.push(FieldError::invalid(&path, transitions, "must be greater than or equal to 0"));
    }
    errors
}
