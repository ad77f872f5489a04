//! Probes and lifecycle hooks.

use serde_json::Value;

use super::{invalid_name, names, one_of, require};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, integer, list, text};

/// Which of a container's probes it is; the rules differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Liveness,
    Readiness,
    Startup,
}

pub(super) fn check(errors: &mut Vec<FieldError>, probe: &Value, kind: Kind, path: &FieldPath) {
    if !probe.is_object() {
        return;
    }
    handler(errors, probe, &["exec", "httpGet", "tcpSocket", "grpc"], path);
    for key in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        let value = integer(probe, &[key]);
        if value < 0 {
            errors.push(FieldError::invalid(&path.child(key), value, "must be greater than or equal to 0"));
        }
    }
    let grace = &probe["terminationGracePeriodSeconds"];
    let grace_path = path.child("terminationGracePeriodSeconds");
    if grace.as_i64().is_some_and(|seconds| seconds <= 0) {
        errors.push(FieldError::invalid(&grace_path, grace.clone(), "must be greater than 0"));
    }
    match kind {
        Kind::Readiness if !grace.is_null() => {
            errors.push(FieldError::invalid(&grace_path, grace.clone(), "must not be set for readinessProbes"));
        }
        Kind::Readiness => {}
        Kind::Liveness | Kind::Startup => {
            let threshold = integer(probe, &["successThreshold"]);
            if threshold != 1 {
                errors.push(FieldError::invalid(&path.child("successThreshold"), threshold, "must be 1"));
            }
        }
    }
}

/// `postStart` and `preStop`.
pub(super) fn lifecycle(errors: &mut Vec<FieldError>, lifecycle: &Value, grace: Option<i64>, path: &FieldPath) {
    for hook in ["postStart", "preStop"] {
        let (hook, path) = (at(lifecycle, &[hook]), path.child(hook));
        if !hook.is_object() {
            continue;
        }
        handler(errors, hook, &["exec", "httpGet", "tcpSocket", "sleep"], &path);
        if let (Some(seconds), Some(grace)) = (hook["sleep"]["seconds"].as_i64(), grace)
            && !(1..=grace).contains(&seconds)
        {
            let message = format!("must be greater than 0 and less than terminationGracePeriodSeconds ({grace})");
            errors.push(FieldError::invalid(&path.child("sleep"), seconds, message));
        }
    }
}

/// Exactly one handler of those allowed, itself correct.
fn handler(errors: &mut Vec<FieldError>, object: &Value, kinds: &[&str], path: &FieldPath) {
    let mut count = 0;
    for kind in kinds {
        let (action, path) = (at(object, &[kind]), path.child(kind));
        if !action.is_object() {
            continue;
        }
        count += 1;
        if count > 1 {
            errors.push(FieldError::forbidden(&path, "may not specify more than 1 handler type"));
            continue;
        }
        match *kind {
            "exec" if list(action, &["command"]).is_empty() => {
                errors.push(FieldError::required(&path.child("command"), ""));
            }
            "httpGet" => {
                require(errors, action, "path", &path);
                port(errors, &action["port"], &path.child("port"));
                one_of(errors, &path.child("scheme"), text(action, &["scheme"]), &["HTTP", "HTTPS"]);
                for (index, header) in list(action, &["httpHeaders"]).iter().enumerate() {
                    let name = text(header, &["name"]);
                    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                        let message = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. \
                                       'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
                        let path = path.child("httpHeaders").index(index).child("name");
                        errors.push(FieldError::invalid(&path, name, message));
                    }
                }
            }
            "tcpSocket" => port(errors, &action["port"], &path.child("port")),
            "grpc" => {
                let number = integer(action, &["port"]);
                for problem in names::port_number(number) {
                    errors.push(FieldError::invalid(&path.child("port"), number, problem));
                }
            }
            _ => {}
        }
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}

/// A number, or the name of one of the container's ports.
pub(super) fn port(errors: &mut Vec<FieldError>, port: &Value, path: &FieldPath) {
    match port {
        Value::String(name) => invalid_name(errors, path, name, names::port_name(name)),
        other => {
            let number = other.as_i64().unwrap_or_default();
            errors.extend(
                names::port_number(number).into_iter().map(|problem| FieldError::invalid(path, number, problem)),
            );
        }
    }
}
