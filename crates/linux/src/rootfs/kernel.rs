//! `/proc` and `/sys`: the kernel's own files, and which of them a container does not get to see or change.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::mount::{Mount, SAFE};
use super::root::Root;
use crate::cgroups::{Hierarchy, Version};
use crate::error::{During, Refusal};

/// Nothing in these file systems is a program, a device, or a reason to become someone else.
const KERNEL: MountAttrFlags = SAFE.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
const KERNEL_READ_ONLY: MountAttrFlags = KERNEL.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

/// Hidden: they tell of, or reach into, the machine and not the container. The list of the container runtimes.
const MASKED: &[&str] = &[
    "proc/acpi",
    "proc/asound",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "sys/devices/virtual/powercap",
    "sys/firmware",
];

/// Visible but not writable: they set what is not the container's alone.
const READ_ONLY: &[&str] = &["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];

/// A fresh `/proc` of this process's pid namespace.
pub(super) fn mount_proc(root: &Root) -> Result<(), Refusal> {
    let target = root.plain_directory("proc")?;
    Mount::new("proc", &[], KERNEL)?.attach(target.as_fd(), "/proc")
}

/// A fresh `/sys` of this process's network namespace, and the container's own cgroups in it, all read-only.
///
/// Read-only matters most for version 1, where a writable `release_agent` is a program that the machine will run as
/// root (CVE-2022-0492).
pub(super) fn mount_sys(root: &Root, hierarchies: &[Hierarchy]) -> Result<(), Refusal> {
    let target = root.plain_directory("sys")?;
    let sys = Mount::new("sysfs", &[], KERNEL_READ_ONLY)?;
    sys.attach(target.as_fd(), "/sys")?;
    mount_cgroups(sys.as_fd(), hierarchies, KERNEL_READ_ONLY)
}

/// Mounts cgroup hierarchies below a `/sys`: version 2 alone, or a directory for each hierarchy.
pub(crate) fn mount_cgroups(
    sys: std::os::fd::BorrowedFd<'_>,
    hierarchies: &[Hierarchy],
    attributes: MountAttrFlags,
) -> Result<(), Refusal> {
    let Ok(point) = open_below(sys, "fs/cgroup") else { return Ok(()) };
    match hierarchies {
        [] => Ok(()),
        [only] if only.version == Version::V2 && only.name.is_empty() => {
            Mount::new("cgroup2", &[], attributes)?.attach(point.as_fd(), "/sys/fs/cgroup")
        }
        several => {
            let directories = Mount::new("tmpfs", &[("mode", "755"), ("size", "64k")], SAFE)?;
            // Before Linux 6.15 nothing can be mounted on a mount that is in no place yet.
            directories.attach(point.as_fd(), "/sys/fs/cgroup")?;
            for hierarchy in several {
                let mount = mount_hierarchy(hierarchy, attributes)?;
                let name = hierarchy.name.as_str();
                rustix::fs::mkdirat(&directories, name, Mode::from_raw_mode(0o755)).during("create directory", name)?;
                let target = open_below(directories.as_fd(), name).during("open", name)?;
                // Controllers mounted together (`cpu,cpuacct`) are found under each name, too.
                for alias in name.split(',').filter(|alias| *alias != name) {
                    rustix::fs::symlinkat(name, &directories, alias).during("create link", alias)?;
                }
                mount.attach(target.as_fd(), &format!("/sys/fs/cgroup/{name}"))?;
            }
            if attributes.contains(MountAttrFlags::MOUNT_ATTR_RDONLY) {
                directories.read_only()?;
            }
            Ok(())
        }
    }
}

fn mount_hierarchy(hierarchy: &Hierarchy, attributes: MountAttrFlags) -> Result<Mount, Refusal> {
    match hierarchy.version {
        Version::V2 => Mount::new("cgroup2", &[], attributes),
        Version::V1 => {
            let options: Vec<(&str, &str)> = hierarchy.name.split(',').map(|controller| (controller, "")).collect();
            Mount::new("cgroup", &options, attributes)
        }
    }
}

/// Hides and write-protects the parts of `/proc` and `/sys` that a container has no business with.
pub(super) fn mask(root: &Root) -> Result<(), Refusal> {
    let null = super::devices::open_device("null")?;
    let empty = Mount::new("tmpfs", &[("mode", "755"), ("size", "0")], KERNEL_READ_ONLY)?;
    let mut empty_is_attached = false;
    for path in MASKED {
        let Some((target, directory)) = find(root, path)? else { continue };
        if !directory {
            Mount::bind(null.as_fd(), false, "/dev/null")?.attach(target.as_fd(), path)?;
        } else if empty_is_attached {
            Mount::bind(empty.as_fd(), false, "an empty directory")?.attach(target.as_fd(), path)?;
        } else {
            empty.attach(target.as_fd(), path)?;
            empty_is_attached = true;
        }
    }
    for path in READ_ONLY {
        let Some((target, _)) = find(root, path)? else { continue };
        let view = Mount::bind(target.as_fd(), true, path)?;
        view.set(MountAttrFlags::MOUNT_ATTR_RDONLY, true)?;
        view.attach(target.as_fd(), path)?;
    }
    Ok(())
}

/// A path below `/proc` or `/sys`, and whether it is a directory; `None` when this kernel does not have it. Links are
/// refused: these are the kernel's own files, and there are none on the way.
fn find(root: &Root, path: &str) -> Result<Option<(OwnedFd, bool)>, Refusal> {
    let target = match open_below(root.as_fd(), path) {
        Ok(target) => target,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno).during("open", format_args!("/{path}")),
    };
    let status = rustix::fs::fstat(&target).during("examine", format_args!("/{path}"))?;
    let directory = rustix::fs::FileType::from_raw_mode(status.st_mode) == rustix::fs::FileType::Directory;
    Ok(Some((target, directory)))
}

fn open_below(directory: std::os::fd::BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(directory, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}
