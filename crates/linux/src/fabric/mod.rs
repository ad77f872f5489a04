//! The fabric: one set of namespaces for the whole cluster, and the network between its nodes.
//!
//! It starts in the machine's namespaces and leaves them in two steps. [`seal`] moves it into namespaces of its own (a
//! user namespace first, without root) and executes the program again from a read-only mount; the second life makes
//! the network and the nodes, and then waits: for the plug, for nodes that end, for requests.
//!
//! All nodes live in *one* user namespace: the kernel refuses to lay a cable between two that are siblings.

mod control;
mod nodes;
mod registry;
mod seal;
mod user_namespace;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::cgroups::{Tree, cluster_name};
use crate::error::{During, Refusal};
use crate::node::{NodeConfig, hosts};
use crate::paths::State;
use crate::processes::{ProcessRecord, timespec};
use crate::supervisor::record;
use crate::wire::Connection;
use crate::{network, syscalls};
pub use control::{ControlError, FabricReply, FabricRequest, ask, ask_for_socket};
use nodes::Nodes;
pub use registry::{RegisteredNode, registered};
pub use user_namespace::{UserNamespace, ranges_of};

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
    /// Internal: set once the program runs from its read-only mount, to the cgroups found before. Callers leave `None`.
    #[serde(default)]
    pub sealed: Option<Tree>,
}

/// Who runs, written down for those outside: `podlab node exec`, `podlab status`, the janitor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub fabric: Option<ProcessRecord>,
    pub nodes: Vec<RunningNode>,
    /// The cluster's cgroups. Each node has one of its name in it.
    pub cgroups: Tree,
}

/// A node whose init runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningNode {
    pub name: String,
    pub index: u8,
    pub init: ProcessRecord,
}

impl Running {
    /// What was written down last; `None` when no fabric ever ran in this directory, or all has been swept.
    pub fn read(directory: &Path) -> Option<Self> {
        record::read(&State(directory).running())
    }
}

/// Runs the fabric until the plug is pulled. Must be called before the process has started any thread.
pub fn main(config: FabricConfig) -> ExitCode {
    let result = match &config.sealed {
        Some(cgroups) => run(&config, cgroups),
        None => seal::seal(config).map(|never| match never {}),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            log_line!("fabric: {refusal}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: &FabricConfig, cgroups: &Tree) -> Result<(), Refusal> {
    let _ = rustix::thread::set_name(c"fabric");
    network::set_up_fabric()?;
    let state = State(&config.directory);
    let listener = control::listen(&state)?;
    hosts::begin(&state)?;
    let children =
        syscalls::signal_descriptor(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT]).during("watch", "signals")?;
    let mut fabric = Fabric { nodes: Nodes::new(config, cgroups), listener, children, clients: Vec::new() };
    fabric.nodes.end_those_of_the_last();
    for node in &registry::to_start(&config.nodes, &registered(&config.directory)) {
        fabric.nodes.start(node)?;
    }
    let result = fabric.run();
    fabric.nodes.end();
    result
}

struct Fabric<'a> {
    nodes: Nodes<'a>,
    listener: UnixListener,
    /// Readable when a child has ended, or when somebody asks us to.
    children: OwnedFd,
    clients: Vec<Connection>,
}

impl Fabric<'_> {
    /// Serves until the plug is pulled or somebody asks us to end.
    fn run(&mut self) -> Result<(), Refusal> {
        loop {
            self.nodes.boot_again();
            let stdin = rustix::stdio::stdin();
            let mut polled = vec![
                PollFd::from_borrowed_fd(stdin, PollFlags::IN),
                PollFd::new(&self.children, PollFlags::IN),
                PollFd::new(&self.listener, PollFlags::IN),
            ];
            polled.extend(self.clients.iter().map(|client| PollFd::from_borrowed_fd(client.as_fd(), PollFlags::IN)));
            let due = self.nodes.next_boot();
            let timeout = due.map(|due| timespec(due.saturating_duration_since(Instant::now())));
            match rustix::event::poll(&mut polled, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).during("wait for", "events"),
            }
            let ready: Vec<bool> = polled.iter().map(|polled| !polled.revents().is_empty()).collect();
            if ready[0] || ready[1] && self.asked_to_end() {
                return Ok(());
            }
            if ready[1] {
                self.nodes.reap();
            }
            for index in (0..self.clients.len()).rev().filter(|index| ready[index + 3]) {
                if !control::serve(&mut self.clients[index], &mut self.nodes) {
                    self.clients.remove(index);
                }
            }
            if ready[2]
                && let Ok((socket, _)) = self.listener.accept()
                && socket.set_nonblocking(true).is_ok()
            {
                self.clients.push(socket.into());
            }
        }
    }

    /// Reads the signals that came; true when one of them was not about a child.
    fn asked_to_end(&self) -> bool {
        // `struct signalfd_siginfo` is 128 bytes and begins with the signal's number (signalfd(2)).
        let mut signals = [0_u8; 128 * 8];
        let count = rustix::io::read(&self.children, &mut signals).unwrap_or(0);
        let mut numbers = signals[..count].chunks_exact(128).filter_map(|signal| signal.first_chunk::<4>());
        numbers.any(|number| i32::from_ne_bytes(*number) != libc::SIGCHLD)
    }
}

/// The read end of the machine's plug, which is our standard input.
fn machine_plug() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

/// Where the cluster's cgroups are; found out before the machine's view of them is left.
fn find_cgroups(directory: &Path) -> Tree {
    Tree::discover(&cluster_name(directory))
}
