//! `podlab kubectl …`, and what this program is when it is called by that name.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the built-in kubectl.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    podlab_kubectl::run(arguments)
}
