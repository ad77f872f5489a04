//! `podlab node …`

use std::ffi::OsString;
use std::process::ExitCode;

use super::Context;

/// Runs a command in the namespaces of a node, with our own streams. No thread has been started before: entering a
/// mount or user namespace asks for a single-threaded process.
///
/// # Errors
///
/// When the node does not run or cannot be entered.
pub(crate) fn exec(context: &Context, node: &str, command: &[OsString]) -> anyhow::Result<ExitCode> {
    let directory = context.running()?;
    Ok(podlab_linux::node::exec(directory.path(), node, command)?)
}
