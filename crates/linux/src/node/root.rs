//! A node's file tree: the node's own disk, with the machine's programs bound in read-only.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags};

use super::hosts;
use crate::cgroups::Hierarchy;
use crate::error::{During, Refusal};
use crate::paths::{State, inside};
use crate::rootfs::root::Root;
use crate::rootfs::{Mount, add_fuse, fill_dev, mount_cgroups};

/// Directories of the machine that a node sees, for their programs. It cannot change them.
const FROM_MACHINE: &[&str] = &["usr", "bin", "sbin", "lib", "lib32", "lib64", "etc"];

/// Builds the tree of a node and moves this process into it. To be called in the node's own namespaces.
pub(super) fn enter(state: &State<'_>, node: &str, hierarchies: &[Hierarchy]) -> Result<(), Refusal> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .during("make private", "/")?;
    let path = state.node_disk(node);
    for directory in [&path, &state.node_pods(node), &state.images()] {
        fs::create_dir_all(directory).during("create directory", directory.display())?;
    }
    // A root has to be a mount.
    rustix::mount::mount_bind_recursive(&path, &path).during("bind", path.display())?;
    let disk = Root::open(&path)?;
    for name in FROM_MACHINE {
        show_machine(&path, &disk, name)?;
    }
    hosts::show(state, &disk)?;

    let plain = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let kernel = plain | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Mount::new("proc", &[], kernel)?.attach(disk.plain_directory("proc")?.as_fd(), "/proc")?;
    let sys = Mount::new("sysfs", &[], kernel | MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    sys.attach(disk.plain_directory("sys")?.as_fd(), "/sys")?;
    mount_cgroups(sys.as_fd(), hierarchies, kernel)?;

    let dev = Mount::new("tmpfs", &[("mode", "755"), ("size", "64k")], MountAttrFlags::MOUNT_ATTR_NOSUID)?;
    dev.attach(disk.plain_directory("dev")?.as_fd(), "/dev")?;
    fill_dev(&dev)?;
    add_fuse(&dev)?;
    for (name, mode) in [("dev/shm", "1777"), ("run", "755"), ("tmp", "1777")] {
        Mount::new("tmpfs", &[("mode", mode)], plain)?.attach(disk.directory(name)?.as_fd(), name)?;
    }

    for (source, target) in [
        (state.node_pods(node), inside::PODS),
        (state.images(), inside::IMAGES),
        (state.node(node), inside::NODE),
        (state.run(), inside::API),
    ] {
        let source_text = source.display().to_string();
        let source = Root::open(&source)?;
        Mount::bind(source.as_fd(), true, &source_text)?.attach(disk.directory(target)?.as_fd(), target)?;
    }
    disk.directory(inside::SUPERVISORS)?;

    rustix::process::fchdir(&disk).during("change directory to", path.display())?;
    rustix::process::pivot_root(".", ".").during("pivot to", path.display())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).during("unmount", "the machine's root")?;
    rustix::process::chdir("/").during("change directory to", "/")?;
    // From here on containers with `mountPropagation` see what is mounted on the node (and, if they may, the other way).
    rustix::mount::mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)
        .during("share mounts below", "/")
}

/// Shows a directory of the machine, or repeats the link that it is (`/bin` to `usr/bin`).
fn show_machine(path: &Path, disk: &Root, name: &str) -> Result<(), Refusal> {
    let source = Path::new("/").join(name);
    let Ok(metadata) = fs::symlink_metadata(&source) else { return Ok(()) };
    if metadata.is_symlink() {
        let destination = fs::read_link(&source).during("read link", source.display())?;
        return match rustix::fs::symlink(&destination, path.join(name)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            refused => refused.during("create link", path.join(name).display()),
        };
    }
    let machine = Root::open(&source)?;
    let view = Mount::bind(machine.as_fd(), true, name)?;
    view.set(MountAttrFlags::MOUNT_ATTR_RDONLY, true)?;
    view.attach(disk.plain_directory(name)?.as_fd(), name)
}
