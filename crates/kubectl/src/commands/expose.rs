//! `kubectl expose`

use clap::Args;
use podlab_api::json::{at, integer, list, text};
use serde_json::{Value, json};

use super::common::Writing;
use crate::failure::{Outcome, fail, together};
use crate::find::{Choice, Found};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// TYPE NAME or TYPE/NAME
    words: Vec<String>,
    #[command(flatten)]
    files: crate::select::Files,
    #[command(flatten)]
    writing: Writing,
    /// The Service's port
    #[arg(long)]
    port: Option<i64>,
    /// The container's port
    #[arg(long)]
    target_port: Option<String>,
    /// TCP, UDP or SCTP
    #[arg(long)]
    protocol: Option<String>,
    /// The Service's name
    #[arg(long)]
    name: Option<String>,
    /// ClusterIP, NodePort, LoadBalancer or ExternalName
    #[arg(long = "type")]
    kind: Option<String>,
    /// Its address; None makes it headless
    #[arg(long)]
    cluster_ip: Option<String>,
    /// Labels of the Service
    #[arg(short, long, value_delimiter = ',')]
    labels: Vec<String>,
    /// Labels of the Pods behind it
    #[arg(long, value_delimiter = ',')]
    selector: Vec<String>,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let choice = Choice { files: arguments.files.clone(), ..Choice::default() };
    let (found, failures) = session.found(&arguments.words, &choice).await?;
    let dry = arguments.writing.dry()?;
    let mut teller = arguments.writing.teller()?;
    for one in &found {
        let service = service(&arguments, one)?;
        let kind = session.kind_of("v1", "Service").await?;
        let namespace = one.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let path = arguments.writing.on(kind.collection(Some(&namespace)), "kubectl-expose")?;
        let made = session.make(path, &service, dry).await?;
        teller.tell(&made, "exposed")?;
    }
    together(failures)
}

fn map(pairs: &[String]) -> Outcome<Value> {
    let mut map = serde_json::Map::new();
    for pair in pairs {
        match pair.split_once('=') {
            Some((key, value)) => map.insert(key.to_owned(), value.into()),
            None => return fail(format!("unexpected label spec: {pair}")),
        };
    }
    Ok(Value::Object(map))
}

fn service(arguments: &Arguments, one: &Found) -> Outcome<Value> {
    let object = &one.object;
    let (kind, name) = (one.kind.kind.as_str(), one.object_name());
    let selector = match kind {
        _ if !arguments.selector.is_empty() => map(&arguments.selector)?,
        "Pod" => at(object, &["metadata", "labels"]).clone(),
        "Service" => at(object, &["spec", "selector"]).clone(),
        "Deployment" | "ReplicaSet" => at(object, &["spec", "selector", "matchLabels"]).clone(),
        other => return fail(format!("cannot expose a {other}")),
    };
    if selector.as_object().is_none_or(serde_json::Map::is_empty) {
        return fail(
            "couldn't retrieve selectors via --selector flag or introspection: the pod has no labels and cannot be exposed",
        );
    }
    let pod_spec = if kind == "Pod" { at(object, &["spec"]) } else { at(object, &["spec", "template", "spec"]) };
    let known: Vec<(i64, String)> = match kind {
        "Service" => list(object, &["spec", "ports"])
            .iter()
            .map(|port| (integer(port, &["port"]), text(port, &["protocol"]).to_owned()))
            .collect(),
        _ => list(pod_spec, &["containers"])
            .iter()
            .flat_map(|container| list(container, &["ports"]))
            .map(|port| (integer(port, &["containerPort"]), text(port, &["protocol"]).to_owned()))
            .collect(),
    };
    let ports: Vec<(i64, String)> = match arguments.port {
        Some(port) => {
            let own = known.iter().find(|(number, _)| *number == port).map(|(_, protocol)| protocol.clone());
            vec![(port, own.filter(|protocol| !protocol.is_empty()).unwrap_or_else(|| "TCP".to_owned()))]
        }
        None if known.is_empty() => return fail("couldn't find port via --port flag or introspection"),
        None => known,
    };
    let several = ports.len() > 1;
    let ports: Vec<Value> = ports
        .into_iter()
        .enumerate()
        .map(|(index, (port, protocol))| {
            let target = arguments.target_port.as_deref();
            let target = target
                .map_or(Value::from(port), |target| target.parse::<i64>().map_or_else(|_| target.into(), Value::from));
            let protocol = arguments.protocol.clone().unwrap_or(protocol);
            let mut entry = json!({ "port": port, "protocol": protocol, "targetPort": target });
            if several {
                entry["name"] = format!("port-{}", index + 1).into();
            }
            entry
        })
        .collect();
    let labels = match arguments.labels.is_empty() {
        true => at(object, &["metadata", "labels"]).clone(),
        false => map(&arguments.labels)?,
    };
    let mut metadata = json!({ "name": arguments.name.as_deref().unwrap_or(name), "creationTimestamp": null });
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        metadata["labels"] = labels;
    }
    if let Some(namespace) = &one.namespace {
        metadata["namespace"] = namespace.as_str().into();
    }
    let mut spec = json!({ "ports": ports, "selector": selector });
    if let Some(kind) = &arguments.kind {
        spec["type"] = kind.as_str().into();
    }
    if let Some(address) = &arguments.cluster_ip {
        spec["clusterIP"] = address.as_str().into();
    }
    Ok(
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": { "loadBalancer": {} } }),
    )
}
