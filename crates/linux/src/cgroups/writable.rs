//! Cgroups in a container: there they are mounted read-only, though this process may have the right to use them.

use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountAttrFlags, MountPropagationFlags};

use crate::error::{During, Refusal};
use crate::namespaces::{Namespaces, unshare};
use crate::syscalls;

/// Where cgroups are mounted read-only, moves this process into a mount namespace of its own where they are not; so
/// the mounts of everybody else stay as they are. What it starts from then on sees the same. True: it has moved.
///
/// Must be called before the process has started any thread. It takes `CAP_SYS_ADMIN`; without, it is refused.
pub fn make_writable() -> Result<bool, Refusal> {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").during("read", "/proc/self/mountinfo")?;
    let closed = read_only(&mountinfo);
    if closed.is_empty() {
        return Ok(false);
    }
    unshare(Namespaces::MOUNT)?;
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .during("make private", "/")?;
    for path in closed {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let mount = rustix::fs::openat(CWD, &path, flags, Mode::empty()).during("open", path.display())?;
        let read_only = u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
        syscalls::mount_setattr(mount.as_fd(), false, 0, read_only, 0).during("make writable", path.display())?;
    }
    Ok(true)
}

/// The places of the cgroup mounts that are read-only: proc(5), `/proc/PID/mountinfo`.
fn read_only(mountinfo: &str) -> Vec<PathBuf> {
    let places = mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let kind = right.split(' ').next()?;
        let mut fields = left.split(' ').skip(4);
        let (point, options) = (fields.next()?, fields.next()?);
        let closed = matches!(kind, "cgroup" | "cgroup2") && options.split(',').any(|option| option == "ro");
        closed.then(|| PathBuf::from(point))
    });
    places.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_is_found_by_the_mounts_own_options() {
        let mountinfo = "\
33 32 0:29 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:9 - cgroup cgroup rw,memory
34 32 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup ro,pids
35 32 0:31 / /sys/fs/cgroup/unified ro - cgroup2 cgroup2 rw
36 32 0:32 / /proc/sys ro - proc proc rw
malformed line
";
        assert_eq!(read_only(mountinfo), ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"].map(PathBuf::from));
    }
}
