//! Mounts as descriptors: made, set up, and only then put in their place (fsopen(2), open_tree(2), move_mount(2)).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::StatVfsMountFlags;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use super::Propagation;
use crate::error::{During, Refusal};
use crate::syscalls;

/// A mount that need not be anywhere yet.
#[derive(Debug)]
pub struct Mount {
    descriptor: OwnedFd,
    /// What it is, for messages.
    what: String,
}

/// The flags of nearly everything that is mounted for a container.
pub(super) const SAFE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);

impl Mount {
    /// A new file system of `kind`. An option without a value is a flag.
    pub fn new(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<Self, Refusal> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).during("open file system", kind)?;
        for (name, value) in options {
            if value.is_empty() {
                rustix::mount::fsconfig_set_flag(&context, *name)
            } else {
                rustix::mount::fsconfig_set_string(&context, *name, *value)
            }
            .during("set option of file system", format_args!("{kind}: {name}={value}"))?;
        }
        rustix::mount::fsconfig_create(&context).during("create file system", kind)?;
        let descriptor = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .during("make mount of file system", kind)?;
        Ok(Self { descriptor, what: kind.to_owned() })
    }

    /// Another view of files that are there already: a bind mount.
    pub fn bind(source: BorrowedFd<'_>, recursive: bool, what: &str) -> Result<Self, Refusal> {
        let mut flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        if recursive {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        let descriptor = rustix::mount::open_tree(source, "", flags).during("bind", what)?;
        Ok(Self { descriptor, what: what.to_owned() })
    }

    /// The mount whose root a descriptor is.
    pub(super) fn of(root: BorrowedFd<'_>) -> Result<Self, Refusal> {
        let descriptor = root.try_clone_to_owned().during("duplicate", "a descriptor")?;
        Ok(Self { descriptor, what: "the root file system".to_owned() })
    }

    /// Switches flags on, for this mount and with `recursive` for those below it.
    pub fn set(&self, attributes: MountAttrFlags, recursive: bool) -> Result<(), Refusal> {
        syscalls::mount_setattr(self.descriptor.as_fd(), recursive, u64::from(attributes.bits()), 0, 0)
            .during("set flags of mount", &self.what)
    }

    /// Forbids writing through this mount.
    pub fn read_only(&self) -> Result<(), Refusal> {
        self.set(MountAttrFlags::MOUNT_ATTR_RDONLY, false)
    }

    /// Decides who sees later mounts below this one.
    pub(super) fn propagate(&self, propagation: Propagation) -> Result<(), Refusal> {
        let flag = match propagation {
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::FromNode => libc::MS_SLAVE,
            Propagation::Both => libc::MS_SHARED,
        };
        syscalls::mount_setattr(self.descriptor.as_fd(), true, 0, 0, flag)
            .during("set propagation of mount", &self.what)
    }

    /// Puts the mount on what a descriptor stands for.
    pub fn attach(&self, target: BorrowedFd<'_>, path: &str) -> Result<(), Refusal> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(self.descriptor.as_fd(), "", target, "", flags)
            .during("mount", format_args!("{} on {path}", self.what))
    }
}

impl AsFd for Mount {
    /// The root of the mounted file system.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Flags a bind mount in a user namespace must keep, since those who own the source's namespace have locked them.
pub(super) fn kept_flags(source: BorrowedFd<'_>) -> MountAttrFlags {
    let Ok(status) = rustix::fs::fstatvfs(source) else { return MountAttrFlags::empty() };
    let mut flags = MountAttrFlags::empty();
    for (locked, flag) in [
        (StatVfsMountFlags::NOSUID, MountAttrFlags::MOUNT_ATTR_NOSUID),
        (StatVfsMountFlags::NODEV, MountAttrFlags::MOUNT_ATTR_NODEV),
        (StatVfsMountFlags::NOEXEC, MountAttrFlags::MOUNT_ATTR_NOEXEC),
    ] {
        if status.f_flag.contains(locked) {
            flags |= flag;
        }
    }
    flags
}
