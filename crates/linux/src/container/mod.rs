//! One container: what it is made from, and how its first process comes to be.
//!
//! The Pod's supervisor forks a child into new pid and mount namespaces ([`start`]). Everything after that happens in
//! the child, in the order that [`child`] documents, and ends in execve(2). Until then the child holds the write end
//! of a pipe that closes by itself on exec: an end of file without a word means that the program runs, and
//! anything else is a [`StartError`].

pub(crate) mod child;
pub mod error;
pub(crate) mod program;
pub(crate) mod user;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::pipe::PipeFlags;
use serde::{Deserialize, Serialize};

use crate::cgroups::Limits;
use crate::error::{During, Refusal};
use crate::namespaces::{Namespaces, Process, spawn};
use crate::rootfs::BindMount;
pub use error::{StartError, Step};
pub use user::User;

/// A container to be started, with everything looked up that needs looking up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Names its directory and its cgroup.
    pub id: String,
    /// The name in the Pod.
    pub name: String,
    /// How many times a container of this name was started before.
    pub attempt: u32,
    /// For the record only.
    pub image_id: String,
    /// The image's layers as directories of the node, topmost first.
    pub layers: Vec<PathBuf>,
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// In order; of a name given twice, the last counts.
    pub environment: Vec<(String, String)>,
    /// Absolute.
    pub working_directory: String,
    pub user: User,
    pub mounts: Vec<BindMount>,
    pub privileges: Privileges,
    pub read_only_root: bool,
    pub limits: Limits,
    /// How early the kernel ends it when the whole machine is out of memory: -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Standard input is a pipe that `attach` writes to; otherwise it is `/dev/null`.
    pub stdin: bool,
    /// Standard input ends with the first `attach` that ends.
    pub stdin_once: bool,
    /// All three streams are one terminal.
    pub terminal: bool,
    /// Where in the container its last words are read from.
    pub termination_message_path: String,
    /// The end of the log is its last words, when it failed and left no others.
    pub last_words_from_log: bool,
    /// The id of the container whose pid namespace it is in, and with which it ends.
    pub target: Option<String>,
}

/// What the processes of a container may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// Bits as in capabilities(7).
    pub capabilities: u64,
    /// No program can give more rights than its caller has.
    pub no_new_privileges: bool,
    pub seccomp: Seccomp,
    /// `/proc` and `/sys` are shown whole.
    pub unmasked: bool,
}

/// Which system calls are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// What fits the capabilities: [`crate::seccomp::Filter`].
    #[default]
    Default,
    Unconfined,
}

/// What a child needs from its Pod besides its own spec.
pub(crate) struct Surroundings<'a> {
    /// The container's own directory, for what it changes.
    pub(crate) directory: PathBuf,
    pub(crate) shared_memory: PathBuf,
    pub(crate) hierarchies: &'a [crate::cgroups::Hierarchy],
    /// The doors of the container's cgroup.
    pub(crate) doors: &'a [OwnedFd],
    pub(crate) user_namespace: bool,
    /// It gets no pid namespace of its own: the Pod's containers share one, or it is put into another one's.
    pub(crate) share_processes: bool,
}

/// What a child has for standard input, output and error.
pub(crate) enum Stdio {
    Streams {
        stdin: Option<OwnedFd>,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// A terminal is to be made in the container; its master side is sent over this socket.
    Terminal {
        master: OwnedFd,
    },
}

/// A child on its way to its program.
pub(crate) struct Starting {
    pub(crate) process: Process,
    /// Says how it went: see [`StartError::read`].
    pub(crate) report: OwnedFd,
}

// ANCHOR: start
/// Forks the first process of a container. It runs beside us; its report says when its program has been reached.
pub(crate) fn start(spec: &ContainerSpec, around: &Surroundings<'_>, stdio: &Stdio) -> Result<Starting, Refusal> {
    let (report, reporter) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).during("make", "pipe")?;
    let mut namespaces = Namespaces::MOUNT;
    if !around.share_processes {
        namespaces |= Namespaces::PROCESS_ID;
    }
    let process = spawn(namespaces, None, || {
        let Err(error) = child::run_container(spec, around, stdio);
        error.write(reporter.as_fd());
        child::FAILED
    })?;
    Ok(Starting { process, report })
}
// ANCHOR_END: start
