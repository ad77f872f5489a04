//! Nodes and Namespaces.

use serde_json::Value;

use super::{immutable, invalid_name, metadata, names, one_of};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, list, text};

pub(crate) fn namespace(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    metadata::check(object, old, names::label)
}

pub(crate) fn node(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    let path = FieldPath::new("spec");
    taints(&mut errors, list(object, &["spec", "taints"]), &path.child("taints"));
    if let Some(old) = old
        && !at(old, &["spec", "podCIDR"]).is_null()
    {
        let (new, old) = (at(object, &["spec", "podCIDR"]), at(old, &["spec", "podCIDR"]));
        if new != old {
            let message = "node updates may not change podCIDR except from \"\" to valid";
            errors.push(FieldError::forbidden(&path.child("podCIDRs"), message));
        }
    }
    if let Some(old) = old
        && !text(old, &["spec", "providerID"]).is_empty()
    {
        let (new, old) = (at(object, &["spec", "providerID"]), at(old, &["spec", "providerID"]));
        immutable(&mut errors, &path.child("providerID"), new, old);
    }
    errors
}

fn taints(errors: &mut Vec<FieldError>, taints: &[Value], path: &FieldPath) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (index, taint) in taints.iter().enumerate() {
        let path = path.index(index);
        let (key, value, effect) = (text(taint, &["key"]), text(taint, &["value"]), text(taint, &["effect"]));
        invalid_name(errors, &path.child("key"), key, names::qualified_name(key));
        invalid_name(errors, &path.child("value"), value, names::label_value(value));
        if effect.is_empty() {
            errors.push(FieldError::required(&path.child("effect"), ""));
        } else {
            one_of(errors, &path.child("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
        if seen.contains(&(key, effect)) {
            let mut error = FieldError::duplicate(&path, taint.clone());
            "taints must be unique by key and effect pair".clone_into(&mut error.detail);
            errors.push(error);
        }
        seen.push((key, effect));
    }
}
