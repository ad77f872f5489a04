//! A node: namespaces with a root directory of their own, and the init that holds them.

mod enter;
pub mod hosts;
pub(crate) mod init;
mod pods;
mod root;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroups::Tree;

pub use enter::{NodeError, exec};

/// The hidden role word of the node agent: node init runs `podlab internal kubelet JSON`, where `JSON` is a
/// [`KubeletConfig`], and runs it again when it ends.
pub const KUBELET_ROLE: &str = "kubelet";

/// How many Pods a node takes unless told otherwise: a kubelet's `maxPods`.
pub const USUAL_PODS: u32 = 110;

/// What makes one node different from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeConfig {
    /// A DNS label: `node1`.
    pub name: String,
    /// From 1. Decides the addresses: the node is `10.99.0.INDEX`, its Pods are in `10.244.(INDEX-1).0/24`, or in a
    /// wider block when it takes many.
    pub index: u8,
    /// What the node says it has, in thousandths of a core.
    pub cpu_millis: u64,
    /// What the node says it has, in bytes.
    pub memory: u64,
    /// How many Pods it takes.
    pub pods: u32,
    /// Whether its cgroup keeps it to that: when it is to be smaller than the machine.
    #[serde(default)]
    pub limited: bool,
    /// Labels it registers with, besides those that every node has.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Taints it registers with.
    #[serde(default)]
    pub taints: Vec<NodeTaint>,
}

/// Keeps Pods away that do not tolerate it. As text: `key=value:NoSchedule`, `key:NoExecute`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTaint {
    pub key: String,
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// What a kubelet process needs to know. All paths are the node's own (its mount namespace).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletConfig {
    pub node: NodeConfig,
    /// `10.99.0.INDEX`
    pub internal_ip: String,
    /// As `10.244.0.0/24`.
    pub pod_cidr: String,
    /// Where the API server's Unix socket appears; it may not be there yet.
    pub api_socket: PathBuf,
    /// Where the kubelet's own HTTP is served.
    pub kubelet_socket: PathBuf,
    /// Where the node's init listens.
    pub init_socket: PathBuf,
    /// Where the Pods' supervisors listen, each under its Pod's uid.
    pub supervisors: PathBuf,
    /// A directory per Pod.
    pub pods: PathBuf,
    /// The image store.
    pub images: PathBuf,
    /// The node's cgroups, and in words what this host could not give it.
    pub cgroups: Tree,
}
