//! Deployments, ReplicaSets and Pod templates.

use serde_json::Value;

use super::{immutable, metadata, names, one_of, pod, selectors};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, entries, integer, list, text};
use crate::selector::LabelSelector;

pub(crate) fn deployment(object: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    if subresource.is_some() {
        return errors;
    }
    let (path, spec) = (FieldPath::new("spec"), at(object, &["spec"]));
    not_negative(&mut errors, spec, &["replicas"], &path);
    selector_and_template(&mut errors, spec, &path);
    strategy(&mut errors, at(spec, &["strategy"]), &path.child("strategy"));
    not_negative(&mut errors, spec, &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"], &path);
    let (deadline, ready) = (integer(spec, &["progressDeadlineSeconds"]), integer(spec, &["minReadySeconds"]));
    if spec["progressDeadlineSeconds"].is_i64() && deadline <= ready {
        let message = "must be greater than minReadySeconds";
        errors.push(FieldError::invalid(&path.child("progressDeadlineSeconds"), deadline, message));
    }
    selector_stays(&mut errors, spec, old, &path);
    errors
}

pub(crate) fn replica_set(object: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    if subresource.is_some() {
        return errors;
    }
    let (path, spec) = (FieldPath::new("spec"), at(object, &["spec"]));
    not_negative(&mut errors, spec, &["replicas", "minReadySeconds"], &path);
    selector_and_template(&mut errors, spec, &path);
    selector_stays(&mut errors, spec, old, &path);
    errors
}

pub(crate) fn pod_template(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    template(&mut errors, at(object, &["template"]), &FieldPath::new("template"));
    errors
}

fn not_negative(errors: &mut Vec<FieldError>, spec: &Value, keys: &[&str], path: &FieldPath) {
    for key in keys {
        let number = integer(spec, &[key]);
        if number < 0 {
            errors.push(FieldError::invalid(&path.child(key), number, "must be greater than or equal to 0"));
        }
    }
}

fn selector_stays(errors: &mut Vec<FieldError>, spec: &Value, old: Option<&Value>, path: &FieldPath) {
    if let Some(old) = old {
        immutable(errors, &path.child("selector"), at(spec, &["selector"]), at(old, &["spec", "selector"]));
    }
}

/// The selector is there, is sound, and selects what the template makes.
fn selector_and_template(errors: &mut Vec<FieldError>, spec: &Value, path: &FieldPath) {
    let (selector, selector_path) = (at(spec, &["selector"]), path.child("selector"));
    let parsed = if selector.is_object() {
        selectors::check(errors, selector, &selector_path);
        if entries(selector, &["matchLabels"]).next().is_none() && list(selector, &["matchExpressions"]).is_empty() {
            let message = "empty selector is invalid for deployment";
            errors.push(FieldError::invalid(&selector_path, selector.clone(), message));
        }
        LabelSelector::from_object(selector).ok()
    } else {
        errors.push(FieldError::required(&selector_path, ""));
        None
    };
    let (pod, template_path) = (at(spec, &["template"]), path.child("template"));
    let labels = at(pod, &["metadata", "labels"]);
    if let Some(parsed) = parsed.filter(|parsed| !parsed.is_empty())
        && !parsed.matches(labels)
    {
        let message = "`selector` does not match template `labels`";
        let path = template_path.child("metadata").child("labels");
        errors.push(FieldError::invalid(&path, labels.clone(), message));
    }
    template(errors, pod, &template_path);
    let policy = text(pod, &["spec", "restartPolicy"]);
    if policy != "Always" && !policy.is_empty() {
        let path = template_path.child("spec").child("restartPolicy");
        errors.push(FieldError::not_supported(&path, policy, &["Always"]));
    }
    if !at(pod, &["spec", "activeDeadlineSeconds"]).is_null() {
        let path = template_path.child("spec").child("activeDeadlineSeconds");
        errors.push(FieldError::forbidden(&path, "activeDeadlineSeconds in ReplicaSet is not Supported"));
    }
}

fn template(errors: &mut Vec<FieldError>, template: &Value, path: &FieldPath) {
    let metadata = path.child("metadata");
    errors.extend(metadata::labels(at(template, &["metadata", "labels"]), &metadata.child("labels")));
    errors.extend(pod::spec(at(template, &["spec"]), &path.child("spec")));
}

fn strategy(errors: &mut Vec<FieldError>, strategy: &Value, path: &FieldPath) {
    let rolling = at(strategy, &["rollingUpdate"]);
    match text(strategy, &["type"]) {
        "Recreate" if rolling.is_object() => {
            let message = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden(&path.child("rollingUpdate"), message));
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let zero = |key: &str| {
                matches!(at(rolling, &[key]), Value::Number(number) if number.as_i64() == Some(0))
                    || text(rolling, &[key]) == "0%"
            };
            if zero("maxUnavailable") && zero("maxSurge") {
                let value = at(rolling, &["maxUnavailable"]).clone();
                let message = "may not be 0 when `maxSurge` is 0";
                errors.push(FieldError::invalid(&path.child("rollingUpdate").child("maxUnavailable"), value, message));
            }
        }
        other => one_of(errors, &path.child("type"), other, &["Recreate", "RollingUpdate"]),
    }
}
