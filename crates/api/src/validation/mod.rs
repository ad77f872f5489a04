//! Whether an object may be as it is, with all findings at once, in the real server's order and words
//! (k8s.io/kubernetes/pkg/apis/core/validation/validation.go).

pub(crate) mod config;
pub(crate) mod container;
pub(crate) mod environment;
pub(crate) mod event;
pub(crate) mod metadata;
pub mod names;
pub(crate) mod node;
pub(crate) mod persistent;
pub(crate) mod pod;
pub(crate) mod pod_diff;
pub(crate) mod pod_update;
pub(crate) mod policy;
pub(crate) mod probe;
pub(crate) mod resources;
pub(crate) mod scheduling;
pub(crate) mod selectors;
pub(crate) mod service;
pub(crate) mod volume;
pub(crate) mod workload;

use serde_json::Value;

use crate::error::{FieldError, FieldPath};
use crate::json::text;

/// Kinds of which only the metadata is looked at; their names are DNS subdomains.
pub(crate) fn metadata_only(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    metadata::check(object, old, names::subdomain)
}

/// `Required value` where the text at `key` is empty. Gives whether it is there.
fn require(errors: &mut Vec<FieldError>, object: &Value, key: &str, path: &FieldPath) -> bool {
    let given = !text(object, &[key]).is_empty();
    if !given {
        errors.push(FieldError::required(&path.child(key), ""));
    }
    given
}

/// One `Invalid value` a problem with a name.
fn invalid_name(errors: &mut Vec<FieldError>, path: &FieldPath, value: &str, problems: Vec<String>) {
    errors.extend(problems.into_iter().map(|problem| FieldError::invalid(path, value, problem)));
}

/// `Unsupported value` where the text is none of those allowed.
fn one_of(errors: &mut Vec<FieldError>, path: &FieldPath, value: &str, allowed: &[&str]) {
    if !allowed.contains(&value) {
        errors.push(FieldError::not_supported(path, value, allowed));
    }
}

/// `field is immutable` where two values differ.
fn immutable(errors: &mut Vec<FieldError>, path: &FieldPath, new: &Value, old: &Value) {
    if new != old {
        errors.push(FieldError::invalid(path, new.clone(), "field is immutable"));
    }
}
