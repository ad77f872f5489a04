//! What the kubelet, the node's init and the Pods' supervisors say to each other. [`crate::wire`] carries it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::cgroups::Limits;
use crate::container::{ContainerSpec, StartError};
use crate::wire::Message;

/// A Pod to be made: what its containers share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSpec {
    /// Names its directory, its socket and its cgroup.
    pub uid: String,
    pub namespace: String,
    pub name: String,
    /// What the kernel says.
    pub hostname: String,
    /// What `/etc/hosts` calls it: with its domain, when it has one, and without.
    #[serde(default)]
    pub host_names: Vec<String>,
    /// The node's network instead of an own one.
    pub host_network: bool,
    /// One pid namespace for all containers.
    pub share_processes: bool,
    /// Kernel settings of the Pod's own namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Below the node's cgroup: `kubepods/burstable/podUID`.
    pub cgroup: String,
    pub limits: Limits,
    /// More lines for `/etc/hosts`.
    pub hosts: Vec<String>,
    /// The text of `/etc/resolv.conf`.
    pub resolv_conf: String,
}

/// Asked of the node's init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitRequest {
    /// Give the Pod an address and a supervisor. The answer comes before the supervisor has set the Pod up; ask it.
    CreatePod(Box<PodSpec>),
    /// Kill the supervisor, and so everything in the Pod. Answered when it is gone.
    KillPod { uid: String },
    /// The Pods that have a supervisor.
    Pods,
    /// From now on, tell this connection of supervisors that ended.
    Watch,
}

/// Said by the node's init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitReply {
    Pods(Vec<SupervisedPod>),
    Created(SupervisedPod),
    /// The Pod has no supervisor (any more).
    Gone {
        uid: String,
    },
    Failed {
        message: String,
    },
    Watching,
}

/// A Pod with a supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisedPod {
    pub uid: String,
    /// The supervisor's number in the node's pid namespace.
    pub pid: i32,
    /// `None` with the node's network.
    pub address: Option<Ipv4Addr>,
}

/// Asked of a Pod's supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// What is there now.
    State,
    /// What is there now, and from now on every container that ends.
    Watch,
    /// Start a container. One of the same id that was started before is not started again.
    Start(Box<ContainerSpec>),
    /// Signal the first process of a container.
    Signal { container: String, signal: i32 },
    /// Forget a container that has ended.
    Remove { container: String },
    /// Run a program in a container. The descriptors are those of the streams that are `true`; with a terminal, none.
    Exec(Exec),
    /// Receive a copy of what a container writes. The descriptors are those of the streams that are `true`.
    Attach { container: String, stdin: bool, stdout: bool, stderr: bool },
    /// Who is attached has no more input; with `stdinOnce`, neither has the container. Not answered.
    EndOfInput { container: String },
    /// Connect to a TCP port of the Pod's loopback interface.
    Connect { port: u16 },
}

/// A program to be run in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    pub container: String,
    pub command: Vec<String>,
    pub terminal: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Kill the program when the connection is closed.
    pub kill_on_close: bool,
}

impl Message for InitRequest {}
impl Message for InitReply {}

impl Message for Request {
    fn descriptors(&self) -> usize {
        match self {
            Self::Exec(exec) if !exec.terminal => {
                [exec.stdin, exec.stdout, exec.stderr].iter().filter(|on| **on).count()
            }
            Self::Attach { stdout, stderr, .. } => usize::from(*stdout) + usize::from(*stderr),
            _ => 0,
        }
    }
}

/// Said by a Pod's supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    State(Vec<ContainerReport>),
    /// A container runs now, or did already.
    Started,
    StartFailed(StartError),
    Done,
    NoSuchContainer,
    /// The program runs. With a terminal, its master side comes along.
    ExecStarted {
        terminal: bool,
    },
    /// The program has ended.
    ExecEnded {
        code: i32,
    },
    /// What the container writes is copied from now on. With `stdin`, the descriptor to write to comes along; it is
    /// the master side of the container's terminal if it has one.
    Attached {
        stdin: bool,
        terminal: bool,
    },
    /// The container has ended, and all that it wrote has been copied.
    Detached,
    /// The descriptor is the connection.
    Connected,
    Failed {
        message: String,
    },
    /// To watchers: a container has ended.
    Ended(ContainerReport),
}

impl Message for Reply {
    fn descriptors(&self) -> usize {
        match self {
            Self::ExecStarted { terminal: true } | Self::Attached { stdin: true, .. } | Self::Connected => 1,
            _ => 0,
        }
    }
}

/// What there is of a container. Also what is written down of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerReport {
    pub id: String,
    pub name: String,
    pub attempt: u32,
    pub image_id: String,
    /// Nanoseconds since the epoch.
    pub started_at: u64,
    pub exit: Option<ExitReport>,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitReport {
    /// 128 + the signal's number when a signal ended it.
    pub code: i32,
    pub signal: Option<i32>,
    /// Nanoseconds since the epoch.
    pub finished_at: u64,
    /// The kernel killed a process of it because memory ran out.
    pub out_of_memory: bool,
    /// What it left in its termination message file.
    pub message: String,
}
