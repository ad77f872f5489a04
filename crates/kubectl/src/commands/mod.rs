//! The commands, a file each.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the comment of a flag is its help, where brackets mean what may be left out"
)]

mod api_resources;
mod apply;
mod auth;
mod change;
mod cluster_info;
mod common;
mod completion;
mod config;
mod copy;
mod create;
mod debug;
mod delete;
mod describe;
mod diff;
mod drain;
mod events;
mod exec;
mod explain;
mod expose;
mod get;
mod logs;
mod nodes;
mod pods;
mod port_forward;
mod rollout;
mod run;
mod three_way;
mod top;
mod version;
mod wait;

use clap::Subcommand;

use crate::failure::Outcome;
use crate::session::Session;

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Create a resource from a file or from stdin
    Create(create::Arguments),
    /// Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service
    Expose(expose::Arguments),
    /// Run a particular image on the cluster
    Run(run::Arguments),
    /// Get documentation for a resource
    Explain(explain::Arguments),
    /// Display one or many resources
    Get(get::Arguments),
    /// Delete resources by file names, stdin, resources and names, or by resources and label selector
    Delete(delete::Arguments),
    /// Manage the rollout of a resource
    Rollout(rollout::Arguments),
    /// Set a new size for a deployment, replica set, or replication controller
    Scale(change::Scale),
    /// Display cluster information
    #[command(name = "cluster-info")]
    ClusterInfo(cluster_info::Arguments),
    /// Display resource (CPU/memory) usage
    Top(top::Arguments),
    /// Mark node as unschedulable
    Cordon(nodes::Cordon),
    /// Mark node as schedulable
    Uncordon(nodes::Cordon),
    /// Drain node in preparation for maintenance
    Drain(drain::Arguments),
    /// Update the taints on one or more nodes
    Taint(nodes::Taint),
    /// Show details of a specific resource or group of resources
    Describe(describe::Arguments),
    /// Print the logs for a container in a pod
    Logs(logs::Arguments),
    /// Attach to a running container
    Attach(exec::Attach),
    /// Execute a command in a container
    Exec(exec::Exec),
    /// Forward one or more local ports to a pod
    #[command(name = "port-forward")]
    PortForward(port_forward::Arguments),
    /// Copy files and directories to and from containers
    Cp(copy::Arguments),
    /// Inspect authorization
    Auth(auth::Arguments),
    /// Create debugging sessions for troubleshooting workloads
    Debug(debug::Arguments),
    /// List events
    Events(events::Arguments),
    /// Diff the live version against a would-be applied version
    Diff(diff::Arguments),
    /// Apply a configuration to a resource by file name or stdin
    Apply(apply::Arguments),
    /// Update fields of a resource
    Patch(change::Patch),
    /// Wait for a specific condition on one or many resources
    Wait(wait::Arguments),
    /// Update the labels on a resource
    Label(change::Keys),
    /// Update the annotations on a resource
    Annotate(change::Keys),
    /// Output shell completion code for the specified shell (bash, zsh, fish, or powershell)
    Completion(completion::Arguments),
    /// Print the supported API resources on the server
    #[command(name = "api-resources")]
    ApiResources(api_resources::Arguments),
    /// Print the supported API versions on the server, in the form of "group/version"
    #[command(name = "api-versions")]
    ApiVersions,
    /// Show and switch the contexts of the kubeconfig
    Config(config::Arguments),
    /// Print the client and server version information
    Version(version::Arguments),
}

/// Runs a command to its end.
pub(crate) async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Create(arguments) => create::run(session, arguments).await,
        Command::Expose(arguments) => expose::run(session, arguments).await,
        Command::Run(arguments) => run::run(session, arguments).await,
        Command::Explain(arguments) => explain::run(session, arguments).await,
        Command::Get(arguments) => get::run(session, arguments).await,
        Command::Delete(arguments) => delete::run(session, arguments).await,
        Command::Rollout(arguments) => rollout::run(session, arguments).await,
        Command::Scale(arguments) => change::scale(session, arguments).await,
        Command::ClusterInfo(arguments) => cluster_info::run(session, &arguments).await,
        Command::Top(arguments) => top::run(session, arguments).await,
        Command::Cordon(arguments) => nodes::cordon(session, arguments, true).await,
        Command::Uncordon(arguments) => nodes::cordon(session, arguments, false).await,
        Command::Drain(arguments) => drain::run(session, arguments).await,
        Command::Taint(arguments) => nodes::taint(session, arguments).await,
        Command::Describe(arguments) => describe::run(session, arguments).await,
        Command::Logs(arguments) => logs::run(session, arguments).await,
        Command::Attach(arguments) => exec::attach(session, arguments).await,
        Command::Exec(arguments) => exec::exec(session, arguments).await,
        Command::PortForward(arguments) => port_forward::run(session, arguments).await,
        Command::Cp(arguments) => copy::run(session, arguments).await,
        Command::Auth(arguments) => auth::run(session, arguments).await,
        Command::Debug(arguments) => debug::run(session, arguments).await,
        Command::Events(arguments) => events::run(session, arguments).await,
        Command::Diff(arguments) => diff::run(session, arguments).await,
        Command::Apply(arguments) => apply::run(session, arguments).await,
        Command::Patch(arguments) => change::patch(session, arguments).await,
        Command::Wait(arguments) => wait::run(session, arguments).await,
        Command::Label(arguments) => change::keys(session, arguments, change::LABELS).await,
        Command::Annotate(arguments) => change::keys(session, arguments, change::ANNOTATIONS).await,
        Command::Completion(arguments) => completion::run(&arguments),
        Command::ApiResources(arguments) => api_resources::run(session, arguments).await,
        Command::ApiVersions => api_resources::versions(session).await,
        Command::Config(arguments) => config::run(session, arguments),
        Command::Version(arguments) => version::run(session, &arguments).await,
    }
}
