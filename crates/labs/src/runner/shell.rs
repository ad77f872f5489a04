//! Where the commands of a lab run: a folder with copies of its files, and an environment that is the same everywhere.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::process::{ProcessError, Running};
use crate::{Cluster, Kubectl};

/// What of a lab's folder is not for its commands.
const OURS: [&str; 4] = ["lab.yaml", "snapshots", "exercises", "teacher.md"];

/// A place to run commands in. Gone, with everything the commands wrote, when it is dropped.
#[derive(Debug)]
pub struct Shell {
    scratch: TempDir,
    environment: Vec<(OsString, OsString)>,
}

impl Shell {
    /// A shell for `cluster`, whose working directory has copies of the files in `folder`.
    ///
    /// # Errors
    ///
    /// When something cannot be copied or linked.
    pub fn new(cluster: &Cluster, folder: &Path) -> io::Result<Shell> {
        let scratch = tempfile::Builder::new().prefix("podlab-lab-").tempdir()?;
        for directory in ["work", "bin", "home"] {
            std::fs::create_dir(scratch.path().join(directory))?;
        }
        copy(folder, &scratch.path().join("work"), &OURS)?;
        let bin = scratch.path().join("bin");
        if let Kubectl::Program(program) = &cluster.kubectl {
            std::os::unix::fs::symlink(std::path::absolute(program)?, bin.join("kubectl"))?;
        }
        if let Some(ours) = &cluster.bin {
            std::os::unix::fs::symlink(ours.join("podlab"), bin.join("podlab"))?;
        }
        // Our own kubectl lies in `cluster.bin`, for those who have none: last, so that a real one is taken first.
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            std::iter::once(bin).chain(std::env::split_paths(&inherited)).chain(cluster.bin.clone()),
        )
        .map_err(io::Error::other)?;
        let home = scratch.path().join("home");
        let mut environment: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), path),
            ("KUBECONFIG".into(), std::path::absolute(&cluster.kubeconfig)?.into()),
            // kubectl keeps what it discovered under ~/.kube; a lab never writes there.
            ("HOME".into(), home.into()),
            ("TZ".into(), "UTC".into()),
            ("LANG".into(), "C.UTF-8".into()),
        ];
        environment.extend(cluster.dir.iter().map(|dir| ("PODLAB_DIR".into(), dir.clone().into_os_string())));
        Ok(Shell { scratch, environment })
    }

    /// The folder the commands work in.
    pub fn folder(&self) -> PathBuf {
        self.scratch.path().join("work")
    }

    /// Sets a variable of the environment of all commands.
    pub(crate) fn set(&mut self, name: &str, value: OsString) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.into(), value));
    }

    /// `program` in the folder, with this environment on top of ours: for a person.
    pub fn interactive(&self, program: &OsStr) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program);
        let environment = self.environment.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        command.envs(environment).current_dir(self.folder());
        command
    }

    /// Starts `command` with `sh -c`.
    ///
    /// # Errors
    ///
    /// When no shell can be started.
    pub(crate) fn start(&self, command: &str) -> Result<Running, ProcessError> {
        self.start_with(command, &BTreeMap::new())
    }

    /// The same, with a few more variables.
    ///
    /// # Errors
    ///
    /// When no shell can be started.
    pub(crate) fn start_with(&self, command: &str, with: &BTreeMap<String, String>) -> Result<Running, ProcessError> {
        let arguments = [OsStr::new("-c"), OsStr::new(command)];
        let environment = self.environment.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        let with = with.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
        let environment = environment.chain(with);
        Running::start(command, "sh", arguments, environment, &self.folder())
    }
}

/// Copies the files of `from`, and of the folders in it, except those named.
fn copy(from: &Path, to: &Path, except: &[&str]) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if except.iter().any(|ours| name == *ours) {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target, &[])?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
