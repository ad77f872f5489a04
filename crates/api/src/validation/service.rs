//! Services.

use serde_json::Value;

use super::{immutable, invalid_name, metadata, names, one_of, pod, probe};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, integer, list, text};

pub(crate) fn service(object: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::label_1035);
    if subresource.is_some() {
        return errors;
    }
    let (path, spec) = (FieldPath::new("spec"), at(object, &["spec"]));
    let kind = text(spec, &["type"]);
    let cluster_ip = text(spec, &["clusterIP"]);
    if let Some(old) = old
        && kind != "ExternalName"
        && text(old, &["spec", "type"]) != "ExternalName"
        && !text(old, &["spec", "clusterIP"]).is_empty()
    {
        immutable(&mut errors, &path.child("clusterIP"), at(spec, &["clusterIP"]), at(old, &["spec", "clusterIP"]));
    }
    let ports = list(spec, &["ports"]);
    if ports.is_empty() && cluster_ip != "None" && kind != "ExternalName" {
        errors.push(FieldError::required(&path.child("ports"), ""));
    }
    if kind == "ExternalName" {
        external_name(&mut errors, spec, &path);
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        self::port(&mut errors, port, ports.len() > 1, &mut seen, &path.child("ports").index(index));
    }
    errors.extend(metadata::labels(at(spec, &["selector"]), &path.child("selector")));
    one_of(&mut errors, &path.child("sessionAffinity"), text(spec, &["sessionAffinity"]), &["ClientIP", "None"]);
    if cluster_ip != "None" && !cluster_ip.is_empty() {
        pod::address(&mut errors, cluster_ip, &path.child("clusterIPs").index(0));
    }
    for (index, ip) in list(spec, &["externalIPs"]).iter().filter_map(Value::as_str).enumerate() {
        pod::address(&mut errors, ip, &path.child("externalIPs").index(index));
    }
    one_of(&mut errors, &path.child("type"), kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    duplicates(&mut errors, ports, &path.child("ports"));
    errors
}

fn external_name(errors: &mut Vec<FieldError>, spec: &Value, path: &FieldPath) {
    let name = text(spec, &["externalName"]);
    if !text(spec, &["clusterIP"]).is_empty() {
        let message = "may not be set when `type` is 'ExternalName'";
        errors.push(FieldError::forbidden(&path.child("clusterIPs"), message));
    }
    if name.is_empty() {
        errors.push(FieldError::required(&path.child("externalName"), ""));
    } else {
        invalid_name(errors, &path.child("externalName"), name, names::subdomain(name.trim_end_matches('.')));
    }
}

fn port<'a>(
    errors: &mut Vec<FieldError>,
    port: &'a Value,
    name_required: bool,
    seen: &mut Vec<&'a str>,
    path: &FieldPath,
) {
    let name = text(port, &["name"]);
    if name.is_empty() && name_required {
        errors.push(FieldError::required(&path.child("name"), ""));
    } else if !name.is_empty() {
        invalid_name(errors, &path.child("name"), name, names::label(name));
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
        seen.push(name);
    }
    let number = integer(port, &["port"]);
    let problems = names::port_number(number);
    errors.extend(problems.into_iter().map(|problem| FieldError::invalid(&path.child("port"), number, problem)));
    one_of(errors, &path.child("protocol"), text(port, &["protocol"]), &["SCTP", "TCP", "UDP"]);
    probe::port(errors, at(port, &["targetPort"]), &path.child("targetPort"));
}

/// No two entries for the same port and protocol.
fn duplicates(errors: &mut Vec<FieldError>, ports: &[Value], path: &FieldPath) {
    let mut seen = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let key = (integer(port, &["port"]), text(port, &["protocol"]));
        if seen.contains(&key) {
            let value = serde_json::json!({"port": key.0, "protocol": key.1});
            errors.push(FieldError::duplicate(&path.index(index), value));
        }
        seen.push(key);
    }
}
