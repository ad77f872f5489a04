//! What a person hears from the machine, whether it runs in front of them or in the background.

use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One thing to say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Something out of the ordinary that was dealt with.
    Notice(String),
    /// What is being done now: worth saying when it takes long.
    Stage(String),
    /// The node is Ready.
    Ready(Summary),
    Stopping,
    /// Everything is gone.
    Stopped,
    /// It cannot go on, and why.
    Failed(String),
}

/// Where everything is, once the node is Ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) node: String,
    /// From the start of the machine.
    pub(crate) milliseconds: u64,
    pub(crate) directory: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) bin: PathBuf,
    pub(crate) book: Option<String>,
}

/// Writes a report as a line of JSON to standard output, the pipe to `start --detach`. Once that has returned nobody
/// reads any more, and nothing is lost: the log has it too.
pub(super) fn to_pipe(report: Report) {
    if let Ok(mut line) = serde_json::to_vec(&report) {
        line.push(b'\n');
        let mut out = std::io::stdout();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
