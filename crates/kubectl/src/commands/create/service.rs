//! `kubectl create service …`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{How, meta};
use crate::failure::{Outcome, fail};

#[derive(Subcommand, Debug)]
pub(super) enum Service {
    /// Create a ClusterIP service
    Clusterip(Ports),
    /// Create a NodePort service
    Nodeport(Ports),
    /// Create a LoadBalancer service
    Loadbalancer(Ports),
    /// Create an ExternalName service
    Externalname(Ports),
}

#[derive(Args, Debug)]
pub(super) struct Ports {
    names: Vec<String>,
    /// PORT[:TARGETPORT]
    #[arg(long)]
    tcp: Vec<String>,
    /// None makes it headless
    #[arg(long)]
    clusterip: Option<String>,
    /// The port on the nodes
    #[arg(long)]
    node_port: Option<i64>,
    /// The name it stands for
    #[arg(long)]
    external_name: Option<String>,
    #[command(flatten)]
    how: How,
}

/// A port as Go's `strconv.ParseUint(text, 10, 16)` reads it, with its words.
fn number(text: &str) -> Outcome<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let why = if digits { "value out of range" } else { "invalid syntax" };
    text.parse().or_else(|_| fail(format!("strconv.ParseUint: parsing \"{text}\": {why}")))
}

pub(super) fn service(kind: Service) -> Outcome<(Value, How)> {
    let (kind, of) = match kind {
        Service::Clusterip(of) => ("ClusterIP", of),
        Service::Nodeport(of) => ("NodePort", of),
        Service::Loadbalancer(of) => ("LoadBalancer", of),
        Service::Externalname(of) => ("ExternalName", of),
    };
    let mut metadata = meta(&of.names, &format!("service {}", kind.to_lowercase()))?;
    let name = of.names[0].as_str();
    metadata["labels"] = json!({ "app": name });
    let mut ports = Vec::new();
    for pair in &of.tcp {
        let (port, target) = pair.split_once(':').unwrap_or((pair, pair));
        let port = number(port)?;
        let target = target.parse::<i64>().map_or_else(|_| Value::from(target), Value::from);
        let mut entry =
            json!({ "name": pair.replace(':', "-"), "port": port, "protocol": "TCP", "targetPort": target });
        if let Some(node) = of.node_port {
            entry["nodePort"] = node.into();
        }
        ports.push(entry);
    }
    let mut spec = json!({ "type": kind, "selector": { "app": name } });
    if !ports.is_empty() {
        spec["ports"] = ports.into();
    } else if kind != "ExternalName" && of.clusterip.as_deref() != Some("None") {
        return fail("at least one tcp port specifier must be provided");
    }
    if let Some(address) = &of.clusterip {
        spec["clusterIP"] = address.as_str().into();
    }
    if let Some(external) = &of.external_name {
        spec["externalName"] = external.as_str().into();
    }
    let object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": { "loadBalancer": {} },
    });
    Ok((object, of.how))
}
