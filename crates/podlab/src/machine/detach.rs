//! `start --detach`: the machine as a background process, and waiting until it is of use.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;

use super::{MachineConfig, ROLE, Report};
use crate::directory::StateDirectory;

/// A report is at most this long.
const MAX_LINE: u64 = 256 * 1024;

/// Starts the machine in the background and passes its reports to `say`, until the node is Ready or the start failed.
///
/// # Errors
///
/// When the background process cannot be started, or ends without a word.
pub(crate) fn start(config: &MachineConfig, mut say: impl FnMut(Report)) -> anyhow::Result<ExitCode> {
    let mut directory = StateDirectory::at(config.directory.clone());
    directory.create()?;
    let log_path = directory.log("machine");
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&log_path);
    let log = log.with_context(|| log_path.display().to_string())?;
    // What the caller's shell has open must not stay open for as long as the cluster lives.
    podlab_linux::close_on_exec_from(3).context("marking open files to be closed in the background process")?;
    let mut machine = Command::new("/proc/self/exe")
        .args(crate::role::arguments(ROLE, config))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .current_dir("/")
        .spawn()
        .context("cannot start the background process")?;
    let stdout = machine.stdout.take().context("the background process has no output")?;
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            let status = machine.wait()?;
            anyhow::bail!("the background process ended ({status}); see {}", log_path.display());
        }
        let report = serde_json::from_slice(&line).context("the background process said something unexpected")?;
        let outcome = match &report {
            Report::Ready(_) => Some(ExitCode::SUCCESS),
            Report::Failed(_) => Some(ExitCode::FAILURE),
            _ => None,
        };
        say(report);
        if let Some(code) = outcome {
            return Ok(code);
        }
    }
}
