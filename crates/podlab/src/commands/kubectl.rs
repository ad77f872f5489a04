//! `podlab kubectl …`, and what this program is when it is called by that name.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the built-in kubectl.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let _ = arguments;
    eprintln!(
        "error: this build has no kubectl of its own\n\
         install one: https://kubernetes.io/docs/tasks/tools/ (1.30 to 1.33 fit this cluster)"
    );
    ExitCode::FAILURE
}
