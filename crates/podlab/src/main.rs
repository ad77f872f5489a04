//! `podlab`: one static binary that is every program of the cluster.
//!
//! What it is today is decided here, before any thread exists: the roles that make namespaces must be single-threaded.
//! In order: the name it was called by (a program of a built-in image, or `kubectl`), the hidden `internal ROLE`, and
//! then the command line that people use.

mod cli;
mod commands;
mod control_plane;
mod directory;
mod doctor;
mod images_in_use;
mod kubelet;
mod logging;
mod machine;
mod plug;
mod puller;
mod record;
mod role;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let name = arguments.first().map(Path::new).and_then(Path::file_name).and_then(|name| name.to_str());
    match name {
        // Also what an empty argument vector means: there is nothing else it could be.
        None | Some("podlab") => {}
        Some("kubectl") => return commands::kubectl::run(arguments.split_off(1)),
        Some(name) => {
            let name = name.to_owned();
            if let Some(code) = podlab_applets::run(&name, arguments[1..].to_vec()) {
                return code;
            }
        }
    }
    if arguments.get(1).is_some_and(|first| first == role::WORD) {
        return role::run(arguments.split_off(2));
    }
    cli::run(arguments)
}
