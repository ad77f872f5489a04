//! Into a running node, from outside: how one "logs in" to it.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use crate::container::program::DEFAULT_PATH;
use crate::error::{During, Refusal};
use crate::fabric::Running;
use crate::namespaces::{Namespaces, spawn};
use crate::syscalls;

/// Why a node could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No such node, or its init has ended.
    #[error("node {node} is not running")]
    NotRunning { node: String },
    /// A step on the way into the node failed.
    #[error("node {node}: {refusal}")]
    Enter {
        node: String,
        #[source]
        refusal: Refusal,
    },
}

/// Enters the namespaces of a running node and runs a command there, with this process's own streams.
///
/// Must be called before the process has started any thread. Returns the command's exit code; 128 + the signal's
/// number when a signal ended it; 127 and 126 when there is no such command, as shells have it.
pub fn exec(directory: &Path, node: &str, command: &[OsString]) -> Result<ExitCode, NodeError> {
    let running =
        Running::read(directory).and_then(|running| running.nodes.into_iter().find(|known| known.name == node));
    let not_running = || NodeError::NotRunning { node: node.to_owned() };
    let init = running.and_then(|node| node.init.find()).ok_or_else(not_running)?;

    let code = enter_and_run(&init, command).map_err(|refusal| NodeError::Enter { node: node.to_owned(), refusal })?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn enter_and_run(init: &crate::namespaces::Process, command: &[OsString]) -> Result<i32, Refusal> {
    let mut namespaces = Namespaces::MOUNT
        | Namespaces::PROCESS_ID
        | Namespaces::NETWORK
        | Namespaces::HOST_NAME_AND_NIS_DOMAIN_NAME
        | Namespaces::INTER_PROCESS_COMMUNICATION
        | Namespaces::CONTROL_GROUP;
    if !rustix::process::geteuid().is_root() {
        namespaces |= Namespaces::USER;
    }
    init.enter(namespaces)?;
    let child = spawn(Namespaces::empty(), None, || run(command))?;
    let ended = child.wait().during("wait for", "the command")?;
    Ok(ended.code)
}

/// Becomes the command. In the node, `PATH` is the node's; everything else of the environment comes along.
fn run(command: &[OsString]) -> i32 {
    let _ = rustix::process::chdir("/");
    let c_strings = |texts: Vec<Vec<u8>>| -> Option<Vec<CString>> {
        texts.into_iter().map(|text| CString::new(text).ok()).collect()
    };
    let arguments = command.iter().map(|argument| argument.as_bytes().to_vec()).collect();
    let variables = std::env::vars_os()
        .filter(|(name, _)| name != "PATH")
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .chain([format!("PATH={DEFAULT_PATH}").into_bytes()])
        .collect();
    let (Some(arguments), Some(variables)) = (c_strings(arguments), c_strings(variables)) else { return 126 };
    let Some(name) = command.first() else { return 127 };
    syscalls::reset_signals();
    let mut refused = rustix::io::Errno::NOENT;
    let places: Vec<&str> = if name.as_bytes().contains(&b'/') { vec![""] } else { DEFAULT_PATH.split(':').collect() };
    for place in places {
        let path = Path::new(place).join(name);
        let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return 126 };
        match syscalls::execute(&path, &arguments, &variables) {
            rustix::io::Errno::NOENT => {}
            errno => refused = errno,
        }
    }
    eprintln!("{}: {}", name.display(), crate::error::errno_text(refused));
    if refused == rustix::io::Errno::NOENT { 127 } else { 126 }
}
