//! Quotas, limit ranges and priority classes.

use serde_json::Value;

use super::resources::{self, quantity};
use super::{immutable, metadata, names};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, entries, integer, list, text};
use crate::quantity::Quantity;

/// The highest priority that users may give.
const USER_PRIORITY: i64 = 1_000_000_000;

pub(crate) fn quota(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    let path = FieldPath::new("spec").child("hard");
    for (resource, value) in entries(object, &["spec", "hard"]) {
        let path = path.key(resource);
        errors.extend(resources::quota_name(resource, &path));
        errors.extend(quantity(resource, value, &path));
    }
    if let Some(old) = old {
        let part = |object: &Value| at(object, &["spec", "scopes"]).clone();
        immutable(&mut errors, &FieldPath::new("spec").child("scopes"), &part(object), &part(old));
    }
    errors
}

pub(crate) fn limit_range(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    let path = FieldPath::new("spec").child("limits");
    let mut kinds: Vec<&str> = Vec::new();
    for (index, item) in list(object, &["spec", "limits"]).iter().enumerate() {
        let path = path.index(index);
        let kind = text(item, &["type"]);
        if kinds.contains(&kind) {
            errors.push(FieldError::duplicate(&path.child("type"), kind));
        }
        kinds.push(kind);
        limits(&mut errors, item, &path);
    }
    errors
}

/// min ≤ defaultRequest ≤ default ≤ max, resource by resource.
fn limits(errors: &mut Vec<FieldError>, item: &Value, path: &FieldPath) {
    const ORDER: [&str; 4] = ["min", "defaultRequest", "default", "max"];
    if text(item, &["type"]) == "Pod" {
        for part in ["default", "defaultRequest"] {
            if entries(item, &[part]).next().is_some() {
                let message = "may not be specified when `type` is 'Pod'";
                errors.push(FieldError::forbidden(&path.child(part), message));
            }
        }
    }
    for part in ORDER {
        for (resource, value) in entries(item, &[part]) {
            errors.extend(quantity(resource, value, &path.child(part).key(resource)));
        }
    }
    for (low_index, low) in ORDER.iter().enumerate() {
        for high in &ORDER[low_index + 1..] {
            for (resource, low_value) in entries(item, &[low]) {
                let (Some(low_amount), Some(high_amount)) =
                    (Quantity::from_json(low_value), Quantity::from_json(at(item, &[high, resource])))
                else {
                    continue;
                };
                if low_amount > high_amount {
                    let message = format!(
                        "{} value {low_amount} is greater than {} value {high_amount}",
                        words(low),
                        words(high)
                    );
                    errors.push(FieldError::invalid(&path.child(low).key(resource), low_amount.to_string(), message));
                }
            }
        }
    }
}

fn words(part: &str) -> &str {
    if part == "defaultRequest" { "default request" } else { part }
}

pub(crate) fn priority_class(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    let value = integer(object, &["value"]);
    let name = text(object, &["metadata", "name"]);
    if old.is_none() && !name.starts_with("system-") && value > USER_PRIORITY {
        let message = format!("maximum allowed value of a user defined priority is {USER_PRIORITY}");
        errors.push(FieldError::forbidden(&FieldPath::new("value"), message));
    }
    if let Some(old) = old {
        if integer(old, &["value"]) != value {
            let message = "may not be changed in an update.";
            errors.push(FieldError::forbidden(&FieldPath::new("value"), message));
        }
        let policy = |object: &Value| at(object, &["preemptionPolicy"]).clone();
        immutable(&mut errors, &FieldPath::new("preemptionPolicy"), &policy(object), &policy(old));
    }
    errors
}
