//! Defaults of Services, Endpoints and EndpointSlices.

use serde_json::{Value, json};

use crate::json::{list_mut, set_default};

pub(crate) fn service(service: &mut Value) {
    let spec = &mut service["spec"];
    set_default(spec, "sessionAffinity", "None");
    set_default(spec, "type", "ClusterIP");
    if spec["sessionAffinity"] == "ClientIP" {
        set_default(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10_800}}));
    }
    for port in list_mut(spec, &["ports"]) {
        set_default(port, "protocol", "TCP");
        // No target port, or none that says anything: the port itself.
        let number = port["port"].clone();
        let target = &port["targetPort"];
        if target.is_null() || *target == json!(0) || *target == json!("") {
            port["targetPort"] = number;
        }
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind == "NodePort" || kind == "LoadBalancer" {
        set_default(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind != "ExternalName" {
        set_default(spec, "internalTrafficPolicy", "Cluster");
        set_default(spec, "ipFamilyPolicy", "SingleStack");
        set_default(spec, "ipFamilies", json!(["IPv4"]));
    }
    if kind == "LoadBalancer" {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
    }
    let cluster_ip = spec["clusterIP"].clone();
    if cluster_ip.is_string() {
        set_default(spec, "clusterIPs", json!([cluster_ip]));
    }
}

pub(crate) fn endpoints(endpoints: &mut Value) {
    for subset in list_mut(endpoints, &["subsets"]) {
        for port in list_mut(subset, &["ports"]) {
            set_default(port, "protocol", "TCP");
        }
    }
}

pub(crate) fn endpoint_slice(slice: &mut Value) {
    for port in list_mut(slice, &["ports"]) {
        set_default(port, "name", "");
        set_default(port, "protocol", "TCP");
    }
}
