//! Events, in both styles.

use serde_json::Value;

use super::{metadata, names};
use crate::error::{FieldError, FieldPath};
use crate::json::text;

/// Bytes of an event's message at most (of the new style).
const NOTE_LENGTH: usize = 1024;

pub(crate) fn core(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::path_segment);
    namespace(&mut errors, object, "involvedObject");
    errors
}

/// The event as it lies in the store, with the names of a core event; what is wrong is told by the names of its own style.
pub(crate) fn new_style(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::path_segment);
    namespace(&mut errors, object, "involvedObject");
    if old.is_some() {
        return errors;
    }
    let required = |field: &str| FieldError::required(&FieldPath::new(field), "");
    if !object["eventTime"].is_string() {
        errors.push(required("eventTime"));
    }
    for (stored, field) in [
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
        ("action", "action"),
        ("reason", "reason"),
    ] {
        if text(object, &[stored]).is_empty() {
            errors.push(required(field));
        }
    }
    if text(object, &["message"]).len() > NOTE_LENGTH {
        let path = FieldPath::new("note");
        errors.push(FieldError::invalid(&path, "", format!("can have at most {NOTE_LENGTH} characters")));
    }
    errors
}

/// An event lies beside the object it speaks of; those of cluster-wide objects lie in `default`.
fn namespace(errors: &mut Vec<FieldError>, object: &Value, reference: &str) {
    let own = text(object, &["metadata", "namespace"]);
    let about = text(object, &[reference, "namespace"]);
    let path = FieldPath::new(reference).child("namespace");
    if about.is_empty() {
        if own != "default" && own != "kube-system" {
            errors.push(FieldError::invalid(&path, about, "does not match event.namespace"));
        }
    } else if about != own {
        errors.push(FieldError::invalid(&path, about, "does not match event.namespace"));
    }
}
