//! Pods, and the Pod specs of templates.

use serde_json::Value;

use super::container::{self, Pod};
use super::{invalid_name, metadata, names, one_of, pod_update, require, scheduling, volume};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, list, text, truth};

pub(crate) fn pod(object: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
    match (old, subresource) {
        (Some(old), None) => pod_update::check(object, old),
        (Some(old), Some("ephemeralcontainers")) => pod_update::ephemeral(object, old),
        (Some(old), Some(_)) => metadata::check(object, Some(old), names::subdomain),
        (None, _) => {
            let mut errors = whole(object, None);
            if !list(object, &["spec", "ephemeralContainers"]).is_empty() {
                let path = FieldPath::new("spec").child("ephemeralContainers");
                errors.push(FieldError::forbidden(&path, "cannot be set on create"));
            }
            errors
        }
    }
}

/// Metadata and spec.
pub(super) fn whole(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    errors.extend(spec(at(object, &["spec"]), &FieldPath::new("spec")));
    errors
}

/// The spec of a Pod or of a template.
pub(super) fn spec(spec: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let found = &mut errors;
    let pod = Pod { volumes: container::volumes_by_name(spec), grace: spec["terminationGracePeriodSeconds"].as_i64() };
    volume::pod_volumes(found, list(spec, &["volumes"]), &path.child("volumes"));
    container::regular(found, list(spec, &["containers"]), &pod, &path.child("containers"));
    container::init(found, spec, &pod, &path.child("initContainers"));
    container::ephemeral(found, spec, &pod, &path.child("ephemeralContainers"));
    if require(found, spec, "restartPolicy", path) {
        let policy = text(spec, &["restartPolicy"]);
        one_of(found, &path.child("restartPolicy"), policy, &["Always", "OnFailure", "Never"]);
    }
    if require(found, spec, "dnsPolicy", path) {
        let policy = text(spec, &["dnsPolicy"]);
        one_of(
            found,
            &path.child("dnsPolicy"),
            policy,
            &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        );
    }
    found.extend(metadata::labels(at(spec, &["nodeSelector"]), &path.child("nodeSelector")));
    security(found, spec, path);
    for (index, secret) in list(spec, &["imagePullSecrets"]).iter().enumerate() {
        if text(secret, &["name"]).is_empty() {
            found.push(FieldError::required(&path.child("imagePullSecrets").index(index).child("name"), ""));
        }
    }
    scheduling::affinity(found, at(spec, &["affinity"]), &path.child("affinity"));
    dns_config(found, spec, path);
    gates(found, spec, path);
    scheduling::spread(found, list(spec, &["topologySpreadConstraints"]), &path.child("topologySpreadConstraints"));
    names_and_times(found, spec, path);
    scheduling::tolerations(found, list(spec, &["tolerations"]), &path.child("tolerations"));
    host_aliases(found, list(spec, &["hostAliases"]), &path.child("hostAliases"));
    let class = text(spec, &["priorityClassName"]);
    if !class.is_empty() {
        invalid_name(found, &path.child("priorityClassName"), class, names::subdomain(class));
    }
    if let Some(policy) = spec["preemptionPolicy"].as_str() {
        one_of(found, &path.child("preemptionPolicy"), policy, &["Never", "PreemptLowerPriority"]);
    }
    errors
}

fn security(errors: &mut Vec<FieldError>, spec: &Value, path: &FieldPath) {
    if truth(spec, &["hostNetwork"]) {
        for key in ["containers", "initContainers"] {
            container::host_network(errors, list(spec, &[key]), &path.child(key));
        }
    }
    if truth(spec, &["shareProcessNamespace"]) && truth(spec, &["hostPID"]) {
        let message = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(&path.child("shareProcessNamespace"), true, message));
    }
    let (context, path) = (at(spec, &["securityContext"]), path.child("securityContext"));
    for key in ["fsGroup", "runAsUser", "runAsGroup"] {
        container::id(errors, at(context, &[key]), &path.child(key));
    }
    for (index, group) in list(context, &["supplementalGroups"]).iter().enumerate() {
        container::id(errors, group, &path.child("supplementalGroups").index(index));
    }
    if let Some(policy) = context.get("fsGroupChangePolicy").and_then(Value::as_str) {
        one_of(errors, &path.child("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    }
    container::seccomp(errors, at(context, &["seccompProfile"]), &path.child("seccompProfile"));
}

/// Conditions that readiness waits for, and what holds scheduling back.
fn gates(errors: &mut Vec<FieldError>, spec: &Value, path: &FieldPath) {
    for (index, gate) in list(spec, &["readinessGates"]).iter().enumerate() {
        let (path, kind) = (path.child("readinessGates").index(index), text(gate, &["conditionType"]));
        invalid_name(errors, &path.child("conditionType"), kind, names::qualified_name(kind));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, gate) in list(spec, &["schedulingGates"]).iter().enumerate() {
        let (path, name) = (path.child("schedulingGates").index(index), text(gate, &["name"]));
        if name.is_empty() {
            errors.push(FieldError::required(&path, ""));
        } else {
            invalid_name(errors, &path, name, names::qualified_name(name));
        }
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&path, name));
        }
        seen.push(name);
    }
}

/// Service account, node, deadline, host name: single fields in upstream's order.
fn names_and_times(errors: &mut Vec<FieldError>, spec: &Value, path: &FieldPath) {
    for key in ["serviceAccountName", "nodeName"] {
        let name = text(spec, &[key]);
        if !name.is_empty() {
            invalid_name(errors, &path.child(key), name, names::subdomain(name));
        }
    }
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64()
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let message = names::range(1, i64::from(i32::MAX));
        errors.push(FieldError::invalid(&path.child("activeDeadlineSeconds"), seconds, message));
    }
    if let Some(seconds) = spec["terminationGracePeriodSeconds"].as_i64()
        && seconds < 0
    {
        let message = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(&path.child("terminationGracePeriodSeconds"), seconds, message));
    }
    for key in ["hostname", "subdomain"] {
        let name = text(spec, &[key]);
        if !name.is_empty() {
            invalid_name(errors, &path.child(key), name, names::label(name));
        }
    }
}

fn dns_config(errors: &mut Vec<FieldError>, spec: &Value, path: &FieldPath) {
    let (config, path) = (at(spec, &["dnsConfig"]), path.child("dnsConfig"));
    let servers = list(config, &["nameservers"]);
    if text(spec, &["dnsPolicy"]) == "None" {
        if !config.is_object() {
            let message = "must provide `dnsConfig` when `dnsPolicy` is None";
            errors.push(FieldError::required(&path, message));
        } else if servers.is_empty() {
            let message = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(FieldError::required(&path.child("nameservers"), message));
        }
    }
    const SERVERS: usize = 3;
    if servers.len() > SERVERS {
        let mut error = FieldError::invalid(&path.child("nameservers"), Value::from(servers.to_vec()), "");
        error.detail = format!("must not have more than {SERVERS} nameservers");
        errors.push(error);
    }
    for (index, server) in servers.iter().filter_map(Value::as_str).enumerate() {
        address(errors, server, &path.child("nameservers").index(index));
    }
}

/// An IPv4 or IPv6 address.
pub(super) fn address(errors: &mut Vec<FieldError>, text: &str, path: &FieldPath) {
    if text.parse::<std::net::IpAddr>().is_err() {
        let message = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(FieldError::invalid(path, text, message));
    }
}

fn host_aliases(errors: &mut Vec<FieldError>, aliases: &[Value], path: &FieldPath) {
    for (index, alias) in aliases.iter().enumerate() {
        let path = path.index(index);
        address(errors, text(alias, &["ip"]), &path.child("ip"));
        for (index, name) in list(alias, &["hostnames"]).iter().filter_map(Value::as_str).enumerate() {
            invalid_name(errors, &path.child("hostnames").index(index), name, names::subdomain(name));
        }
    }
}
