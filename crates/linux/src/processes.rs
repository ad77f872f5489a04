//! Processes that somebody else wrote down: found again, or known to be others.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use crate::namespaces::Process;

/// A process as it can be written down. A number alone comes to mean another process one day; with the time of its
/// start it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// In the machine's pid namespace.
    pub pid: i32,
    /// Clock ticks since the machine started, from `/proc/PID/stat`.
    pub start_time: u64,
}

impl ProcessRecord {
    /// What to write down of a process that runs now.
    pub fn of(pid: Pid) -> Option<Self> {
        Some(Self { pid: pid.as_raw_nonzero().get(), start_time: start_time(pid)? })
    }

    /// The process, if it still runs.
    pub fn find(&self) -> Option<Process> {
        let pid = Pid::from_raw(self.pid)?;
        let process = Process::open(pid).ok()?;
        // In this order: the pidfd was opened first, so that the number cannot change its meaning in between.
        (start_time(pid)? == self.start_time).then_some(process)
    }

    /// Kills the process, if it still runs, and waits for its end until `deadline`. True: it is gone.
    pub fn end(&self, deadline: Instant) -> bool {
        let Some(process) = self.find() else { return true };
        if process.signal(Signal::KILL).is_err() {
            return false;
        }
        wait_until(&process, deadline)
    }
}

/// Waits until a process has ended or a deadline has passed. True: it has ended.
pub(crate) fn wait_until(process: &Process, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timespec(left))) {
            Ok(0) if left.is_zero() => return false,
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

fn start_time(pid: Pid) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    parse_start_time(&text)
}

/// The start time of a process that has not ended: the 22nd field. One that has, and that its parent has not taken note
/// of (state `Z`), holds nothing any more; a machine whose first process reaps late, or never, is full of them. The second is the program's name in parentheses, which may itself contain both blanks and
/// parentheses (proc(5)).
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_shift_the_fields() {
        let rest = "S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99";
        for name in ["sh", "a b", ") R 2 2", "((", ""] {
            assert_eq!(parse_start_time(&format!("7 ({name}) {rest}")), Some(4711), "{name}");
        }
        assert_eq!(parse_start_time(""), None);
        assert_eq!(parse_start_time(&format!("7 (sh) {}", rest.replace('S', "Z"))), None, "it has ended");
    }

    #[test]
    fn a_process_is_found_by_both_its_marks() {
        let own = rustix::process::getpid();
        let record = ProcessRecord::of(own).unwrap();
        assert!(record.find().is_some());
        assert!(ProcessRecord { start_time: record.start_time + 1, ..record }.find().is_none());
    }
}
