//! Processes that belong to a scope.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Leak;

/// A process, held by descriptor so that its pid cannot come to mean another one.
pub(super) struct Found {
    pid: i32,
    command: String,
    descriptor: OwnedFd,
}

impl Found {
    /// Whether it has ended before the instant `end`; waits until then.
    pub(super) fn ended_before(&self, end: Instant) -> bool {
        crate::program::readable(&self.descriptor, end.saturating_duration_since(Instant::now()))
    }

    pub(super) fn kill(&self) {
        // It may have ended meanwhile, which is as good.
        let _ = pidfd_send_signal(&self.descriptor, Signal::KILL);
    }

    pub(super) fn leak(&self) -> Leak {
        Leak::Process { pid: self.pid, command: self.command.clone() }
    }
}

/// Every live process but this one that carries `name` in its arguments, its environment or its mounts.
///
/// Container processes have neither our arguments nor our environment, but their mount namespaces contain files from
/// the Pod's directory, and `mountinfo` names the directory a mount was made from.
pub(super) fn in_scope(name: &str) -> Vec<Found> {
    let own_mounts = std::fs::read_link("/proc/self/ns/mnt").ok();
    let own_pid = std::process::id().cast_signed();
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own_pid)
        .filter_map(|pid| {
            // Opened before it is looked at: what is read afterwards is about this process or fails.
            let descriptor = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
            let process = Path::new("/proc").join(pid.to_string());
            let command = text(&process.join("cmdline"));
            let other_mounts = std::fs::read_link(process.join("ns/mnt")).ok() != own_mounts;
            let belongs = command.contains(name)
                || text(&process.join("environ")).contains(name)
                || (other_mounts && text(&process.join("mountinfo")).contains(name));
            (belongs && !is_zombie(&process)).then(|| Found { pid, command: command.replace('\0', " "), descriptor })
        })
        .collect()
}

/// A file of `/proc`, or nothing when its process has ended.
fn text(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Whether only its exit status is left; its parent, not we, has to take that. See proc_pid_stat(5), field 3.
fn is_zombie(process: &Path) -> bool {
    let stat = text(&process.join("stat"));
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}
