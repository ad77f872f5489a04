//! `machine.json`: who runs in a state directory, for `status`, `stop` and a second `start`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use podlab_linux::processes::ProcessRecord;
use serde::{Deserialize, Serialize};

use crate::directory::{StateDirectory, WriteError, write_private};

/// How long killed parts may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process, told apart from a later one with the same pid by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: i32,
    /// Clock ticks since boot: proc_pid_stat(5), field 22.
    pub(crate) start_ticks: u64,
}

impl ProcessId {
    /// The process `pid`, or `None` when there is none.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the command in parentheses, and may itself contain blanks and parentheses.
        let (_, rest) = stat.rsplit_once(')')?;
        let start_ticks = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, start_ticks })
    }

    /// Whether this very process still runs.
    pub(crate) fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// What a running machine says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MachineRecord {
    /// The process that `podlab stop` ends.
    pub(crate) machine: ProcessId,
    pub(crate) control_plane: Option<ProcessId>,
    pub(crate) fabric: Option<ProcessId>,
    pub(crate) janitor: Option<ProcessId>,
    /// Of the API server, as the kubeconfig has it: `https://127.0.0.1:6443`. `None` while it does not serve.
    pub(crate) server: Option<String>,
    /// Of the book, with what it takes to be let in.
    pub(crate) book: Option<String>,
    pub(crate) kubeconfig: PathBuf,
    /// Seconds since the epoch.
    pub(crate) started_at: i64,
}

impl MachineRecord {
    /// The record of the machine that runs in `directory`; `None` when none does, whatever an earlier one left.
    pub(crate) fn of_running(directory: &StateDirectory) -> Option<Self> {
        let text = std::fs::read(directory.machine_record()).ok()?;
        let record: Self = serde_json::from_slice(&text).ok()?;
        record.machine.lives().then_some(record)
    }

    /// Ends what is left of a machine that was killed: its parts are ending by themselves, and must not do that while
    /// the next one's begin. To be called with the directory's lock held.
    pub(crate) fn end_parts_of_the_last(directory: &StateDirectory) {
        let Ok(text) = std::fs::read(directory.machine_record()) else { return };
        let Ok(record) = serde_json::from_slice::<Self>(&text) else { return };
        let deadline = Instant::now() + PATIENCE;
        for part in [record.control_plane, record.fabric, record.janitor].into_iter().flatten() {
            let ProcessId { pid, start_ticks: start_time } = part;
            ProcessRecord { pid, start_time }.end(deadline);
        }
    }

    /// # Errors
    ///
    /// When the file cannot be written.
    pub(crate) fn write(&self, directory: &StateDirectory) -> Result<(), WriteError> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        write_private(&directory.machine_record(), &text)
    }
}

/// Which ports a cluster had, so that it gets them again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) api: Option<u16>,
    pub(crate) book: Option<u16>,
}

impl Ports {
    /// Those of the last run; none when there was no last run.
    pub(crate) fn remembered(directory: &StateDirectory) -> Self {
        let text = std::fs::read(directory.ports()).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// # Errors
    ///
    /// When the file cannot be written.
    pub(crate) fn remember(self, directory: &StateDirectory) -> Result<(), WriteError> {
        let text = serde_json::to_vec(&self).unwrap_or_default();
        write_private(&directory.ports(), &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_time_too() {
        let me = ProcessId::of(std::process::id().cast_signed()).unwrap();
        assert!(me.lives());
        assert!(!ProcessId { start_ticks: me.start_ticks + 1, ..me }.lives(), "the pid alone is not enough");
        assert_eq!(ProcessId::of(-1), None);
    }
}
