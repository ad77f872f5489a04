//! Where a Pod may go: affinity, tolerations, and how Pods spread.

use serde_json::Value;

use super::{invalid_name, names, one_of, selectors};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, integer, list, text};

/// `tolerations`.
pub(super) fn tolerations(errors: &mut Vec<FieldError>, tolerations: &[Value], path: &FieldPath) {
    for (index, toleration) in tolerations.iter().enumerate() {
        let path = path.index(index);
        let part = |key: &str| text(toleration, &[key]);
        let (key, operator, value, effect) = (part("key"), part("operator"), part("value"), part("effect"));
        if !key.is_empty() {
            invalid_name(errors, &path.child("key"), key, names::qualified_name(key));
        } else if operator != "Exists" {
            let message = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(&path.child("operator"), operator, message));
        }
        if !toleration["tolerationSeconds"].is_null() && effect != "NoExecute" {
            let message = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(&path.child("effect"), effect, message));
        }
        match operator {
            "Equal" | "" => {
                if let Some(problem) = names::label_value(value).first() {
                    errors.push(FieldError::invalid(&path.child("operator"), value, problem.as_str()));
                }
            }
            "Exists" if !value.is_empty() => {
                let message = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(&path.child("operator"), toleration.clone(), message));
            }
            "Exists" => {}
            _ => errors.push(FieldError::not_supported(&path.child("operator"), operator, &["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            one_of(errors, &path.child("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}

/// `affinity`.
pub(super) fn affinity(errors: &mut Vec<FieldError>, affinity: &Value, path: &FieldPath) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (affinity, path) = (at(affinity, &[kind]), path.child(kind));
        for (index, term) in list(affinity, &[REQUIRED]).iter().enumerate() {
            pod_term(errors, term, &path.child(REQUIRED).index(index));
        }
        for (index, preference) in list(affinity, &[PREFERRED]).iter().enumerate() {
            let path = path.child(PREFERRED).index(index);
            weight(errors, preference, &path);
            pod_term(errors, at(preference, &["podAffinityTerm"]), &path.child("podAffinityTerm"));
        }
    }
    let node = at(affinity, &["nodeAffinity"]);
    let path = path.child("nodeAffinity");
    if at(node, &[REQUIRED]).is_object() {
        let path = path.child(REQUIRED).child("nodeSelectorTerms");
        let terms = list(node, &[REQUIRED, "nodeSelectorTerms"]);
        if terms.is_empty() {
            errors.push(FieldError::required(&path, "must have at least one node selector term"));
        }
        for (index, term) in terms.iter().enumerate() {
            node_term(errors, term, &path.index(index));
        }
    }
    for (index, preference) in list(node, &[PREFERRED]).iter().enumerate() {
        let path = path.child(PREFERRED).index(index);
        weight(errors, preference, &path);
        node_term(errors, at(preference, &["preference"]), &path.child("preference"));
    }
}

fn weight(errors: &mut Vec<FieldError>, preference: &Value, path: &FieldPath) {
    let weight = integer(preference, &["weight"]);
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(&path.child("weight"), weight, "must be in the range 1-100"));
    }
}

/// Pods that attract or repel, and how near is near.
fn pod_term(errors: &mut Vec<FieldError>, term: &Value, path: &FieldPath) {
    let selector = at(term, &["labelSelector"]);
    if selector.is_object() {
        selectors::check(errors, selector, &path.child("labelSelector"));
    }
    for (index, namespace) in list(term, &["namespaces"]).iter().filter_map(Value::as_str).enumerate() {
        invalid_name(errors, &path.child("namespaces").index(index), namespace, names::label(namespace));
    }
    topology_key(errors, term, path);
}

fn topology_key(errors: &mut Vec<FieldError>, object: &Value, path: &FieldPath) {
    let (key, path) = (text(object, &["topologyKey"]), path.child("topologyKey"));
    if key.is_empty() {
        errors.push(FieldError::required(&path, "can not be empty"));
    } else {
        invalid_name(errors, &path, key, names::qualified_name(key));
    }
}

/// `topologySpreadConstraints`.
pub(super) fn spread(errors: &mut Vec<FieldError>, constraints: &[Value], path: &FieldPath) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        let skew = integer(constraint, &["maxSkew"]);
        if skew <= 0 {
            errors.push(FieldError::invalid(&path.child("maxSkew"), skew, "must be greater than zero"));
        }
        topology_key(errors, constraint, &path);
        let action = text(constraint, &["whenUnsatisfiable"]);
        one_of(errors, &path.child("whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        let key = (text(constraint, &["topologyKey"]), action);
        if seen.contains(&key) {
            let shown = format!("{{{}, {}}}", key.0, key.1);
            errors.push(FieldError::duplicate(&path.child("{topologyKey, whenUnsatisfiable}"), shown));
        }
        seen.push(key);
        if let Some(domains) = constraint["minDomains"].as_i64() {
            let path = path.child("minDomains");
            if domains <= 0 {
                errors.push(FieldError::invalid(&path, domains, "must be greater than zero"));
            }
            if action != "DoNotSchedule" {
                let message = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.push(FieldError::invalid(&path, domains, message));
            }
        }
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(policy) = constraint[key].as_str() {
                one_of(errors, &path.child(key), policy, &["Honor", "Ignore"]);
            }
        }
        let selector = at(constraint, &["labelSelector"]);
        if selector.is_object() {
            selectors::check(errors, selector, &path.child("labelSelector"));
        }
    }
}

fn node_term(errors: &mut Vec<FieldError>, term: &Value, path: &FieldPath) {
    for (index, requirement) in list(term, &["matchExpressions"]).iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let values = list(requirement, &["values"]);
        let operator = text(requirement, &["operator"]);
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let message = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(&path.child("values"), message));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let message = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(&path.child("values"), message));
            }
            "Gt" | "Lt" if values.len() != 1 => {
                let message = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.push(FieldError::required(&path.child("values"), message));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            _ => {
                let message = "not a valid selector operator";
                errors.push(FieldError::invalid(&path.child("operator"), operator, message));
            }
        }
        let key = text(requirement, &["key"]);
        invalid_name(errors, &path.child("key"), key, names::qualified_name(key));
    }
}
