//! What goes through the seam: plain data, the API's words already looked up.

use std::collections::BTreeMap;

use jiff::Timestamp;
use podlab_linux::node::NodeTaint;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{ContainerId, PodUid};

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    pub name: String,
    /// In thousandths of a core.
    pub cpu_millis: u64,
    /// In bytes.
    pub memory: u64,
    /// In bytes.
    pub ephemeral_storage: u64,
    /// How many Pods the node takes (110 unless told otherwise).
    pub pods: u32,
    pub internal_ip: String,
    /// The addresses of the node's Pods, as `10.244.0.0/24`.
    pub pod_cidr: String,
    pub machine_id: String,
    pub system_uuid: String,
    pub boot_id: String,
    pub kernel_version: String,
    pub os_image: String,
    pub architecture: String,
    /// Spelt as `podlab://0.1.0`.
    pub container_runtime_version: String,
    /// What the node is labelled with, besides what every node is.
    pub labels: BTreeMap<String, String>,
    /// What keeps Pods away from it from the start.
    pub taints: Vec<NodeTaint>,
}

/// What the namespaces of a Pod are made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodConfig {
    pub uid: PodUid,
    pub namespace: String,
    pub name: String,
    /// What the kernel says: short, or with its domain (`setHostnameAsFQDN`).
    pub hostname: String,
    /// What `/etc/hosts` calls it: with its domain, when it has one, and without.
    #[serde(default)]
    pub host_names: Vec<String>,
    /// The node's network instead of an own one.
    pub host_network: bool,
    /// One pid namespace for all containers, whose first process is the supervisor's.
    pub share_process_namespace: bool,
    /// Safe, namespaced kernel settings.
    pub sysctls: BTreeMap<String, String>,
    /// `guaranteed`, `burstable` or `besteffort`: the Pod's parent cgroup.
    pub qos: Qos,
    pub resources: Resources,
    /// The text of the managed `/etc/hosts` without the Pod's own address line (that is added by the backend, which
    /// knows the address).
    pub host_aliases: Vec<HostAlias>,
    /// The text of `/etc/resolv.conf`.
    pub resolv_conf: String,
}

/// One line of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAlias {
    pub ip: String,
    pub hostnames: Vec<String>,
}

/// Quality of service class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

/// What a cgroup is set to. `None` leaves the kernel's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// In thousandths of a core; becomes `cpu.shares` or `cpu.weight`.
    pub cpu_request_millis: Option<u64>,
    /// In thousandths of a core; becomes the CFS quota of a 100 ms period.
    pub cpu_limit_millis: Option<u64>,
    /// In bytes.
    pub memory_limit: Option<u64>,
    pub pids_limit: Option<u64>,
    pub oom_score_adj: Option<i32>,
}

/// A container to be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// The name in the Pod.
    pub name: String,
    /// How many times this container was started before.
    pub attempt: u32,
    /// As the store knows it: [`Image::id`].
    pub image_id: String,
    /// Overrides the image's entrypoint when not empty.
    pub command: Vec<String>,
    /// Overrides the image's arguments when not empty.
    pub args: Vec<String>,
    /// Empty: the image's.
    pub working_dir: String,
    /// In order, already expanded; added to the image's.
    pub env: Vec<(String, String)>,
    pub mounts: Vec<Mount>,
    pub security: Security,
    pub resources: Resources,
    pub stdin: bool,
    pub stdin_once: bool,
    pub tty: bool,
    /// Where in the container the termination message is read from.
    pub termination_message_path: String,
    /// The end of the log is the message, when the container failed and wrote none (`FallbackToLogsOnError`).
    pub termination_message_from_log: bool,
    /// The container whose processes it sees, and with which it ends (`kubectl debug --target`).
    pub target: Option<ContainerId>,
}

/// A volume's place in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The volume's name in the Pod.
    pub volume: String,
    pub path: String,
    pub sub_path: String,
    pub read_only: bool,
    pub recursive_read_only: bool,
    pub propagation: Propagation,
}

/// Whether mounts made on one side appear on the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    #[default]
    None,
    HostToContainer,
    Bidirectional,
}

/// Who a container's processes are and what they may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// `None`: the image's user.
    pub user: Option<u32>,
    pub group: Option<u32>,
    /// Refuse to start when the user turns out to be root.
    pub run_as_non_root: bool,
    pub supplemental_groups: Vec<u32>,
    /// Owner of volumes that take one.
    pub fs_group: Option<u32>,
    /// Names without `CAP_`, or `ALL`.
    pub capabilities_add: Vec<String>,
    pub capabilities_drop: Vec<String>,
    pub privileged: bool,
    pub read_only_root: bool,
    pub allow_privilege_escalation: bool,
    pub seccomp: Seccomp,
    pub unmasked_proc: bool,
}

/// Which system calls are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    #[default]
    RuntimeDefault,
    Unconfined,
    /// A profile file on the node.
    Localhost(String),
}

/// A volume of a Pod, with everything it needs already looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    pub source: VolumeSource,
    /// Group that owns the files, where the kind of volume takes one.
    pub fs_group: Option<u32>,
}

/// Where a volume's files come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeSource {
    /// An empty directory that lives as long as the Pod.
    EmptyDir { memory: bool, size_limit: Option<u64> },
    /// A path on the node's own disk (never the learner's), checked as the `type` says.
    HostPath { path: String, kind: String, read_only: bool },
    /// Files made from ConfigMaps, Secrets, the downward API and tokens, published atomically.
    /// In `memory` (Secrets, tokens: projected volumes), what is secret never reaches a disk.
    Files { files: BTreeMap<String, ProjectedFile>, memory: bool },
    /// An image's files, read-only.
    Image { image_id: String },
    /// A directory of a network file server.
    Nfs { server: String, path: String, read_only: bool },
}

/// One file of a projected volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectedFile {
    pub content: Vec<u8>,
    pub mode: u32,
}

/// An image of a node's store, as the node's status names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedImage {
    /// `repository@sha256:…`, then each reference that leads to it.
    pub names: Vec<String>,
    /// In bytes, of all layers.
    pub size: u64,
}

/// An image in the node's store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The digest of the image's configuration: `sha256:…`.
    pub id: String,
    /// How the status shows it: `repository@sha256:…`.
    pub repo_digest: String,
    /// In bytes, of all layers.
    pub size: u64,
    /// The user the image asks for: empty, a number, a name, or `user:group`.
    pub user: String,
    /// The signal that asks the image's program to end, when that is not SIGTERM.
    pub stop_signal: Option<i32>,
    /// Whether it was in the store from the start.
    pub built_in: bool,
}

/// What is there of a Pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodState {
    pub uid: PodUid,
    pub namespace: String,
    pub name: String,
    /// The Pod's address; the node's with `host_network`.
    pub ip: String,
    /// False once the supervisor is gone: what is left are directories, logs and the record of how containers ended.
    pub alive: bool,
    pub created_at: Timestamp,
    /// In the order they were started; ended ones stay until they are removed.
    pub containers: Vec<ContainerState>,
}

/// What is there of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    pub id: ContainerId,
    pub name: String,
    pub attempt: u32,
    pub image_id: String,
    pub started_at: Timestamp,
    pub exit: Option<Exit>,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// 128 + the signal's number when a signal ended it, as shells count.
    pub code: i32,
    pub signal: Option<i32>,
    pub finished_at: Timestamp,
    /// The kernel killed it for its memory limit.
    pub oom_killed: bool,
    /// What the container left in its termination message file, at most 4096 bytes.
    pub message: String,
}

/// Something happened on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A container ended.
    Exited { pod: PodUid, container: ContainerId, exit: Exit },
    /// A Pod's supervisor is gone, and everything it held with it.
    PodDied { pod: PodUid },
}

/// What `kubectl exec` asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecConfig {
    pub command: Vec<String>,
    pub tty: bool,
}

/// The client's side of exec and attach. Each stream that was not asked for is absent.
#[derive(Default)]
pub struct Streams {
    pub stdin: Option<Box<dyn AsyncRead + Send + Unpin>>,
    pub stdout: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    pub stderr: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// New sizes of the client's terminal, as (columns, rows).
    pub resize: Option<tokio::sync::mpsc::Receiver<(u16, u16)>>,
}

/// The end of a collected command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    pub code: i32,
    pub output: Vec<u8>,
    /// There was more output than the limit.
    pub truncated: bool,
    /// The deadline passed and the command was killed.
    pub timed_out: bool,
}

/// A probe over the network, to the Pod's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkCheck {
    Http { host: Option<String>, port: u16, path: String, https: bool, headers: Vec<(String, String)> },
    Tcp { host: Option<String>, port: u16 },
    Grpc { port: u16, service: String },
}

/// How one attempt of a probe went. The text is what the `Unhealthy` event carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    Success,
    Failure(String),
}

/// What a node uses, and each of its Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeUsage {
    /// Since the node started.
    pub cpu_nanoseconds: u64,
    /// Working set in bytes, the node's own processes included.
    pub memory: u64,
    pub pods: Vec<PodUsage>,
}

/// What a Pod uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodUsage {
    pub uid: PodUid,
    pub containers: Vec<ContainerUsage>,
}

/// What a Pod keeps on the node's disk, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDisk {
    /// Of the volumes that lie in the Pod's own directory, by name.
    pub volumes: BTreeMap<String, u64>,
    /// What each container changed in its root file system, and its logs; of all its starts that are still there.
    pub containers: BTreeMap<String, u64>,
}

/// What a container uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerUsage {
    pub name: String,
    pub started_at: Timestamp,
    /// Since the container started.
    pub cpu_nanoseconds: u64,
    /// Working set in bytes: usage less inactive file pages.
    pub memory: u64,
}
