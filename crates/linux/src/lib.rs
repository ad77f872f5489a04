//! What the kernel does for a Pod: namespaces, cgroups, root file systems, network, and the processes that hold them.
//!
//! Nothing here knows Kubernetes, and nothing here is asynchronous: the node's init and the Pod supervisors are
//! single-threaded programs around `poll`.
//!
//! The processes, outermost first, each started by the one before it:
//!
//! | role | module | what it holds |
//! |---|---|---|
//! | fabric | [`fabric`] | the network between the nodes (and the user namespace when not root) |
//! | node init | [`node`] | a node: its mount, pid, net, uts, ipc and cgroup namespaces |
//! | supervisor | `supervisor` | a Pod: its net, ipc, uts and pid namespaces; parents the containers |
//! | janitor | [`janitor`] | nothing; it stands outside and sweeps when the others are gone |

/// Writes a line to standard error, which is a log. Unlike `eprintln!` it goes on when the disk is full.
macro_rules! log_line {
    ($($argument:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($argument)*);
    }};
}

pub mod capabilities;
pub mod cgroups;
mod clock;
pub mod container;
pub mod descriptors;
mod error;
pub mod fabric;
pub mod fail_point;
pub mod janitor;
pub mod namespaces;
pub mod network;
pub mod nfs;
pub mod node;
pub mod paths;
pub mod processes;
pub mod protocol;
pub mod rootfs;
pub mod seccomp;
pub mod supervisor;
mod syscalls;
mod title;
pub mod wire;
pub mod xray;

pub use error::{During, Refusal, errno_text};
pub use syscalls::close_on_exec_from;
