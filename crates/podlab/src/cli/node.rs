//! The commands about nodes.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Subcommand;

use crate::commands::{Context, node};

#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// Add a node to the running cluster
    #[command(after_help = "\
Examples:
  podlab node add
  podlab node add small --cpu 500m --memory 512Mi --pods 20
  podlab node add fast --label disk=ssd --taint dedicated=lab:NoSchedule")]
    Add {
        /// The node's name [default: node2, node3, ...]
        name: Option<String>,
        #[command(flatten)]
        options: node::NodeOptions,
    },
    /// Stop a node as if its plug were pulled; its disk stays
    #[command(after_help = "Examples:\n  podlab node stop node2")]
    Stop {
        /// The node's name: node1
        node: String,
    },
    /// Boot a node that was stopped
    #[command(after_help = "Examples:\n  podlab node start node2")]
    Start {
        /// The node's name: node1
        node: String,
    },
    /// Stop a node and forget it, with its disk and its Pods
    #[command(after_help = "Examples:\n  podlab node remove node2")]
    Remove {
        /// The node's name: node1
        node: String,
    },
    /// List the nodes, those that are down too
    #[command(after_help = "Examples:\n  podlab node list")]
    List,
    /// Run a command on a node, in its namespaces
    #[command(after_help = "\
Examples:
  podlab node exec node1 -- ps aux
  podlab node exec node1 -- curl http://10.244.0.2:8080/healthy")]
    Exec {
        /// The node's name: node1
        node: String,
        /// The command and its arguments, after --
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

pub(super) fn run(context: &Context, command: NodeCommand) -> anyhow::Result<ExitCode> {
    match command {
        NodeCommand::Add { name, options } => node::add(context, name.as_deref(), &options),
        NodeCommand::Stop { node } => node::stop(context, &node),
        NodeCommand::Start { node } => node::start(context, &node),
        NodeCommand::Remove { node } => node::remove(context, &node),
        NodeCommand::List => node::list(context),
        NodeCommand::Exec { node, command } => node::exec(context, &node, &command),
    }
}
