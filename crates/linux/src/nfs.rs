//! Volumes of a file server: the kernel's own client, mounted and taken off by a process of its own.
//!
//! The kernel waits for file servers, in states that no signal ends. So nobody who has other things to do mounts or
//! unmounts one: the kubelet starts this role for each, as a real one starts mount(8), and can give it up. What it says on
//! standard error are mount(8)'s and mount.nfs(8)'s words, for they are what a `FailedMount` event shows.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, MountAttrFlags, UnmountFlags};
use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::rootfs::Mount;
use crate::rootfs::root::Root;

/// The hidden role word: `podlab internal mounter JSON` calls [`main`] with the decoded [`MounterConfig`].
pub const ROLE: &str = "mounter";

/// Where file servers listen, and their mount programs when nobody is asked for another port.
const PORT: u16 = 2049;
/// A server that does not even take a connection by then is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// What mount(8) exits with when it could not mount.
const FAILED: u8 = 32;

/// What a mounter is started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MounterConfig {
    /// Mount a directory of a server.
    Mount { server: String, path: String, target: PathBuf, read_only: bool },
    /// Take it off, whether the server answers or not.
    Unmount { target: PathBuf },
}

/// Does one thing, and ends.
pub fn main(config: MounterConfig) -> ExitCode {
    let result = match &config {
        MounterConfig::Mount { server, path, target, read_only } => {
            mount(server, path, &target.to_string_lossy(), *read_only)
        }
        MounterConfig::Unmount { target } => {
            // What waits for the server is told that there is none; then the mount goes, and what is left of it ends here.
            let flags = UnmountFlags::FORCE | UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
            rustix::mount::unmount(target, flags)
                .map_err(|errno| format!("umount.nfs: {}: {}", target.display(), words(errno)))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            log_line!("{text}");
            ExitCode::from(FAILED)
        }
    }
}

/// Whether the kernel has a client: asking also loads its module, where this process may do that.
pub fn in_kernel() -> Result<(), Errno> {
    rustix::mount::fsopen("nfs", FsOpenFlags::FSOPEN_CLOEXEC).map(drop)
}

fn mount(server: &str, path: &str, target: &str, read_only: bool) -> Result<(), String> {
    let on = format!("{server}:{path} on {target}");
    match in_kernel() {
        Err(Errno::NODEV) => {
            return Err(format!(
                "mount: {target}: unknown filesystem type 'nfs'.\n       \
                 dmesg(1) may have more information after failed mount system call."
            ));
        }
        Err(errno) => return Err(format!("mount.nfs: {} for {on}", words(errno))),
        Ok(()) => {}
    }
    let unknown = || format!("mount.nfs: Failed to resolve server {server}: Name or service not known");
    // The kernel is given a number: it has no names.
    let address =
        (server, PORT).to_socket_addrs().map_err(|_| unknown())?.find(SocketAddr::is_ipv4).ok_or_else(unknown)?;
    // The kernel would say the same of a server that is not there, but takes minutes for it.
    TcpStream::connect_timeout(&address, CONNECT).map_err(|error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::TIMEDOUT);
        format!("mount.nfs: {} for {on}", words(errno))
    })?;
    make(address, server, path, target, read_only).map_err(|refusal| match refusal.errno {
        Errno::ACCESS => format!("mount.nfs: access denied by server while mounting {server}:{path}"),
        Errno::NOENT => {
            format!("mount.nfs: mounting {server}:{path} failed, reason given by server: No such file or directory")
        }
        errno => format!("mount.nfs: {} for {on}", words(errno)),
    })
}

fn make(address: SocketAddr, server: &str, path: &str, target: &str, read_only: bool) -> Result<(), Refusal> {
    let (source, ip, port) = (format!("{server}:{path}"), address.ip().to_string(), PORT.to_string());
    let options = [
        ("source", source.as_str()),
        ("addr", &ip),
        ("mountaddr", &ip),
        // Version 3 has two programs, which a port mapper would be asked for. Here both are at one port.
        ("vers", "3"),
        ("proto", "tcp"),
        ("mountproto", "tcp"),
        ("port", &port),
        ("mountport", &port),
        // Locks are a third program, and access lists a fourth. There are none.
        ("nolock", ""),
        ("noacl", ""),
        // Half a minute without an answer is an error. Real clusters mount `hard`: what waits, waits until the server is
        // back, be it for days. A lab has to end some day, also without its server.
        ("softerr", ""),
        ("timeo", "50"),
        ("retrans", "2"),
    ];
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    if read_only {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let place = Root::open(target.as_ref())?;
    Mount::new("nfs", &options, attributes)?.attach(place.as_fd(), target)
}

/// The C library's words.
fn words(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On kernels without a client the text is the recorded one (golden 258-describe-kuard-nfs); on others, the name is
    /// what is wrong first.
    #[test]
    fn what_cannot_be_mounted_is_told_as_mount_tells_it() {
        let text = mount("no.such.server.invalid", "/exports", "/t", false).unwrap_err();
        match in_kernel() {
            Ok(()) => {
                let name = "Failed to resolve server no.such.server.invalid: Name or service not known";
                assert_eq!(text, format!("mount.nfs: {name}"));
            }
            Err(Errno::NODEV) => assert_eq!(
                text,
                "mount: /t: unknown filesystem type 'nfs'.\n       \
                 dmesg(1) may have more information after failed mount system call."
            ),
            Err(_) => assert_eq!(text, "mount.nfs: Operation not permitted for no.such.server.invalid:/exports on /t"),
        }
    }
}
