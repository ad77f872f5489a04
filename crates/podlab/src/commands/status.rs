//! `podlab status`

use std::process::ExitCode;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use podlab_client::{Client, ListOptions};
use serde::Serialize;

use super::{Context, Format};
use crate::machine;
use crate::record::MachineRecord;

/// How long the API server may take to answer before it counts as not answering.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize)]
struct Status {
    directory: String,
    running: bool,
    process: Option<i32>,
    server: Option<String>,
    book: Option<String>,
    kubeconfig: String,
    /// Absent when the API server does not answer.
    nodes: Option<Vec<NodeLine>>,
    /// How many Pods are in each phase, all namespaces together.
    pods: Option<std::collections::BTreeMap<String, usize>>,
}

#[derive(Debug, Serialize)]
struct NodeLine {
    name: String,
    ready: bool,
    address: String,
}

/// Exit status 0 when a cluster runs and answers, 1 otherwise.
///
/// # Errors
///
/// When no state directory can be found.
pub(crate) fn run(context: &Context, format: Format) -> anyhow::Result<ExitCode> {
    let directory = context.directory()?;
    let running = machine::is_locked(&directory);
    let record = running.then(|| MachineRecord::of_running(&directory)).flatten();
    let mut status = Status {
        directory: directory.path().display().to_string(),
        running,
        process: record.as_ref().map(|record| record.machine.pid),
        server: record.as_ref().and_then(|record| record.server.clone()),
        book: record.as_ref().and_then(|record| record.book.clone()),
        kubeconfig: directory.kubeconfig().display().to_string(),
        nodes: None,
        pods: None,
    };
    if status.server.is_some() {
        let asked = super::runtime()?.block_on(async {
            let client = Client::from_kubeconfig(directory.kubeconfig())?;
            tokio::time::timeout(PATIENCE, ask(&client)).await?
        });
        match asked {
            Ok((nodes, pods)) => {
                status.nodes = Some(nodes);
                status.pods = Some(pods);
            }
            Err(error) => anstream::eprintln!("the API server does not answer: {error:#}"),
        }
    }
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&status)?),
        Format::Text => print(&status, &context.command(&directory)),
    }
    Ok(if status.nodes.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Asked = (Vec<NodeLine>, std::collections::BTreeMap<String, usize>);

async fn ask(client: &Client) -> anyhow::Result<Asked> {
    let nodes = client.list::<Node>(None, &ListOptions::default()).await?;
    let pods = client.list::<Pod>(None, &ListOptions::default()).await?;
    let mut phases = std::collections::BTreeMap::new();
    for pod in &pods.items {
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        *phases.entry(phase.unwrap_or_else(|| "Unknown".into())).or_insert(0) += 1;
    }
    Ok((nodes.items.iter().map(node_line).collect(), phases))
}

fn node_line(node: &Node) -> NodeLine {
    let status = node.status.clone().unwrap_or_default();
    let ready =
        status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let address = status.addresses.iter().flatten().find(|address| address.type_ == "InternalIP");
    NodeLine {
        name: node.metadata.name.clone().unwrap_or_default(),
        ready,
        address: address.map(|address| address.address.clone()).unwrap_or_default(),
    }
}

fn print(status: &Status, command: &str) {
    let Status { directory, .. } = status;
    if !status.running {
        println!("no cluster runs in {directory}\nstart one: {command} start");
        return;
    }
    let process = status.process.map(|pid| format!(" (process {pid})")).unwrap_or_default();
    println!("a cluster runs in {directory}{process}");
    let lines =
        [("API server", &status.server), ("book", &status.book), ("kubeconfig", &Some(status.kubeconfig.clone()))];
    for (name, value) in lines {
        if let Some(value) = value {
            println!("  {name:<12}{value}");
        }
    }
    for node in status.nodes.iter().flatten() {
        let ready = if node.ready { "Ready" } else { "NotReady" };
        println!("  {:<12}{ready}, {}", node.name, node.address);
    }
    if let Some(pods) = &status.pods {
        let phases: Vec<_> = pods.iter().map(|(phase, count)| format!("{count} {phase}")).collect();
        println!("  {:<12}{}", "Pods", if phases.is_empty() { "none".to_owned() } else { phases.join(", ") });
    }
}
