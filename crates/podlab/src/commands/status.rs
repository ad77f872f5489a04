//! `podlab status`

use std::process::ExitCode;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use podlab_api::quantity::Quantity;
use podlab_client::{Client, ListOptions, Path};
use serde::Serialize;
use serde_json::Value;

use super::{Context, Format};
use crate::machine;
use crate::record::MachineRecord;

/// How long the API server may take to answer before it counts as not answering.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    directory: String,
    running: bool,
    process: Option<i32>,
    server: Option<String>,
    book: Option<String>,
    kubeconfig: String,
    /// What the machine's own processes use, in bytes. Nodes and Pods apart.
    memory: Option<u64>,
    /// Absent when the API server does not answer.
    nodes: Option<Vec<NodeLine>>,
    pods: Option<Vec<PodLine>>,
}

#[derive(Debug, Serialize)]
struct NodeLine {
    name: String,
    ready: bool,
    address: String,
    /// What it says it has, in bytes.
    memory: Option<u64>,
}

#[derive(Debug, Serialize)]
struct PodLine {
    namespace: String,
    name: String,
    /// As `kubectl get pods` would say it, near enough: the phase, or why a container waits.
    status: String,
    ready: String,
    address: Option<String>,
    node: Option<String>,
    /// What it uses, in bytes; unknown where the host counts no memory.
    memory: Option<u64>,
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
        memory: record.as_ref().map(memory_of_processes),
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
        Format::Text => print(&status, &context.command(&directory), context.plain),
    }
    Ok(if status.nodes.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn ask(client: &Client) -> anyhow::Result<(Vec<NodeLine>, Vec<PodLine>)> {
    let nodes = client.list::<Node>(None, &ListOptions::default()).await?;
    let pods = client.list::<Pod>(None, &ListOptions::default()).await?;
    // A host that counts no memory has no figures, and neither has a node that is silent.
    let metrics: Value = client.get_at(&Path::new("/apis/metrics.k8s.io/v1beta1/pods")).await.unwrap_or_default();
    let pods = pods.items.iter().map(|pod| pod_line(pod, &metrics)).collect();
    Ok((nodes.items.iter().map(node_line).collect(), pods))
}

/// The resident memory of the processes in the record, in bytes: `VmRSS` of proc_pid_status(5), which is in kB.
fn memory_of_processes(record: &MachineRecord) -> u64 {
    let parts = [Some(record.machine), record.control_plane, record.fabric, record.janitor];
    let kilobytes = parts.into_iter().flatten().filter_map(|process| {
        let text = std::fs::read_to_string(format!("/proc/{}/status", process.pid)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    kilobytes.sum::<u64>() * 1024
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
        memory: status.capacity.as_ref().and_then(|capacity| bytes(&capacity.get("memory")?.0)),
    }
}

fn pod_line(pod: &Pod, metrics: &Value) -> PodLine {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let waits = containers.iter().find_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone());
    let ends = pod.metadata.deletion_timestamp.as_ref().map(|_| "Terminating".to_owned());
    let ready = containers.iter().filter(|container| container.ready).count();
    let (namespace, name) = (pod.metadata.namespace.clone().unwrap_or_default(), pod.metadata.name.clone());
    let name = name.unwrap_or_default();
    let measured =
        metrics["items"].as_array().into_iter().flatten().find(|item| {
            item["metadata"]["namespace"] == namespace.as_str() && item["metadata"]["name"] == name.as_str()
        });
    let used = measured.map(|item| {
        let containers = item["containers"].as_array().into_iter().flatten();
        containers.filter_map(|container| bytes(container["usage"]["memory"].as_str()?)).sum()
    });
    PodLine {
        status: ends.or(waits).or(status.phase).unwrap_or_else(|| "Unknown".to_owned()),
        ready: format!("{ready}/{}", pod.spec.as_ref().map_or(0, |spec| spec.containers.len())),
        address: status.pod_ip,
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        memory: used.filter(|used: &u64| *used > 0),
        namespace,
        name,
    }
}

/// A quantity of memory in bytes.
fn bytes(quantity: &str) -> Option<u64> {
    u64::try_from(quantity.parse::<Quantity>().ok()?.value()).ok()
}

/// In MiB, for people.
fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{} MiB", bytes.div_ceil(1 << 20)))
}

fn print(status: &Status, command: &str, plain: bool) {
    let Status { directory, .. } = status;
    if !status.running {
        println!("no cluster runs in {directory}\nstart one: {command} start");
        return;
    }
    let process = status.process.map(|pid| format!(" (process {pid})")).unwrap_or_default();
    println!("a cluster runs in {directory}{process}");
    let memory = status.memory.map(|memory| mebibytes(Some(memory)));
    let lines = [
        ("API server", &status.server),
        ("book", &status.book),
        ("kubeconfig", &Some(status.kubeconfig.clone())),
        ("memory", &memory),
    ];
    for (name, value) in lines {
        match value {
            Some(value) if plain => println!("{name}: {value}"),
            Some(value) => println!("  {name:<12}{value}"),
            None => {}
        }
    }
    let (nodes, pods) = (status.nodes.as_deref().unwrap_or_default(), status.pods.as_deref().unwrap_or_default());
    let ready = |node: &NodeLine| if node.ready { "Ready" } else { "NotReady" };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    if plain {
        for node in nodes {
            let memory = mebibytes(node.memory);
            println!("node {}: {}, address {}, memory {memory}", node.name, ready(node), node.address);
        }
        for pod in pods {
            let PodLine { namespace, name, status, ready, .. } = pod;
            let (address, node, memory) = (or_none(&pod.address), or_none(&pod.node), mebibytes(pod.memory));
            println!("pod {namespace}/{name}: {status}, {ready} ready, address {address}, on {node}, uses {memory}");
        }
        if pods.is_empty() && status.pods.is_some() {
            println!("pods: none");
        }
        return;
    }
    let mut rows = vec![["NODE", "STATUS", "", "ADDRESS", "", "MEMORY"].map(str::to_owned)];
    rows.extend(nodes.iter().map(|node| {
        let empty = String::new;
        [node.name.clone(), ready(node).to_owned(), empty(), node.address.clone(), empty(), mebibytes(node.memory)]
    }));
    let head = if pods.is_empty() { "PODS: none" } else { "POD" };
    let names = if pods.is_empty() { [""; 5] } else { ["STATUS", "READY", "ADDRESS", "NODE", "MEMORY"] };
    rows.push(std::array::from_fn(|column| if column == 0 { head.to_owned() } else { names[column - 1].to_owned() }));
    rows.extend(pods.iter().map(|pod| {
        let name = format!("{}/{}", pod.namespace, pod.name);
        let (address, node) = (or_none(&pod.address), or_none(&pod.node));
        [name, pod.status.clone(), pod.ready.clone(), address, node, mebibytes(pod.memory)]
    }));
    if status.nodes.is_some() {
        println!();
        print_columns(&rows);
    }
}

/// Each column as wide as its widest cell.
fn print_columns(rows: &[[String; 6]]) {
    let widths: [usize; 6] = std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
