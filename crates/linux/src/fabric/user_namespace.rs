//! The user namespace of a cluster that was started without root.

use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::error::{During, Refusal};
use crate::namespaces::{Namespaces, Process, spawn, unshare};

/// How ids of the user namespace map to ids of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserNamespace {
    /// Only one id: root inside is the caller outside. Images with several users cannot work.
    Single,
    /// Ranges from `/etc/subuid` and `/etc/subgid`, written by `newuidmap` and `newgidmap`.
    Ranges,
}

/// The two programs that map ranges, and the files they go by.
const HELPERS: [(&str, &str); 2] = [("newuidmap", "/etc/subuid"), ("newgidmap", "/etc/subgid")];

impl UserNamespace {
    /// What a cluster of this user needs: nothing as root, else as many ids as there are.
    pub fn of_caller() -> Option<Self> {
        let user = rustix::process::geteuid();
        if user.is_root() {
            return None;
        }
        Some(if ranges_of(user.as_raw()).is_ok() { Self::Ranges } else { Self::Single })
    }

    /// Moves this process into a new user namespace, as root. To be called before there is any thread.
    ///
    /// # Errors
    ///
    /// When the host does not allow it.
    pub fn enter(self) -> Result<(), Refusal> {
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        match self {
            Self::Single => {
                unshare(Namespaces::USER)?;
                map_single(user, group)
            }
            Self::Ranges => {
                // The helpers have to run outside of the namespace, once it exists.
                let (wait, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).during("make", "pipe")?;
                let parent = rustix::process::getpid();
                let go_in_child = go.as_raw_fd();
                let helper = spawn(Namespaces::empty(), None, || {
                    // SAFETY: this copy of the descriptor belongs to the parent's object, which this child leaves
                    // alone; with it open, the end of file would never come.
                    unsafe { libc::close(go_in_child) };
                    let _ = rustix::io::read(&wait, &mut [0_u8; 1]);
                    match map_ranges(parent, user, group) {
                        Ok(()) => 0,
                        Err(why) => {
                            log_line!("map ids: {why}");
                            1
                        }
                    }
                })?;
                unshare(Namespaces::USER)?;
                drop(go);
                finish(&helper)
            }
        }
    }
}

/// The ranges of a user, and the programs that map them; or in words what is missing.
///
/// # Errors
///
/// What is missing.
pub fn ranges_of(user: u32) -> Result<[(u32, u32); 2], String> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut ranges = [(0, 0); 2];
    for ((helper, file), found) in HELPERS.into_iter().zip(&mut ranges) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|directory| directory.join(helper).is_file()) {
            return Err(format!("{helper} is not on PATH"));
        }
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        *found = range(&text, &passwd, user).ok_or_else(|| format!("{file} has no range for user {user}"))?;
    }
    Ok(ranges)
}

fn finish(helper: &Process) -> Result<(), Refusal> {
    match helper.wait().during("wait for", "newuidmap")?.code {
        0 => Ok(()),
        _ => Err(Errno::PERM).during("map ids with", "newuidmap and newgidmap"),
    }
}

/// Maps root to the caller, and nothing else.
fn map_single(user: u32, group: u32) -> Result<(), Refusal> {
    // Without giving up setgroups(2), an unprivileged process may not map groups.
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {user} 1"))?;
    write("/proc/self/gid_map", &format!("0 {group} 1"))
}

/// Maps root to the caller, and the ids from 1 on to the caller's ranges.
fn map_ranges(process: Pid, user: u32, group: u32) -> Result<(), String> {
    let process = process.as_raw_nonzero().to_string();
    for (((helper, _), own), (start, count)) in HELPERS.into_iter().zip([user, group]).zip(ranges_of(user)?) {
        let [own, start, count] = [own, start, count].map(|number| number.to_string());
        let status = std::process::Command::new(helper)
            .args([process.as_str(), "0", own.as_str(), "1", "1", start.as_str(), count.as_str()])
            .status()
            .map_err(|error| format!("{helper}: {error}"))?;
        if !status.success() {
            return Err(format!("{helper}: {status}"));
        }
    }
    Ok(())
}

/// The first range of a user in the text of `/etc/subuid` (subuid(5)): `name-or-id:start:count`.
fn range(text: &str, passwd: &str, user: u32) -> Option<(u32, u32)> {
    let id = user.to_string();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(id.as_str())).then_some(name)
    });
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let ours = owner == id || Some(owner) == name;
        ours.then(|| Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))).flatten()
    })
}

fn write(path: &str, text: &str) -> Result<(), Refusal> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(Path::new(path), flags, Mode::empty()).during("open", path)?;
    rustix::io::write(&file, text.as_bytes()).map(drop).during("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_by_name_or_by_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(range("ben:1:2\nada:100000:65536\nada:9:9\n", passwd, 1000), Some((100_000, 65536)));
        assert_eq!(range("1000:5:6\n", "", 1000), Some((5, 6)));
        assert_eq!(range("ada:many:6\n", passwd, 1000), None);
        assert_eq!(range("ada:5:6\n", passwd, 1001), None);
    }
}
