//! `podlab stop`

use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{Context, remove};
use crate::directory::StateDirectory;
use crate::machine;
use crate::record::MachineRecord;

/// How long the machine may take: longer than it gives its parts.
const DEADLINE_SECONDS: i64 = 40;

/// Stops the cluster, and deletes its state directory if that is wanted. One that does not run is stopped already.
///
/// # Errors
///
/// When it cannot be reached, does not end, or cannot be deleted.
pub(crate) fn run(context: &Context, delete: bool) -> anyhow::Result<ExitCode> {
    let directory = context.directory()?;
    stop(&directory)?;
    if delete {
        remove::run(&directory)?;
        println!("deleted {}", directory.path().display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the machine to stop and waits until it has.
fn stop(directory: &StateDirectory) -> anyhow::Result<()> {
    if !machine::is_locked(directory) {
        println!("no cluster runs in {}", directory.path().display());
        return Ok(());
    }
    let Some(record) = MachineRecord::of_running(directory) else {
        anyhow::bail!(
            "a process holds {} without saying which it is: it is starting, or ending; try again",
            directory.lock_file().display()
        );
    };
    let pid = Pid::from_raw(record.machine.pid).ok_or_else(|| anyhow::anyhow!("machine.json names no process"))?;
    // The descriptor means this process for good; then its identity is checked once more.
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    if record.machine.lives() {
        pidfd_send_signal(&process, Signal::TERM)?;
    }
    let timeout = Timespec { tv_sec: DEADLINE_SECONDS, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout))? == 0 {
        anyhow::bail!(
            "process {} has not ended after {DEADLINE_SECONDS} s; see {}\nas a last resort: kill -9 {}",
            record.machine.pid,
            directory.log("machine").display(),
            record.machine.pid
        );
    }
    println!("stopped");
    Ok(())
}
