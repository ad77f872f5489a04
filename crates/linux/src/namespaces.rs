//! Namespaces: what a Pod sees.
//!
//! A namespace gives the processes in it their own view of one kernel resource (namespaces(7)):
//!
//! | namespace | own view of | who shares it here |
//! |---|---|---|
//! | net | links, addresses, routes, ports | the containers of a Pod |
//! | ipc | System V and POSIX queues, shared memory | the containers of a Pod |
//! | uts | host name | the containers of a Pod |
//! | pid | process numbers | nobody, or the Pod with `shareProcessNamespace` |
//! | mount | the file tree | nobody |
//! | cgroup | the root of the cgroup tree | nobody |
//! | user | ids and capabilities | the whole cluster, when it was started without root |

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags};

use crate::error::{During, Refusal};
use crate::syscalls;

/// A set of namespaces to be made or entered.
pub type Namespaces = ThreadNameSpaceType;

/// A process we started, held by a pidfd: unlike a number, it can never come to mean another process.
#[derive(Debug)]
pub struct Process {
    /// Its number in *our* pid namespace.
    pub pid: Pid,
    pidfd: OwnedFd,
}

// ANCHOR: spawn
/// Forks a child into new namespaces and runs `child` in it; the child ends with the code that it returns.
///
/// clone3(2) makes the process and its namespaces in one step, so that there is no moment at which it runs in ours.
/// With `cgroup` (a directory of a cgroup v2 tree) it is born in that cgroup, too.
///
/// The calling process must be single-threaded, as the fabric, a node's init and a Pod's supervisor are.
pub(crate) fn spawn(
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> i32,
) -> Result<Process, Refusal> {
    let flags = u64::from(namespaces.bits());
    // SAFETY: our callers are single-threaded programs; this is part of this function's contract.
    match unsafe { syscalls::clone3(flags, cgroup) }.during("create process in", format!("{namespaces:?}"))? {
        syscalls::Clone::Parent { pid, pidfd } => Ok(Process { pid, pidfd }),
        // A panic must not run on into the parent's code, of which the child has a copy.
        syscalls::Clone::Child => syscalls::exit_now(catch_unwind(AssertUnwindSafe(child)).unwrap_or(101)),
    }
}
// ANCHOR_END: spawn

impl Process {
    /// A process that somebody else started.
    pub fn open(pid: Pid) -> Result<Self, Errno> {
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).map(|pidfd| Self { pid, pidfd })
    }

    /// Sends a signal. A process that has ended already is no error.
    pub fn signal(&self, signal: Signal) -> Result<(), Refusal> {
        match rustix::process::pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno).during("signal process", self.pid.as_raw_nonzero()),
        }
    }

    /// The status of a child that has ended; `None` while it runs. The kernel forgets the child then.
    pub fn try_wait(&self) -> Result<Option<Ended>, Errno> {
        self.wait_with(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    /// Waits for a child to end.
    pub fn wait(&self) -> Result<Ended, Errno> {
        self.wait_with(WaitIdOptions::EXITED)?.ok_or(Errno::CHILD)
    }

    fn wait_with(&self, options: WaitIdOptions) -> Result<Option<Ended>, Errno> {
        loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
                Ok(status) => return Ok(status.map(Ended::from)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Moves this process into namespaces of that one: setns(2).
    ///
    /// The pid namespace is different from the others: it becomes that of the *children* made from now on.
    pub fn enter(&self, namespaces: Namespaces) -> Result<(), Refusal> {
        rustix::thread::move_into_thread_name_spaces(self.pidfd.as_fd(), namespaces)
            .during("enter namespaces of process", self.pid.as_raw_nonzero())
    }
}

impl AsFd for Process {
    /// The pidfd: readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; 128 + the signal's number when a signal ended it, as shells count.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl From<WaitIdStatus> for Ended {
    fn from(status: WaitIdStatus) -> Self {
        match status.terminating_signal() {
            Some(signal) => Self { code: 128 + signal, signal: Some(signal) },
            None => Self { code: status.exit_status().unwrap_or_default(), signal: None },
        }
    }
}

/// Moves this process into new namespaces: unshare(2).
pub fn unshare(namespaces: Namespaces) -> Result<(), Refusal> {
    let flags = UnshareFlags::from_bits_retain(namespaces.bits());
    syscalls::unshare(flags).during("unshare", format!("{namespaces:?}"))
}
