//! What a node can do: the one door through which a kubelet acts.
//!
//! Two implementations exist: `linux` talks to the node's init and to the Pod supervisors, `simulated` plays Pods
//! whose containers are little programs of data.

mod error;
pub mod linux;
pub mod simulated;
mod types;

use std::future::Future;
use std::time::Duration;

use podlab_images::registry::Credentials;
use podlab_linux::network::{Block, Pool};
use podlab_linux::xray::Xray;
use tokio::io::{AsyncRead, AsyncWrite};

pub use error::{BackendError, ImageError, StartFailure};
pub use types::*;

/// A Pod's uid, as the API server gave it out. It names directories, cgroups and sockets.
pub type PodUid = String;

/// The runtime's name of one start of a container: 64 hexadecimal digits, as container runtimes print them.
pub type ContainerId = String;

/// The id of a container's `attempt`.
///
/// It is derived and not drawn, so that a start that is asked for twice (the kubelet was killed in between) means the
/// same container, and a start that failed has an id for the status to show.
pub fn container_id(pod: &PodUid, name: &str, attempt: u32) -> ContainerId {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(format!("{pod}/{name}/{attempt}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A byte stream into a Pod (port-forward) or to a client.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What a node can do.
///
/// Every method is idempotent: the kubelet may be killed between any two of them, and asks again.
pub trait Backend: Send + Sync + 'static {
    /// What this node is: its size, addresses and versions. Does not change while the node is up.
    fn facts(&self) -> NodeFacts;

    /// Every Pod that exists on the node now. A restarted kubelet starts from this, not from memory.
    fn pods(&self) -> impl Future<Output = Result<Vec<PodState>, BackendError>> + Send;

    /// The Pods of which anything is left on the node: those that there are, those that were never finished, and those that
    /// are half removed.
    fn remains(&self) -> impl Future<Output = Result<Vec<PodUid>, BackendError>> + Send;

    /// The events from now on. A second call replaces the first one's receiver. When the receiver reports that
    /// events were lost (channel closed), the kubelet asks for [`pods`](Backend::pods) again.
    fn events(&self) -> tokio::sync::mpsc::Receiver<Event>;

    /// Makes the Pod's namespaces, its cgroup, its network and its directories.
    fn create_pod(&self, pod: &PodConfig) -> impl Future<Output = Result<PodState, BackendError>> + Send;

    /// Ends every container (SIGKILL), the supervisor and the network of the Pod; keeps its directories and logs.
    fn stop_pod(&self, uid: &PodUid) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Removes what is left: directories, volumes, logs, cgroups.
    fn remove_pod(&self, uid: &PodUid) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Prepares a volume under the Pod's directory, or brings its files up to date.
    fn set_up_volume(&self, uid: &PodUid, volume: &Volume) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// The image a reference means, when the node's store has it.
    fn image(&self, reference: &str) -> impl Future<Output = Result<Option<Image>, BackendError>> + Send;

    /// All images that the node's store has, with every name of each.
    fn images(&self) -> impl Future<Output = Result<Vec<NamedImage>, BackendError>> + Send;

    /// Brings an image into the node's store, as who `credentials` say one is.
    fn pull(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
    ) -> impl Future<Output = Result<Image, BackendError>> + Send;

    /// Creates and starts a container. Its id is [`container_id`]; when that one runs or has run already, nothing is
    /// started and the id is returned.
    fn start_container(
        &self,
        uid: &PodUid,
        container: &ContainerConfig,
    ) -> impl Future<Output = Result<ContainerId, BackendError>> + Send;

    /// Sends a signal to the first process of a container. A container that is already gone is no error.
    fn signal(
        &self,
        uid: &PodUid,
        container: &ContainerId,
        signal: i32,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Forgets an ended container: its root file system, its cgroup and its logs.
    fn remove_container(
        &self,
        uid: &PodUid,
        container: &ContainerId,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Runs a command in a container and collects at most `limit` bytes of its output; for probes and hooks.
    fn exec_collect(
        &self,
        uid: &PodUid,
        container: &ContainerId,
        command: &[String],
        timeout: Duration,
        limit: usize,
    ) -> impl Future<Output = Result<Collected, BackendError>> + Send;

    /// Runs a command in a container with its streams connected; for `kubectl exec`. Resolves with the exit code.
    fn exec(
        &self,
        uid: &PodUid,
        container: &ContainerId,
        exec: ExecConfig,
        streams: Streams,
    ) -> impl Future<Output = Result<i32, BackendError>> + Send;

    /// Connects the streams of a running container; for `kubectl attach`. Resolves when the container has ended.
    fn attach(
        &self,
        uid: &PodUid,
        container: &ContainerId,
        streams: Streams,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Connects to a TCP port on the Pod's loopback; for `kubectl port-forward`.
    fn connect(&self, uid: &PodUid, port: u16) -> impl Future<Output = Result<Box<dyn Stream>, BackendError>> + Send;

    /// Makes one attempt of a probe that needs the network.
    fn probe(&self, uid: &PodUid, check: &NetworkCheck, timeout: Duration)
    -> impl Future<Output = ProbeOutcome> + Send;

    /// What the kernel says a Pod is; for `podlab xray`.
    fn xray(&self, uid: &PodUid) -> impl Future<Output = Result<Xray, BackendError>> + Send;

    /// Makes these the pools of shared addresses, all at once; whatever else goes to an address in `range` is refused.
    fn balance(&self, range: Block, pools: &[Pool]) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// What the node and each of its Pods use now; for `kubectl top`, and for the choice of a Pod to be evicted.
    fn usage(&self) -> impl Future<Output = Result<NodeUsage, BackendError>> + Send;

    /// The memory that the node uses now, in bytes: asked every few seconds, so it costs little.
    fn memory(&self) -> impl Future<Output = Result<u64, BackendError>> + Send;

    /// What a Pod keeps on the node's disk. To look costs a walk through its files.
    fn disk(&self, uid: &PodUid) -> impl Future<Output = Result<PodDisk, BackendError>> + Send;

    /// Opens the log of a container's `attempt` (0 is the first start). The file is in the CRI format:
    /// `TIME STREAM TAG MESSAGE` (kubernetes/design-proposals-archive, node/kubelet-cri-logging.md).
    fn log(
        &self,
        uid: &PodUid,
        container: &str,
        attempt: u32,
    ) -> impl Future<Output = Result<tokio::fs::File, BackendError>> + Send;

    /// The file that goes on where `current`, a file of that log, ends; `None` while `current` is the newest.
    fn next_log(
        &self,
        uid: &PodUid,
        container: &str,
        attempt: u32,
        current: &tokio::fs::File,
    ) -> impl Future<Output = Result<Option<tokio::fs::File>, BackendError>> + Send;
}
