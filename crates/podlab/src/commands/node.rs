//! `podlab node …`

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Node;
use podlab_api::quantity::Quantity;
use podlab_api::validation::names;
use podlab_client::{Client, DeleteOptions};
use podlab_linux::fabric::{self, FabricReply, FabricRequest, registered};
use podlab_linux::network::{MOST_PODS, node_address};
use podlab_linux::node::{NodeConfig, NodeTaint, USUAL_PODS};

use super::Context;
use crate::directory::StateDirectory;

/// Nodes have an address of one byte, of which the fabric has the last.
const MOST_NODES: u8 = 250;

/// What a node is like; what is not said of its size is as large as this machine.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct NodeOptions {
    /// Processors of the node, enforced by its cgroup: 2, 500m [default: all]
    #[arg(long, value_name = "QUANTITY", value_parser = positive)]
    pub(crate) cpu: Option<Quantity>,
    /// Memory of the node, enforced by its cgroup: 4Gi [default: all]
    #[arg(long, value_name = "QUANTITY", value_parser = positive)]
    pub(crate) memory: Option<Quantity>,
    /// How many Pods the node takes, at most 1000
    #[arg(long, value_name = "N", default_value_t = USUAL_PODS, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PODS)))]
    pub(crate) pods: u32,
    /// A label the node registers with: disk=ssd (may be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) label: Vec<(String, String)>,
    /// A taint the node registers with: dedicated=lab:NoSchedule (may be repeated)
    #[arg(long, value_name = "KEY[=VALUE]:EFFECT", value_parser = taint)]
    pub(crate) taint: Vec<NodeTaint>,
}

impl Default for NodeOptions {
    fn default() -> Self {
        NodeOptions { cpu: None, memory: None, pods: USUAL_PODS, label: Vec::new(), taint: Vec::new() }
    }
}

/// A label as it is typed, held against the rules that the API server has for them.
fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, as in disk=ssd")?;
    check(key, value)?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A taint as `kubectl taint` takes it.
fn taint(text: &str) -> Result<NodeTaint, String> {
    let (name, effect) = text.rsplit_once(':').ok_or("write KEY=VALUE:EFFECT, as in dedicated=lab:NoSchedule")?;
    if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
        return Err(format!("'{effect}' is no effect: NoSchedule, PreferNoSchedule or NoExecute"));
    }
    let (key, value) = name.split_once('=').map_or((name, None), |(key, value)| (key, Some(value)));
    check(key, value.unwrap_or_default())?;
    Ok(NodeTaint { key: key.to_owned(), value: value.map(str::to_owned), effect: effect.to_owned() })
}

fn check(key: &str, value: &str) -> Result<(), String> {
    let problems = [names::qualified_name(key), names::label_value(value)].concat();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

fn positive(text: &str) -> Result<Quantity, String> {
    let quantity = Quantity::parse(text).map_err(|error| error.to_string())?;
    if quantity.is_zero() || quantity.is_negative() { Err("must be more than zero".to_owned()) } else { Ok(quantity) }
}

/// A node as it was asked for.
pub(crate) fn describe(name: &str, index: u8, options: &NodeOptions) -> NodeConfig {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let system = rustix::system::sysinfo();
    let all = u64::from(system.mem_unit) * system.totalram as u64;
    let number = |number: i64| u64::try_from(number).unwrap_or_default();
    NodeConfig {
        name: name.to_owned(),
        index,
        cpu_millis: options.cpu.map_or(processors as u64 * 1000, |cpu| number(cpu.milli_value())),
        memory: options.memory.map_or(all, |memory| number(memory.value())),
        pods: options.pods,
        limited: options.cpu.is_some() || options.memory.is_some(),
        labels: options.label.iter().cloned().collect(),
        taints: options.taint.clone(),
    }
}

/// Runs a command in the namespaces of a node, with our own streams. No thread has been started before: entering a
/// mount or user namespace asks for a single-threaded process.
///
/// # Errors
///
/// When the node does not run or cannot be entered.
pub(crate) fn exec(context: &Context, node: &str, command: &[OsString]) -> anyhow::Result<ExitCode> {
    let directory = context.running()?;
    Ok(podlab_linux::node::exec(directory.path(), node, command)?)
}

/// Adds a node to the running cluster.
///
/// # Errors
///
/// When there is one of this name, or it cannot be started.
pub(crate) fn add(context: &Context, name: Option<&str>, options: &NodeOptions) -> anyhow::Result<ExitCode> {
    let directory = context.running()?;
    let known = registered(directory.path());
    let free = |index: &u8| known.iter().all(|node| node.config.index != *index);
    let index = (1..=MOST_NODES).find(free).context("a cluster has at most 250 nodes")?;
    let name = name.map_or_else(|| format!("node{index}"), str::to_owned);
    check_name(&name)?;
    if known.iter().any(|node| node.config.name == name) {
        bail!("there is a node {name} already");
    }
    ask(&directory, &FabricRequest::StartNode(describe(&name, index, options)))?;
    println!("node {name} added");
    Ok(ExitCode::SUCCESS)
}

/// Names a directory, a cgroup and an object: a DNS label.
fn check_name(name: &str) -> anyhow::Result<()> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label = !name.is_empty() && name.len() <= 63 && name.bytes().all(inner);
    if !label || name.starts_with('-') || name.ends_with('-') {
        bail!(
            "{name:?} cannot name a node: lower case letters, digits and '-', at most 63, a letter or digit at each end"
        );
    }
    Ok(())
}

/// Pulls a node's plug.
///
/// # Errors
///
/// When there is no such node.
pub(crate) fn stop(context: &Context, name: &str) -> anyhow::Result<ExitCode> {
    let directory = context.running()?;
    find(&directory, name)?;
    match ask(&directory, &FabricRequest::StopNode { name: name.to_owned() })? {
        FabricReply::NotRunning => println!("node {name} was not running"),
        _ => println!("node {name} stopped"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Boots a node that was stopped.
///
/// # Errors
///
/// When there is no such node, or it cannot be started.
pub(crate) fn start(context: &Context, name: &str) -> anyhow::Result<ExitCode> {
    let directory = context.running()?;
    let config = find(&directory, name)?;
    ask(&directory, &FabricRequest::StartNode(config))?;
    println!("node {name} started");
    Ok(ExitCode::SUCCESS)
}

/// Stops a node, forgets it with its disk, and deletes its object, so that its Pods go as well.
///
/// # Errors
///
/// When there is no such node.
pub(crate) fn remove(context: &Context, name: &str) -> anyhow::Result<ExitCode> {
    let directory = context.running()?;
    find(&directory, name)?;
    ask(&directory, &FabricRequest::RemoveNode { name: name.to_owned() })?;
    let client = Client::from_kubeconfig(directory.kubeconfig())?;
    match super::runtime()?.block_on(client.delete::<Node>(None, name, &DeleteOptions::default())) {
        Err(error) if !error.is_not_found() => return Err(error.into()),
        _ => {}
    }
    println!("node {name} removed");
    Ok(ExitCode::SUCCESS)
}

/// Prints the nodes, those that are down too.
///
/// # Errors
///
/// When no cluster runs.
pub(crate) fn list(context: &Context) -> anyhow::Result<ExitCode> {
    let directory = context.running()?;
    let FabricReply::Nodes(running) = ask(&directory, &FabricRequest::Nodes)? else {
        bail!("the cluster's fabric said something unexpected");
    };
    println!("{:<16}{:<10}{:<14}{:<8}MEMORY", "NAME", "STATE", "ADDRESS", "CPU");
    for node in registered(directory.path()) {
        let config = node.config;
        let state = match running.iter().any(|running| running.name == config.name) {
            true => "running",
            false if node.stopped => "stopped",
            false => "booting",
        };
        let address = node_address(config.index).to_string();
        let cpu = format!("{}.{:02}", config.cpu_millis / 1000, config.cpu_millis % 1000 / 10);
        println!("{:<16}{state:<10}{address:<14}{cpu:<8}{}Mi", config.name, config.memory >> 20);
    }
    Ok(ExitCode::SUCCESS)
}

fn find(directory: &StateDirectory, name: &str) -> anyhow::Result<NodeConfig> {
    let known = registered(directory.path()).into_iter().find(|node| node.config.name == name);
    Ok(known.with_context(|| format!("there is no node {name}: `podlab node list` shows them"))?.config)
}

fn ask(directory: &StateDirectory, request: &FabricRequest) -> anyhow::Result<FabricReply> {
    match fabric::ask(directory.path(), request)? {
        FabricReply::Failed { message } => bail!("{message}"),
        reply => Ok(reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nodes() {
        for good in ["node2", "a", "gpu-1"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Node", "-a", "a-", "a.b", "../a", "a/b", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_and_taints_as_kubectl_takes_them() {
        assert_eq!(label("disk=ssd"), Ok(("disk".to_owned(), "ssd".to_owned())));
        let full = NodeTaint { key: "a/b".into(), value: Some("c".into()), effect: "NoSchedule".into() };
        assert_eq!(taint("a/b=c:NoSchedule"), Ok(full));
        assert_eq!(taint("gpu:NoExecute").unwrap().value, None);
        for bad in ["disk", "=ssd", "disk=a b", "-x=1"] {
            assert!(label(bad).is_err(), "{bad}");
        }
        for bad in ["gpu", "gpu:Never", ":NoSchedule", "gpu=a b:NoSchedule"] {
            assert!(taint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_said_is_enforced() {
        let options = NodeOptions {
            cpu: Some(positive("500m").unwrap()),
            memory: Some(positive("4Gi").unwrap()),
            pods: 500,
            ..NodeOptions::default()
        };
        let node = describe("node2", 2, &options);
        assert_eq!((node.cpu_millis, node.memory, node.pods, node.limited), (500, 4 << 30, 500, true));
        assert!(!describe("node1", 1, &NodeOptions::default()).limited);
        assert!(positive("0").is_err() && positive("-1").is_err() && positive("many").is_err());
    }
}
