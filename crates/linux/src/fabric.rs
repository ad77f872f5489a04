//! The fabric: one set of namespaces for the whole cluster, and the network between its nodes.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::node::NodeConfig;

/// The hidden role word: `podlab internal fabric JSON` calls [`main`] with the decoded [`FabricConfig`].
pub const ROLE: &str = "fabric";

/// What a fabric is started with.
///
/// The process's standard input must be the read end of the *plug*: when the last write end is closed (the machine
/// process is gone, however it went), the fabric and everything below it ends. Standard error is its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FabricConfig {
    /// The cluster's state directory, absolute.
    pub directory: PathBuf,
    /// The nodes that exist from the start.
    pub nodes: Vec<NodeConfig>,
    /// Set when not root: the user namespace everything lives in.
    pub user_namespace: Option<UserNamespace>,
    /// Internal: the program already runs from its read-only mount. Callers leave this `false`.
    #[serde(default)]
    pub sealed: bool,
}

/// How ids of the user namespace map to ids of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserNamespace {
    /// Only one id: root inside is the caller outside. Images with several users cannot work.
    Single,
    /// Ranges from `/etc/subuid` and `/etc/subgid`, written by `newuidmap` and `newgidmap`.
    Ranges,
}

/// Runs the fabric until the plug is pulled. Must be called before the process has started any thread.
pub fn main(config: FabricConfig) -> ExitCode {
    let _ = config;
    ExitCode::FAILURE
}
