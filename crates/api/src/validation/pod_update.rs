//! What of a Pod may change once it exists: images, a shorter deadline, more tolerations, and little else.

use serde_json::Value;

use super::pod;
use crate::error::{FieldError, FieldPath};
use crate::json::{at, integer, list, text};

/// The fields that the refusal names.
const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                         `spec.tolerations` (only additions to existing tolerations),\
                         `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// An update of the Pod itself.
pub(super) fn check(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = pod::whole(new, Some(old));
    let path = FieldPath::new("spec");
    let (new_spec, old_spec) = (at(new, &["spec"]), at(old, &["spec"]));
    for key in ["containers", "initContainers"] {
        if list(new_spec, &[key]).len() != list(old_spec, &[key]).len() {
            let message = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(&path.child(key), message));
            return errors;
        }
    }
    if let Some(error) = deadline(new_spec, old_spec, &path.child("activeDeadlineSeconds")) {
        errors.push(error);
        return errors;
    }
    tolerations(&mut errors, new_spec, old_spec, &path.child("tolerations"));
    let munged = munge(new_spec, old_spec);
    if munged != *old_spec {
        let diff = crate::validation::pod_diff::spec(old_spec, &munged);
        errors.push(FieldError::forbidden(
            &path,
            format!("pod updates may not change fields other than {UPDATABLE}\n{diff}"),
        ));
    }
    errors
}

/// The new spec with everything that may change put back.
fn munge(new: &Value, old: &Value) -> Value {
    let mut munged = new.clone();
    for key in ["containers", "initContainers"] {
        let images: Vec<Value> = list(old, &[key]).iter().map(|container| container["image"].clone()).collect();
        for (container, image) in crate::json::list_mut(&mut munged, &[key]).iter_mut().zip(images) {
            container["image"] = image;
        }
    }
    let mut restore = vec!["activeDeadlineSeconds", "tolerations"];
    if integer(old, &["terminationGracePeriodSeconds"]) < 0 && integer(new, &["terminationGracePeriodSeconds"]) == 1 {
        restore.push("terminationGracePeriodSeconds");
    }
    if let Some(fields) = munged.as_object_mut() {
        for key in restore {
            match old.get(key) {
                Some(value) => drop(fields.insert(key.to_owned(), value.clone())),
                None => drop(fields.remove(key)),
            }
        }
    }
    munged
}

/// A deadline may be set, and may come nearer.
fn deadline(new: &Value, old: &Value, path: &FieldPath) -> Option<FieldError> {
    match (new["activeDeadlineSeconds"].as_i64(), old["activeDeadlineSeconds"].as_i64()) {
        (Some(new), Some(old)) if new > old => {
            Some(FieldError::invalid(path, new, "must be less than or equal to previous value"))
        }
        (None, Some(_)) => {
            Some(FieldError::invalid(path, Value::Null, "must not update from a positive integer to nil value"))
        }
        _ => None,
    }
}

/// Tolerations stay, apart from their seconds; new ones may come.
fn tolerations(errors: &mut Vec<FieldError>, new: &Value, old: &Value, path: &FieldPath) {
    let same = |one: &Value, other: &Value| {
        ["key", "operator", "value", "effect"].iter().all(|part| text(one, &[part]) == text(other, &[part]))
    };
    let kept = |toleration: &Value| list(new, &["tolerations"]).iter().any(|other| same(toleration, other));
    if !list(old, &["tolerations"]).iter().all(kept) {
        let message = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(path, message));
    }
}

/// An update of the ephemeral containers: those that are there stay as they are.
pub(super) fn ephemeral(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = pod::whole(new, Some(old));
    let path = FieldPath::new("spec").child("ephemeralContainers");
    let containers = |pod: &Value| list(pod, &["spec", "ephemeralContainers"]).to_vec();
    let new = containers(new);
    for container in containers(old) {
        let name = text(&container, &["name"]);
        match new.iter().find(|other| text(other, &["name"]) == name) {
            None => {
                let message = "existing ephemeral containers may not be removed\n";
                errors.push(FieldError::forbidden(&path, format!("{message}{name}")));
            }
            Some(other) if *other != container => {
                let message = format!("existing ephemeral containers {name:?} may not be changed\n");
                errors.push(FieldError::forbidden(&path, message));
            }
            Some(_) => {}
        }
    }
    errors
}
