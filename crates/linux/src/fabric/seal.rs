//! Leaving the machine's namespaces, and a copy of the program that nothing below can change.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, OpenTreeFlags};
use rustix::process::Pid;

use super::{FabricConfig, ROLE, UserNamespace, find_cgroups};
use crate::error::{During, Refusal};
use crate::namespaces::{Namespaces, Process, spawn, unshare};
use crate::syscalls;

/// Moves this process into namespaces of its own and executes the program again, from a read-only mount.
///
/// A container whose program is `/proc/self/exe` runs *our* program for a moment, and could later write to the file it
/// came from (CVE-2019-5736). From here on that file lies on a mount that is read-only and that no path leads to, so
/// that opening it for writing is refused to everybody.
pub(super) fn seal(mut config: FabricConfig) -> Result<Infallible, Refusal> {
    let cgroups = find_cgroups(&config.directory);
    if let Some(mapping) = config.user_namespace {
        enter_user_namespace(mapping)?;
    }
    // The program's file lies on a mount of the machine's namespace, of which root may make a copy only from inside.
    let from_machine = view_of_program("/proc/self/exe".as_ref());
    unshare(Namespaces::MOUNT | Namespaces::NETWORK)?;
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .during("make private", "/")?;

    let program = match from_machine {
        // In a user namespace, root owns only the mounts that were copied for it, and finds the file there by its name.
        Err(Errno::PERM) => {
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

/// Makes a user namespace in which we are root, and maps its ids.
fn enter_user_namespace(mapping: UserNamespace) -> Result<(), Refusal> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    match mapping {
        UserNamespace::Single => {
            unshare(Namespaces::USER)?;
            write("/proc/self/setgroups", "deny")?;
            write("/proc/self/uid_map", &format!("0 {} 1", user.as_raw()))?;
            write("/proc/self/gid_map", &format!("0 {} 1", group.as_raw()))
        }
        UserNamespace::Ranges => {
            // The helpers have to run outside of the namespace, once it exists.
            let (wait, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).during("make", "pipe")?;
            let parent = rustix::process::getpid();
            let go_in_child = go.as_raw_fd();
            let helper = spawn(Namespaces::empty(), None, || {
                // SAFETY: this copy of the descriptor belongs to the parent's object, which this child leaves alone;
                // with it open, the end of file would never come.
                unsafe { libc::close(go_in_child) };
                let _ = rustix::io::read(&wait, &mut [0_u8; 1]);
                i32::from(write_maps(parent, user.as_raw(), group.as_raw()).is_err())
            })?;
            unshare(Namespaces::USER)?;
            drop(go);
            finish(&helper)
        }
    }
}

fn finish(helper: &Process) -> Result<(), Refusal> {
    match helper.wait().during("wait for", "newuidmap")?.code {
        0 => Ok(()),
        _ => Err(Errno::PERM).during("map ids with", "newuidmap and newgidmap"),
    }
}

/// Maps root to the caller, and the ids from 1 on to the caller's range in `/etc/subuid` and `/etc/subgid`.
fn write_maps(process: Pid, user: u32, group: u32) -> std::io::Result<()> {
    let process = process.as_raw_nonzero().to_string();
    for (helper, file, own) in [("newuidmap", "/etc/subuid", user), ("newgidmap", "/etc/subgid", group)] {
        let (start, count) = range(file, user)?;
        let [own, start, count] = [own, start, count].map(|number| number.to_string());
        let status = std::process::Command::new(helper)
            .args([process.as_str(), "0", own.as_str(), "1", "1", start.as_str(), count.as_str()])
            .status()?;
        if !status.success() {
            return Err(std::io::ErrorKind::PermissionDenied.into());
        }
    }
    Ok(())
}

/// The first range of a user in the text of `/etc/subuid` (subuid(5)): `name-or-id:start:count`.
fn range(file: &str, user: u32) -> std::io::Result<(u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd")?;
    let id = user.to_string();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(id.as_str())).then_some(name)
    });
    let text = std::fs::read_to_string(file)?;
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let ours = owner == id || Some(owner) == name;
        ours.then(|| Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))).flatten()
    });
    found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

fn write(path: &str, text: &str) -> Result<(), Refusal> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).during("open", path)?;
    rustix::io::write(&file, text.as_bytes()).map(drop).during("write", path)
}
