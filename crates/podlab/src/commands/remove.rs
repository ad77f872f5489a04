//! Deleting a state directory.
//!
//! A container may have left files of its own users, in directories that only those may write to. As root that is no
//! matter. An ordinary user owns those users (they are of its range of subordinate ids), but is root over them only in a
//! user namespace: that is where the files are deleted.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;
use podlab_linux::fabric::UserNamespace;

use crate::directory::StateDirectory;

/// The hidden role word: `podlab internal remove DIRECTORY`.
pub(crate) const ROLE: &str = "remove";

/// Deletes the state directory of a cluster that does not run.
///
/// # Errors
///
/// When it is none, or something in it cannot be deleted.
pub(super) fn run(directory: &StateDirectory) -> anyhow::Result<()> {
    if !directory.path().exists() {
        return Ok(());
    }
    anyhow::ensure!(directory.lock_file().exists(), "{} holds no Podlab cluster", directory.path().display());
    if UserNamespace::of_caller().is_none() {
        return remove(directory.path());
    }
    let output = Command::new("/proc/self/exe")
        .args(crate::role::arguments(ROLE, &directory.path()))
        .stdin(Stdio::null())
        .output()
        .context("cannot start a process")?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    std::fs::remove_dir_all(directory).with_context(|| format!("delete {}", directory.display()))
}

/// The child: root in a namespace of its own, over the files of the caller's ids.
pub(crate) fn main(directory: PathBuf) -> ExitCode {
    let entered = UserNamespace::of_caller().map_or(Ok(()), UserNamespace::enter).map_err(anyhow::Error::from);
    match entered.and_then(|()| remove(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
