//! Containers: regular ones, init containers and sidecars, ephemeral ones.

use std::collections::HashMap;

use serde_json::Value;

use super::probe::{self, Kind};
use super::{environment, invalid_name, names, one_of, require, resources, volume};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, integer, list, text, truth};

/// What a container is checked against: the Pod around it.
pub(super) struct Pod<'a> {
    pub volumes: HashMap<&'a str, &'a Value>,
    pub grace: Option<i64>,
}

/// `containers`: at least one, names unique, all handlers allowed.
pub(super) fn regular(errors: &mut Vec<FieldError>, containers: &[Value], pod: &Pod<'_>, path: &FieldPath) {
    if containers.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut seen = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        common(errors, container, pod, &path);
        unique(errors, container, &mut seen, &path);
        handlers(errors, container, pod, &path);
        if container["restartPolicy"].is_string() {
            let message = "may not be set for non-init containers";
            errors.push(FieldError::forbidden(&path.child("restartPolicy"), message));
        }
    }
    host_ports(errors, containers, path);
}

/// `initContainers`: names differ from the regular ones' too; only sidecars have probes and hooks.
pub(super) fn init(errors: &mut Vec<FieldError>, spec: &Value, pod: &Pod<'_>, path: &FieldPath) {
    let mut seen: Vec<&str> = list(spec, &["containers"]).iter().map(|container| text(container, &["name"])).collect();
    for (index, container) in list(spec, &["initContainers"]).iter().enumerate() {
        let path = path.index(index);
        common(errors, container, pod, &path);
        let sidecar = text(container, &["restartPolicy"]) == "Always";
        if container["restartPolicy"].is_string() && !sidecar {
            let policy = text(container, &["restartPolicy"]);
            errors.push(FieldError::not_supported(&path.child("restartPolicy"), policy, &["Always"]));
        }
        unique(errors, container, &mut seen, &path);
        if sidecar {
            handlers(errors, container, pod, &path);
        } else {
            for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if container[field].is_object() {
                    let message = "may not be set for init containers without restartPolicy=Always";
                    errors.push(FieldError::forbidden(&path.child(field), message));
                }
            }
        }
    }
}

/// `ephemeralContainers`: for looking into a running Pod, so nothing that plans ahead.
pub(super) fn ephemeral(errors: &mut Vec<FieldError>, spec: &Value, pod: &Pod<'_>, path: &FieldPath) {
    let others = list(spec, &["containers"]).iter().chain(list(spec, &["initContainers"]));
    let mut seen: Vec<&str> = others.clone().map(|container| text(container, &["name"])).collect();
    for (index, container) in list(spec, &["ephemeralContainers"]).iter().enumerate() {
        let path = path.index(index);
        common(errors, container, pod, &path);
        unique(errors, container, &mut seen, &path);
        let target = text(container, &["targetContainerName"]);
        if !target.is_empty() && !others.clone().any(|other| text(other, &["name"]) == target) {
            errors.push(FieldError::not_found(&path.child("targetContainerName"), target));
        }
        for field in ["ports", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if !container[field].is_null() {
                let message = "cannot be set for an Ephemeral Container";
                errors.push(FieldError::forbidden(&path.child(field), message));
            }
        }
    }
}

fn unique<'a>(errors: &mut Vec<FieldError>, container: &'a Value, seen: &mut Vec<&'a str>, path: &FieldPath) {
    let name = text(container, &["name"]);
    if seen.contains(&name) {
        errors.push(FieldError::duplicate(&path.child("name"), name));
    }
    seen.push(name);
}

fn handlers(errors: &mut Vec<FieldError>, container: &Value, pod: &Pod<'_>, path: &FieldPath) {
    probe::lifecycle(errors, &container["lifecycle"], pod.grace, &path.child("lifecycle"));
    for (field, kind) in
        [("livenessProbe", Kind::Liveness), ("readinessProbe", Kind::Readiness), ("startupProbe", Kind::Startup)]
    {
        probe::check(errors, &container[field], kind, &path.child(field));
    }
}

fn common(errors: &mut Vec<FieldError>, container: &Value, pod: &Pod<'_>, path: &FieldPath) {
    let name = text(container, &["name"]);
    if require(errors, container, "name", path) {
        invalid_name(errors, &path.child("name"), name, names::label(name));
    }
    let image = text(container, &["image"]);
    if require(errors, container, "image", path) && image.trim() != image {
        let message = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(&path.child("image"), image, message));
    }
    let policy = text(container, &["terminationMessagePolicy"]);
    one_of(errors, &path.child("terminationMessagePolicy"), policy, &["File", "FallbackToLogsOnError"]);
    ports(errors, list(container, &["ports"]), &path.child("ports"));
    environment::check(errors, container, path);
    volume::mounts(errors, container, &pod.volumes, path);
    let pull = text(container, &["imagePullPolicy"]);
    if require(errors, container, "imagePullPolicy", path) {
        one_of(errors, &path.child("imagePullPolicy"), pull, &["Always", "IfNotPresent", "Never"]);
    }
    errors.extend(resources::requirements(&container["resources"], &path.child("resources")));
    security(errors, &container["securityContext"], &path.child("securityContext"));
}

fn ports(errors: &mut Vec<FieldError>, ports: &[Value], path: &FieldPath) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = text(port, &["name"]);
        if !name.is_empty() {
            let problems = names::port_name(name);
            if !problems.is_empty() {
                invalid_name(errors, &path.child("name"), name, problems);
            } else if seen.contains(&name) {
                errors.push(FieldError::duplicate(&path.child("name"), name));
            } else {
                seen.push(name);
            }
        }
        for key in ["containerPort", "hostPort"] {
            let (number, path) = (integer(port, &[key]), path.child(key));
            if number != 0 {
                let problems = names::port_number(number);
                errors.extend(problems.into_iter().map(|problem| FieldError::invalid(&path, number, problem)));
            } else if key == "containerPort" {
                errors.push(FieldError::required(&path, ""));
            }
        }
        one_of(errors, &path.child("protocol"), text(port, &["protocol"]), &["SCTP", "TCP", "UDP"]);
    }
}

/// No two containers of a Pod take the same port of the node.
fn host_ports(errors: &mut Vec<FieldError>, containers: &[Value], path: &FieldPath) {
    let mut seen = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        for (port_index, port) in list(container, &["ports"]).iter().enumerate() {
            let number = integer(port, &["hostPort"]);
            if number == 0 {
                continue;
            }
            let key = format!("{}/{}/{number}", text(port, &["protocol"]), text(port, &["hostIP"]));
            if seen.contains(&key) {
                let path = path.index(index).child("ports").index(port_index).child("hostPort");
                errors.push(FieldError::duplicate(&path, key.clone()));
            }
            seen.push(key);
        }
    }
}

fn security(errors: &mut Vec<FieldError>, context: &Value, path: &FieldPath) {
    if !context.is_object() {
        return;
    }
    for key in ["runAsUser", "runAsGroup"] {
        id(errors, &context[key], &path.child(key));
    }
    if let Some(mount) = context["procMount"].as_str() {
        one_of(errors, &path.child("procMount"), mount, &["Default", "Unmasked"]);
    }
    seccomp(errors, &context["seccompProfile"], &path.child("seccompProfile"));
    if context["allowPrivilegeEscalation"] == false {
        if truth(context, &["privileged"]) {
            let message = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(FieldError::invalid(path, context.clone(), message));
        }
        if list(context, &["capabilities", "add"]).iter().any(|name| name == "CAP_SYS_ADMIN") {
            let message = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(FieldError::invalid(path, context.clone(), message));
        }
    }
}

/// A user or group id.
pub(super) fn id(errors: &mut Vec<FieldError>, value: &Value, path: &FieldPath) {
    if let Some(id) = value.as_i64()
        && !(0..=i64::from(i32::MAX)).contains(&id)
    {
        errors.push(FieldError::invalid(path, id, names::range(0, i64::from(i32::MAX))));
    }
}

pub(super) fn seccomp(errors: &mut Vec<FieldError>, profile: &Value, path: &FieldPath) {
    if !profile.is_object() {
        return;
    }
    let kind = text(profile, &["type"]);
    let local = at(profile, &["localhostProfile"]);
    match kind {
        "" => errors.push(FieldError::required(&path.child("type"), "type is required when seccompProfile is set")),
        "Localhost" if local.is_null() => {
            let message = "must be set when seccomp type is Localhost";
            errors.push(FieldError::required(&path.child("localhostProfile"), message));
        }
        "Localhost" => {}
        "RuntimeDefault" | "Unconfined" if !local.is_null() => {
            let message = "can only be set when seccomp type is Localhost";
            errors.push(FieldError::invalid(&path.child("localhostProfile"), local.clone(), message));
        }
        _ => one_of(errors, &path.child("type"), kind, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
}

/// With the node's network, a port of the container is the node's.
pub(super) fn host_network(errors: &mut Vec<FieldError>, containers: &[Value], path: &FieldPath) {
    for (index, container) in containers.iter().enumerate() {
        for (port_index, port) in list(container, &["ports"]).iter().enumerate() {
            let (host, own) = (integer(port, &["hostPort"]), integer(port, &["containerPort"]));
            if host != own {
                let path = path.index(index).child("ports").index(port_index).child("containerPort");
                errors.push(FieldError::invalid(&path, own, "must match `hostPort` when `hostNetwork` is true"));
            }
        }
    }
}

/// The volumes of a Pod by their names.
pub(super) fn volumes_by_name(spec: &Value) -> HashMap<&str, &Value> {
    let volumes = list(spec, &["volumes"]).iter();
    volumes.map(|volume| (text(volume, &["name"]), volume)).filter(|(name, _)| !name.is_empty()).collect()
}
