//! Metadata of any object (k8s.io/apimachinery/pkg/api/validation/objectmeta.go).

use serde_json::Value;

use super::names::{self, Rule};
use super::{immutable, invalid_name};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, entries, list, text, truth};
use crate::registry;

/// Bytes of all annotations together at most.
const ANNOTATIONS_SIZE: usize = 256 * 1024;

/// Metadata of an object of the registry, created or updated.
pub(super) fn check(object: &Value, old: Option<&Value>, rule: Rule) -> Vec<FieldError> {
    let path = FieldPath::new("metadata");
    let (group, version) = registry::split_api_version(text(object, &["apiVersion"]));
    let resource = registry::find_kind(group, version, text(object, &["kind"]));
    let namespaced = resource.is_some_and(|resource| resource.namespaced);
    let metadata = at(object, &["metadata"]);
    let mut errors = Vec::new();
    name(&mut errors, metadata, rule, &path);
    let namespace = text(metadata, &["namespace"]);
    if namespaced && namespace.is_empty() {
        errors.push(FieldError::required(&path.child("namespace"), ""));
    } else if namespaced {
        invalid_name(&mut errors, &path.child("namespace"), namespace, names::label(namespace));
    } else if !namespace.is_empty() {
        errors.push(FieldError::forbidden(&path.child("namespace"), "not allowed on this type"));
    }
    errors.extend(labels(at(metadata, &["labels"]), &path.child("labels")));
    errors.extend(annotations(metadata, &path.child("annotations")));
    errors.extend(owners(metadata, &path.child("ownerReferences")));
    for finalizer in list(metadata, &["finalizers"]).iter().filter_map(Value::as_str) {
        let path = path.child("finalizers");
        invalid_name(&mut errors, &path, finalizer, names::qualified_name(finalizer));
    }
    if let Some(old) = old {
        for key in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"] {
            immutable(&mut errors, &path.child(key), at(metadata, &[key]), at(old, &["metadata", key]));
        }
    }
    errors
}

fn name(errors: &mut Vec<FieldError>, metadata: &Value, rule: Rule, path: &FieldPath) {
    let prefix = text(metadata, &["generateName"]);
    if !prefix.is_empty() {
        // What follows makes the end valid: a trailing dash stands for it.
        let checked = match prefix.strip_suffix('-') {
            Some(stem) if prefix.len() > 1 => format!("{stem}a"),
            _ => prefix.to_owned(),
        };
        invalid_name(errors, &path.child("generateName"), prefix, rule(&checked));
    }
    let name = text(metadata, &["name"]);
    if name.is_empty() {
        errors.push(FieldError::required(&path.child("name"), "name or generateName is required"));
    } else {
        invalid_name(errors, &path.child("name"), name, rule(name));
    }
}

/// A map of labels: metadata's, a selector's, a node selector.
pub(super) fn labels(labels: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in entries(labels, &[]) {
        let value = value.as_str().unwrap_or_default();
        invalid_name(&mut errors, path, key, names::qualified_name(key));
        invalid_name(&mut errors, path, value, names::label_value(value));
    }
    errors
}

fn annotations(metadata: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut size = 0;
    for (key, value) in entries(metadata, &["annotations"]) {
        invalid_name(&mut errors, path, key, names::qualified_name(&key.to_lowercase()));
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > ANNOTATIONS_SIZE {
        errors.push(FieldError::too_long(path, ANNOTATIONS_SIZE));
    }
    errors
}

fn owners(metadata: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controllers = Vec::new();
    for (index, owner) in list(metadata, &["ownerReferences"]).iter().enumerate() {
        let path = path.index(index);
        for key in ["kind", "name", "uid"] {
            let message = format!("{key} must not be empty");
            if text(owner, &[key]).is_empty() {
                errors.push(FieldError::invalid(&path.child(key), "", message));
            }
        }
        if text(owner, &["apiVersion"]).is_empty() {
            errors.push(FieldError::invalid(&path.child("apiVersion"), "", "version must not be empty"));
        }
        if truth(owner, &["controller"]) {
            controllers.push(text(owner, &["name"]));
        }
    }
    if controllers.len() > 1 {
        errors.push(FieldError::invalid(
            path,
            at(metadata, &["ownerReferences"]).clone(),
            format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                controllers[0], controllers[1]
            ),
        ));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(object: Value) -> Vec<String> {
        check(&object, None, names::subdomain).iter().map(ToString::to_string).collect()
    }

    /// Golden 305.
    #[test]
    fn a_name_is_required() {
        assert_eq!(
            texts(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "default"}})),
            ["metadata.name: Required value: name or generateName is required"]
        );
    }

    #[test]
    fn everything_is_told_at_once() {
        let found = texts(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": "p", "generateName": "p-", "labels": {"a b": "c", "d": "e f"}, "annotations": {"x/y/z": ""},
            "finalizers": ["a b"], "ownerReferences": [{"kind": "ReplicaSet", "apiVersion": "apps/v1", "name": "r"}],
        }}));
        let starts = [
            "metadata.namespace: Required value",
            "metadata.labels: Invalid value: \"a b\": name part must consist",
            "metadata.labels: Invalid value: \"e f\": a valid label must be an empty string or consist",
            "metadata.annotations: Invalid value: \"x/y/z\": a qualified name must consist",
            "metadata.ownerReferences[0].uid: Invalid value: \"\": uid must not be empty",
            "metadata.finalizers: Invalid value: \"a b\"",
        ];
        assert_eq!(found.len(), starts.len(), "{found:#?}");
        for (text, start) in found.iter().zip(starts) {
            assert!(text.starts_with(start), "{text}");
        }
    }
}
