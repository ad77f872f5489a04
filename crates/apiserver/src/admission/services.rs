//! Cluster IPs and node ports of Services (k8s.io/kubernetes/pkg/registry/core/service/storage/alloc.go).
//!
//! What is taken is read from the Services themselves, under a lock that is held until the new one is in the store.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use podlab_api::error::{ApiError, FieldError, FieldPath};
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;

use super::Admission;
use crate::http::place_of;
use crate::store::Range;

/// 10.96.0.0/12.
const NETWORK: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const ADDRESSES: u32 = 1 << 20;
/// Addresses at the beginning that are only given when asked for.
const STATIC: u32 = 256;
/// The addresses between the nodes, 10.99.0.0/24, lie in the network too: they are taken.
const NODES: std::ops::Range<u32> = 0x3_0000..0x3_0100;
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// Keeps others from taking the same; dropped when the Service is stored.
pub(crate) type Allocation = Option<OwnedMutexGuard<()>>;

/// Fills in what a Service leaves open, and checks that what it asks for is free.
pub(super) async fn allocate(admission: &Admission<'_>, service: &mut Value) -> Result<Allocation, ApiError> {
    let kind = service["spec"]["type"].as_str().unwrap_or("ClusterIP").to_owned();
    if kind == "ExternalName" {
        return Ok(None);
    }
    let guard = admission.server.inner.charging.lock("services of all namespaces").await;
    let others = others(admission, service);
    let mut errors = Vec::new();
    cluster_ip(service, &others, &mut errors);
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        node_ports(service, &others, &mut errors);
    }
    if errors.is_empty() {
        return Ok(Some(guard));
    }
    let name = service["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Err(ApiError::Invalid { group: String::new(), kind: "Service".into(), name, errors })
}

/// An update that does not say what had been allocated keeps it.
pub(super) fn keep(service: &mut Value, old: &Value) {
    let kind = |service: &Value| service["spec"]["type"].as_str().unwrap_or("ClusterIP").to_owned();
    if kind(service) == "ExternalName" || kind(old) == "ExternalName" {
        return;
    }
    let given = service["spec"]["clusterIP"].as_str().unwrap_or_default();
    if given.is_empty() {
        for field in ["clusterIP", "clusterIPs"] {
            if !old["spec"][field].is_null() {
                service["spec"][field] = old["spec"][field].clone();
            }
        }
    }
    if kind(service) == "ClusterIP" || kind(old) == "ClusterIP" {
        return;
    }
    let known = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let ports = service.get_mut("spec").and_then(|spec| spec.get_mut("ports")).and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        let same = |old: &&Value| old["port"] == port["port"] && old["protocol"] == port["protocol"];
        if number(&port["nodePort"]) == 0
            && let Some(old) = known.iter().find(same)
            && number(&old["nodePort"]) != 0
        {
            port["nodePort"] = old["nodePort"].clone();
        }
    }
}

fn others(admission: &Admission<'_>, service: &Value) -> Vec<Value> {
    let objects = admission.server.store().list(place_of("services"), &Range::default()).objects;
    let services = objects.iter().map(|object| object.value());
    services.filter(|other| other["metadata"]["uid"] != service["metadata"]["uid"]).collect()
}

fn cluster_ip(service: &mut Value, others: &[Value], errors: &mut Vec<FieldError>) {
    let taken: HashSet<&str> = others.iter().filter_map(|other| other["spec"]["clusterIP"].as_str()).collect();
    let wanted = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    match wanted.as_str() {
        "None" => {}
        "" => {
            let random = u32::from_be_bytes(random());
            let free = (0..ADDRESSES - STATIC)
                .map(|step| STATIC + random.wrapping_add(step) % (ADDRESSES - STATIC))
                // The last address of the network is its broadcast address.
                .filter(|offset| *offset < ADDRESSES - 1 && !NODES.contains(offset))
                .map(|offset| Ipv4Addr::from(NETWORK + offset).to_string())
                .find(|address| !taken.contains(address.as_str()));
            match free {
                Some(address) => {
                    service["spec"]["clusterIPs"] = json!([address]);
                    service["spec"]["clusterIP"] = address.into();
                }
                None => errors.push(FieldError::forbidden(&FieldPath::new("spec.clusterIPs"), "no address is free")),
            }
        }
        address => {
            let offset = address.parse::<Ipv4Addr>().map(|ip| u32::from(ip).wrapping_sub(NETWORK)).unwrap_or(u32::MAX);
            let problem = if !(1..ADDRESSES).contains(&offset) {
                "the provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/12"
            } else if taken.contains(address) || NODES.contains(&offset) {
                "provided IP is already allocated"
            } else {
                return;
            };
            let detail = format!("failed to allocate IP {address}: {problem}");
            errors.push(FieldError::invalid(&FieldPath::new("spec.clusterIPs"), json!([address]), detail));
        }
    }
}

fn node_ports(service: &mut Value, others: &[Value], errors: &mut Vec<FieldError>) {
    let ports_of = |service: &Value| service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let mut taken: HashSet<u64> = others.iter().flat_map(ports_of).map(|port| number(&port["nodePort"])).collect();
    let ports = service.get_mut("spec").and_then(|spec| spec.get_mut("ports")).and_then(Value::as_array_mut);
    for (index, port) in ports.into_iter().flatten().enumerate() {
        let wanted = number(&port["nodePort"]);
        let field = FieldPath::new("spec.ports").index(index).child("nodePort");
        if wanted == 0 {
            let count = u16::try_from(NODE_PORTS.len()).unwrap_or(1);
            let [a, b, ..] = random();
            let start = u16::from_be_bytes([a, b]) % count;
            let free = (0..count).map(|step| u64::from(*NODE_PORTS.start() + (start + step) % count));
            match free.into_iter().find(|port| !taken.contains(port)) {
                Some(free) => {
                    port["nodePort"] = free.into();
                    taken.insert(free);
                }
                None => errors.push(FieldError::forbidden(&field, "no port is free")),
            }
        } else if !u16::try_from(wanted).is_ok_and(|port| NODE_PORTS.contains(&port)) {
            let detail = "provided port is not in the valid range. The range of valid ports is 30000-32767";
            errors.push(FieldError::invalid(&field, wanted, detail));
        } else if !taken.insert(wanted) {
            errors.push(FieldError::invalid(&field, wanted, "provided port is already allocated"));
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn random() -> [u8; 4] {
    let [a, b, c, d, ..] = *uuid::Uuid::new_v4().as_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(spec: Value) -> Value {
        json!({"metadata": {"name": "s"}, "spec": spec})
    }

    #[test]
    fn an_address_is_given_and_never_twice() {
        let others = [service(json!({"clusterIP": "10.96.0.1"}))];
        let mut errors = Vec::new();
        let mut open = service(json!({}));
        cluster_ip(&mut open, &others, &mut errors);
        let given: Ipv4Addr = open["spec"]["clusterIP"].as_str().unwrap().parse().unwrap();
        assert!((STATIC..ADDRESSES).contains(&(u32::from(given) - NETWORK)), "{given}");
        assert_eq!(open["spec"]["clusterIPs"][0], open["spec"]["clusterIP"]);
        let mut headless = service(json!({"clusterIP": "None"}));
        cluster_ip(&mut headless, &others, &mut errors);
        assert!(errors.is_empty());
        for wrong in ["10.96.0.1", "192.168.0.1", "10.99.0.254"] {
            cluster_ip(&mut service(json!({"clusterIP": wrong})), &others, &mut errors);
        }
        assert_eq!(errors.len(), 3);
        let taken = "spec.clusterIPs: Invalid value: [\"10.96.0.1\"]: failed to allocate IP 10.96.0.1: provided IP is already allocated";
        assert_eq!(errors[0].to_string(), taken);
    }

    #[test]
    fn node_ports_are_given_checked_and_kept() {
        let others = [service(json!({"ports": [{"nodePort": 30_080}]}))];
        let mut errors = Vec::new();
        let mut open = service(json!({"type": "NodePort", "ports": [{"port": 80}, {"port": 81, "nodePort": 31_000}]}));
        node_ports(&mut open, &others, &mut errors);
        assert!(errors.is_empty());
        let given = open["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
        assert!(NODE_PORTS.contains(&u16::try_from(given).unwrap()));
        let mut update = service(json!({"type": "NodePort", "ports": [{"port": 80}]}));
        open["spec"]["clusterIP"] = "10.97.0.1".into();
        keep(&mut update, &open);
        assert_eq!(update["spec"]["ports"][0]["nodePort"], given);
        assert_eq!(update["spec"]["clusterIP"], "10.97.0.1");
        let mut taken = service(json!({"ports": [{"nodePort": 30_080}, {"nodePort": 80}]}));
        node_ports(&mut taken, &others, &mut errors);
        assert_eq!(errors.len(), 2);
    }
}
