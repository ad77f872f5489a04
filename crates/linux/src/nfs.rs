//! Volumes of a file server, mounted and taken off by a process of its own: by the kernel's client, and where it has none, or
//! none for us (without root), by a bridge of ours to it. That is a process for each mount, which ends with it.
//!
//! The kernel waits for file servers, in states that no signal ends. So nobody who has other things to do mounts or
//! unmounts one: the kubelet starts this role for each, as a real one starts mount(8), and can give it up. What it says on
//! standard error are mount(8)'s and mount.nfs(8)'s words, for they are what a `FailedMount` event shows.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use podlab_nfs::{Bridge, Client, ClientError};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, MountAttrFlags, UnmountFlags};
use serde::{Deserialize, Serialize};

use crate::error::{During, Refusal};
use crate::rootfs::Mount;
use crate::rootfs::root::Root;

/// The hidden role word: `podlab internal mounter JSON` calls [`main`] with the decoded [`MounterConfig`].
pub const ROLE: &str = "mounter";

/// The role of the bridge: `podlab internal nfs-bridge JSON` calls [`bridge`] with the decoded [`BridgeConfig`].
pub const BRIDGE_ROLE: &str = "nfs-bridge";

/// What the kernel calls a mount by way of a bridge.
pub const BRIDGED: &str = "fuse.nfs";

/// Where file servers listen, and their mount programs when nobody is asked for another port.
const PORT: u16 = podlab_nfs::PORT;
/// With which file systems are served to the kernel.
const FUSE: &str = "/dev/fuse";
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

/// What a bridge is started with; its standard input is `/dev/fuse`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeConfig {
    server: SocketAddr,
    /// The server's handle of what is mounted.
    root: Vec<u8>,
}

/// Is a bridge, until the mount is gone.
pub fn bridge(config: BridgeConfig) -> ExitCode {
    let Ok(device) = std::io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    match Bridge::new(Client::new(config.server), config.root).serve(&device) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
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

/// Whether a node can mount a file server: with the kernel's client, or with a bridge. Asking also loads their modules, where
/// this process may do that.
pub fn possible() -> Result<&'static str, String> {
    // The kernel opens its client to who is root in a user namespace, and then mounts nothing with it.
    let client = if in_first_user_namespace() {
        match rustix::mount::fsopen("nfs", FsOpenFlags::FSOPEN_CLOEXEC) {
            Ok(_) => return Ok("the kernel has a client"),
            Err(errno) => words(errno),
        }
    } else {
        words(Errno::PERM)
    };
    match std::fs::OpenOptions::new().read(true).write(true).open(FUSE) {
        Ok(_) => Ok("by way of /dev/fuse"),
        Err(error) => Err(format!("fsopen nfs: {client}; {FUSE}: {error}")),
    }
}

/// Whether this is the user namespace that the machine began with: there, every id is itself (user_namespaces(7)).
fn in_first_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn mount(server: &str, path: &str, target: &str, read_only: bool) -> Result<(), String> {
    let on = format!("{server}:{path} on {target}");
    if possible().is_err() {
        return Err(format!(
            "mount: {target}: unknown filesystem type 'nfs'.\n       \
             dmesg(1) may have more information after failed mount system call."
        ));
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
    let mounted = match make(address, server, path, target, read_only) {
        Err(refusal) if matches!(refusal.errno, Errno::NODEV | Errno::PERM) => {
            make_bridged(address, server, path, target, read_only)
        }
        mounted => mounted,
    };
    mounted.map_err(|refusal| match refusal.errno {
        Errno::ACCESS => format!("mount.nfs: access denied by server while mounting {server}:{path}"),
        Errno::NOENT => {
            format!("mount.nfs: mounting {server}:{path} failed, reason given by server: No such file or directory")
        }
        errno => format!("mount.nfs: {} for {on}", words(errno)),
    })
}

/// Mounts by way of a bridge, which goes on when this process has ended.
fn make_bridged(address: SocketAddr, server: &str, path: &str, target: &str, read_only: bool) -> Result<(), Refusal> {
    let root = Client::new(address).mount(path).map_err(|error| match error {
        ClientError::Failed(number) => i32::try_from(number).map_or(Errno::IO, Errno::from_raw_os_error),
        ClientError::Away(_) => Errno::TIMEDOUT,
        ClientError::Garbage => Errno::PROTONOSUPPORT,
    });
    let root = root.during("mount", path)?;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let device = rustix::fs::open(FUSE, flags, Mode::empty()).during("open", FUSE)?;
    let (source, number) = (format!("{server}:{path}"), device.as_raw_fd().to_string());
    let options = [
        ("source", source.as_str()),
        ("subtype", "nfs"),
        ("fd", &number),
        ("rootmode", "40000"),
        ("user_id", "0"),
        ("group_id", "0"),
        // Also for containers that are not root: what they may do, the server says.
        ("allow_other", ""),
    ];
    let place = Root::open(target.as_ref())?;
    let mount = Mount::new("fuse", &options, attributes(read_only))?;
    let config = serde_json::to_string(&BridgeConfig { server: address, root }).map_err(std::io::Error::from);
    Command::new("/proc/self/exe")
        .args(["internal", BRIDGE_ROLE, &config.during("write", "a configuration")?])
        .current_dir("/")
        .stdin(device)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .during("start", "the bridge")?;
    mount.attach(place.as_fd(), target)
}

fn attributes(read_only: bool) -> MountAttrFlags {
    let plain = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    if read_only { plain | MountAttrFlags::MOUNT_ATTR_RDONLY } else { plain }
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
    let place = Root::open(target.as_ref())?;
    Mount::new("nfs", &options, attributes(read_only))?.attach(place.as_fd(), target)
}

/// The C library's words.
fn words(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where nothing could mount it the text is the recorded one (golden 258-describe-kuard-nfs); elsewhere, the name is what
    /// is wrong first.
    #[test]
    fn what_cannot_be_mounted_is_told_as_mount_tells_it() {
        let text = mount("no.such.server.invalid", "/exports", "/t", false).unwrap_err();
        let name = "mount.nfs: Failed to resolve server no.such.server.invalid: Name or service not known".to_owned();
        let kind = "mount: /t: unknown filesystem type 'nfs'.\n       \
                    dmesg(1) may have more information after failed mount system call."
            .to_owned();
        assert_eq!(text, if possible().is_ok() { name } else { kind });
    }
}
