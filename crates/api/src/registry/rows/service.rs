//! Rows of Services, Endpoints and EndpointSlices.

use jiff::Timestamp;
use serde_json::Value;

use crate::json::{at, integer, list, text};
use crate::registry::cells::{self, AGE, NAME, column, or_none, wide};
use crate::registry::{Column, Doc};

const SPEC: &str = "io.k8s.api.core.v1.ServiceSpec";

pub(in crate::registry) const SERVICE_COLUMNS: &[Column] = &[
    NAME,
    column("Type", Doc::Field(SPEC, "type")),
    column("Cluster-IP", Doc::Field(SPEC, "clusterIP")),
    column("External-IP", Doc::Field(SPEC, "externalIPs")),
    column("Port(s)", Doc::Field(SPEC, "ports")),
    AGE,
    wide("Selector", Doc::Field(SPEC, "selector")),
];

pub(in crate::registry) fn service(service: &Value, now: Timestamp) -> Vec<Value> {
    let spec = at(service, &["spec"]);
    let cluster_ip = match list(spec, &["clusterIPs"]).first().and_then(Value::as_str) {
        Some(ip) => ip,
        None => text(spec, &["clusterIP"]),
    };
    let ports: Vec<String> = list(spec, &["ports"]).iter().map(port).collect();
    vec![
        cells::name(service),
        text(spec, &["type"]).into(),
        or_none(cluster_ip),
        external_ip(service).into(),
        or_none(&ports.join(",")),
        cells::age(service, now),
        cells::labels(spec, &["selector"]).into(),
    ]
}

/// `80/TCP`, `80:30080/TCP`.
fn port(port: &Value) -> String {
    let (number, protocol) = (integer(port, &["port"]), text(port, &["protocol"]));
    match integer(port, &["nodePort"]) {
        0 => format!("{number}/{protocol}"),
        node_port => format!("{number}:{node_port}/{protocol}"),
    }
}

fn external_ip(service: &Value) -> String {
    let spec = at(service, &["spec"]);
    let own: Vec<&str> = list(spec, &["externalIPs"]).iter().filter_map(Value::as_str).collect();
    match text(spec, &["type"]) {
        "ExternalName" => text(spec, &["externalName"]).to_owned(),
        "LoadBalancer" => {
            let ingress = list(service, &["status", "loadBalancer", "ingress"]).iter().map(|ingress| {
                match text(ingress, &["ip"]) {
                    "" => text(ingress, &["hostname"]),
                    ip => ip,
                }
            });
            let all: Vec<&str> = ingress.chain(own).filter(|ip| !ip.is_empty()).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        _ if own.is_empty() => "<none>".to_owned(),
        _ => own.join(","),
    }
}

pub(in crate::registry) const ENDPOINTS_COLUMNS: &[Column] =
    &[NAME, column("Endpoints", Doc::Field("io.k8s.api.core.v1.Endpoints", "subsets")), AGE];

pub(in crate::registry) fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in list(object, &["subsets"]) {
        let addresses = list(subset, &["addresses"]);
        let ports = list(subset, &["ports"]);
        if ports.is_empty() {
            all.extend(addresses.iter().map(|address| text(address, &["ip"]).to_owned()));
        }
        for port in ports {
            let number = integer(port, &["port"]);
            all.extend(addresses.iter().map(|address| format!("{}:{number}", text(address, &["ip"]))));
        }
    }
    vec![cells::name(object), first_three(&all, "<none>").into(), cells::age(object, now)]
}

/// The first three, and how many more there are.
fn first_three(all: &[String], empty: &str) -> String {
    const SHOWN: usize = 3;
    match all.len() {
        0 => empty.to_owned(),
        count if count <= SHOWN => all.join(","),
        count => format!("{} + {} more...", all[..SHOWN].join(","), count - SHOWN),
    }
}

const SLICE: &str = "io.k8s.api.discovery.v1.EndpointSlice";

pub(in crate::registry) const ENDPOINT_SLICE_COLUMNS: &[Column] = &[
    NAME,
    column("AddressType", Doc::Field(SLICE, "addressType")),
    column("Ports", Doc::Field(SLICE, "ports")),
    column("Endpoints", Doc::Field(SLICE, "endpoints")),
    AGE,
];

pub(in crate::registry) fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = list(object, &["ports"])
        .iter()
        .map(|port| match port["port"].as_i64() {
            Some(number) => number.to_string(),
            None => "*".to_owned(),
        })
        .collect();
    let addresses: Vec<String> = list(object, &["endpoints"])
        .iter()
        .flat_map(|endpoint| list(endpoint, &["addresses"]))
        .filter_map(|address| address.as_str().map(str::to_owned))
        .collect();
    vec![
        cells::name(object),
        text(object, &["addressType"]).into(),
        first_three(&ports, "<unset>").into(),
        first_three(&addresses, "<unset>").into(),
        cells::age(object, now),
    ]
}
