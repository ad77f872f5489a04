//! Why a container's program could not be started, carried from the child to whoever asked.

use std::fmt;
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::error::Refusal;

/// The longest report that is read. What a child writes comes from our own program, but from the inside of a
/// container that is about to be.
const REPORT_LIMIT: u64 = 16 * 1024;

/// A start that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartError {
    pub step: Step,
    /// What happened, as container runtimes say it.
    pub message: String,
}

/// How far a start had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Making the container: cgroup, root file system, volumes.
    Create,
    /// Becoming the user, looking for the program, executing it.
    Start,
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for StartError {}

impl StartError {
    pub(crate) fn create(refusal: impl fmt::Display) -> Self {
        Self { step: Step::Create, message: refusal.to_string() }
    }

    pub(crate) fn start(message: impl fmt::Display) -> Self {
        Self { step: Step::Start, message: message.to_string() }
    }

    /// Reports to the supervisor. There is nobody to tell when that fails; the exit code says so much.
    pub(crate) fn write(&self, report: BorrowedFd<'_>) {
        let text = serde_json::to_vec(self).unwrap_or_default();
        let _ = rustix::io::write(report, &text);
    }

    /// Reads a report to its end. `Ok`: the program runs.
    pub(crate) fn read(report: OwnedFd) -> Result<(), Self> {
        let mut text = Vec::new();
        let read = std::fs::File::from(report).take(REPORT_LIMIT).read_to_end(&mut text);
        match (read, text.is_empty()) {
            (Ok(_), true) => Ok(()),
            (Ok(_), false) => Err(serde_json::from_slice(&text)
                .unwrap_or_else(|_| Self::start("the report of the start could not be understood"))),
            (Err(error), _) => Err(Self::start(error)),
        }
    }
}

impl From<Refusal> for StartError {
    fn from(refusal: Refusal) -> Self {
        Self::create(refusal)
    }
}
