//! The programs inside the built-in images, as applets of the one binary: kuard, nginx, the log watcher and others.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the applet that `name` (the last component of `argv[0]`) stands for. `None` when there is no such applet.
pub fn run(name: &str, arguments: Vec<OsString>) -> Option<ExitCode> {
    let _ = (name, arguments);
    None
}
