//! The janitor: outside everything, it sweeps when the plug has been pulled.
//!
//! The kernel ends the processes of a node with the node's init, and every namespace with its last process. Cgroups
//! and directories it keeps. And a fabric that was killed has not ended its nodes. Somebody has to be left to see to
//! that: a process that does nothing else, and so has no reason to fail.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::fabric::Running;
use crate::paths::State;
use crate::processes::timespec;

/// The hidden role word: `podlab internal janitor JSON`, where `JSON` is a [`JanitorConfig`].
pub const ROLE: &str = "janitor";

/// What a janitor is started with. Its standard input must be the read end of the plug, as for the fabric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JanitorConfig {
    /// The cluster's state directory, absolute.
    pub directory: PathBuf,
}

/// How long ending and removing may take together: an event ends each wait, on a busy machine late.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the plug is pulled, then ends what is left and removes what outlives processes. Runs in a session of
/// its own, so that a signal to the terminal's group does not reach it.
pub fn main(config: JanitorConfig) -> ExitCode {
    let _ = rustix::thread::set_name(c"janitor");
    let _ = rustix::process::setsid();
    // Nobody writes to the plug: this returns at its end.
    let _ = std::io::copy(&mut std::io::stdin().take(u64::MAX), &mut std::io::sink());
    for line in sweep(&config.directory) {
        log_line!("janitor: {line}");
    }
    ExitCode::SUCCESS
}

/// What the janitor does after the plug was pulled; `start` calls it too, for a janitor that was killed itself.
/// Returns a line for each thing that was still there.
pub fn sweep(directory: &Path) -> Vec<String> {
    let Some(running) = Running::read(directory) else { return Vec::new() };
    let mut said = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    // The fabric first: it must not start a node behind our back.
    if let Some(fabric) = running.fabric
        && fabric.find().is_some()
    {
        said.push(describe("the fabric", fabric.end(deadline)));
    }
    for node in running.nodes {
        if node.init.find().is_some() {
            said.push(describe(&node.name, node.init.end(deadline)));
        }
    }
    let cgroup = running.cgroups.cgroup("");
    if cgroup.exists() {
        cgroup.kill();
        match remove(|| cgroup.remove(), deadline) {
            Ok(()) => said.push("removed the cluster's cgroups".to_owned()),
            Err(refusal) => said.push(refusal.to_string()),
        }
    }
    let _ = std::fs::remove_file(State(directory).running());
    said
}

fn describe(what: &str, ended: bool) -> String {
    if ended { format!("ended {what}") } else { format!("could not end {what}") }
}

/// A cgroup can be removed when its last process is not even a zombie any more, and there is no event for that: the
/// one who reaps it may be a stranger.
fn remove(attempt: impl Fn() -> Result<(), Refusal>, deadline: Instant) -> Result<(), Refusal> {
    loop {
        match attempt() {
            Err(refusal) if refusal.errno == rustix::io::Errno::BUSY && Instant::now() < deadline => {
                let _ = rustix::event::poll(&mut [], Some(&timespec(Duration::from_millis(5))));
            }
            result => return result,
        }
    }
}
