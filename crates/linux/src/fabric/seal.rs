//! Leaving the machine's namespaces, and a copy of the program that nothing below can change.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, OpenTreeFlags};

use super::{FabricConfig, ROLE, find_cgroups};
use crate::error::{During, Refusal};
use crate::namespaces::{Namespaces, unshare};
use crate::syscalls;

/// Moves this process into namespaces of its own and executes the program again, from a read-only mount.
///
/// A container whose program is `/proc/self/exe` runs *our* program for a moment, and could later write to the file it
/// came from (CVE-2019-5736). From here on that file lies on a mount that is read-only and that no path leads to, so
/// that opening it for writing is refused to everybody.
pub(super) fn seal(mut config: FabricConfig) -> Result<Infallible, Refusal> {
    let cgroups = find_cgroups(&config.directory);
    if let Some(mapping) = config.user_namespace {
        mapping.enter()?;
    }
    // The program's file lies on a mount of the machine's namespace, of which root may make a copy only from inside.
    let from_machine = view_of_program("/proc/self/exe".as_ref());
    unshare(Namespaces::MOUNT | Namespaces::NETWORK)?;
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .during("make private", "/")?;

    let program = match from_machine {
        // In a user namespace, root owns only the mounts that were copied for it, and finds the file there by its name. So
        // does a machine that has moved into a mount namespace of its own (`cgroups::make_writable`).
        Err(Errno::PERM | Errno::INVAL) => {
            let path = std::fs::read_link("/proc/self/exe").during("read link", "/proc/self/exe")?;
            view_of_program(&path).during("bind", path.display())?
        }
        other => other.during("bind", "the program")?,
    };
    let read_only = u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
    syscalls::mount_setattr(program.as_fd(), false, read_only, 0, 0).during("write-protect", "the program")?;

    config.sealed = Some(cgroups);
    let json = serde_json::to_string(&config).map_err(std::io::Error::from).during("encode", "the configuration")?;
    let arguments = ["podlab", "internal", ROLE, &json].map(CString::new).into_iter().collect::<Result<Vec<_>, _>>();
    let arguments = arguments.map_err(|_| Errno::INVAL).during("encode", "the configuration")?;
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    let path = CString::new(path).map_err(|_| Errno::INVAL).during("execute", "the program")?;
    syscalls::close_on_exec_from(3).during("close", "descriptors")?;
    Err(syscalls::execute(&path, &arguments, &[])).during("execute", "the program")
}

/// A mount of the program's file alone, in no place yet.
fn view_of_program(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(CWD, path, flags)
}
