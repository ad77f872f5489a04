//! The janitor: outside everything, it sweeps when the plug has been pulled.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// The hidden role word: `podlab internal janitor JSON`, where `JSON` is a [`JanitorConfig`].
pub const ROLE: &str = "janitor";

/// What a janitor is started with. Its standard input must be the read end of the plug, as for the fabric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JanitorConfig {
    /// The cluster's state directory, absolute.
    pub directory: PathBuf,
}

/// Waits until the plug is pulled, then ends what is left and removes what outlives processes. Runs in a session of
/// its own, so that a signal to the terminal's group does not reach it.
pub fn main(config: JanitorConfig) -> ExitCode {
    let _ = config;
    ExitCode::FAILURE
}

/// What the janitor does after the plug was pulled; `start` calls it too, for a janitor that was killed itself.
/// Returns a line for each thing that was still there.
pub fn sweep(directory: &Path) -> Vec<String> {
    let _ = directory;
    Vec::new()
}
