//! Volumes and managed files in a container.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use serde::{Deserialize, Serialize};

use super::Propagation;
use super::mount::{Mount, kept_flags};
use super::root::Root;
use crate::error::{During, Refusal};

/// Files of the node that appear in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindMount {
    /// A path on the node that we made or that the cluster's administrator named (`hostPath`).
    pub source: PathBuf,
    /// Below the source. What lies there may have been written by a container.
    pub sub_path: String,
    /// In the container, absolute.
    pub target: String,
    pub read_only: bool,
    /// What is mounted below the source comes along.
    pub recursive: bool,
    pub propagation: Propagation,
}

/// Outer places before inner ones, so that neither hides the other; otherwise in the order given.
pub(super) fn in_order(mounts: &[BindMount]) -> Vec<&BindMount> {
    let mut mounts: Vec<_> = mounts.iter().collect();
    mounts.sort_by_key(|mount| mount.target.split('/').filter(|name| !name.is_empty()).count());
    mounts
}

/// The views that pass mounts on to the node: taken while this namespace is still one with the node's, each by the
/// place it will have in the container.
pub(super) fn shared_with_node(mounts: &[BindMount]) -> Result<BTreeMap<String, Mount>, Refusal> {
    let shared = mounts.iter().filter(|mount| mount.propagation == Propagation::Both);
    shared
        .map(|mount| {
            let source = open_source(mount)?;
            let view = Mount::bind(source.as_fd(), mount.recursive, &mount.source.to_string_lossy())?;
            Ok((mount.target.clone(), view))
        })
        .collect()
}

/// Mounts one; `shared` is the view of it from [`shared_with_node`], if it has one.
pub(super) fn mount(root: &Root, mount: &BindMount, shared: Option<&Mount>) -> Result<(), Refusal> {
    let source = open_source(mount)?;
    let status = rustix::fs::fstat(&source).during("examine", mount.source.display())?;
    let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
    let target = if is_directory { root.directory(&mount.target)? } else { root.file(&mount.target)? };
    refuse_kernel_files(&target, &mount.target)?;

    let own;
    let view = match shared {
        Some(view) => view,
        None => {
            own = Mount::bind(source.as_fd(), mount.recursive, &mount.source.to_string_lossy())?;
            &own
        }
    };
    let mut flags = kept_flags(source.as_fd());
    // A device node that a container made in a volume must not work in another one. A device that was asked for by
    // name (a `hostPath` to one) is not in a directory.
    if is_directory {
        flags |= MountAttrFlags::MOUNT_ATTR_NODEV;
    }
    if mount.read_only {
        flags |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    if !flags.is_empty() {
        view.set(flags, false)?;
    }
    view.propagate(mount.propagation)?;
    view.attach(target.as_fd(), &mount.target)
}

/// The files to show. A `sub_path` stays below the volume, however the links in it were made (CVE-2017-1002101) and
/// whoever exchanges them meanwhile (CVE-2021-25741); what is missing of it is made.
fn open_source(mount: &BindMount) -> Result<OwnedFd, Refusal> {
    let source = rustix::fs::open(&mount.source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .during("open", mount.source.display())?;
    if mount.sub_path.is_empty() {
        return Ok(source);
    }
    let find = |path: &str| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&source, path, flags, Mode::empty(), resolve)
    };
    let what = || format!("{} in volume {}", mount.sub_path, mount.source.display());
    match find(&mount.sub_path) {
        Err(Errno::NOENT) => {}
        found => return found.during("open", what()),
    }
    let mode = rustix::fs::fstat(&source).during("examine", mount.source.display())?.st_mode & 0o7777;
    let names: Vec<_> = mount.sub_path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    let mut parent = find(".").during("open", what())?;
    for end in 1..=names.len() {
        let prefix = names[..end].join("/");
        parent = match find(&prefix) {
            Err(Errno::NOENT) => {
                rustix::fs::mkdirat(&parent, names[end - 1], Mode::from_raw_mode(mode)).during("create", what())?;
                find(&prefix).during("open", what())?
            }
            found => found.during("open", what())?,
        };
    }
    Ok(parent)
}

/// Nothing may be mounted over the kernel's own files: whoever controls `/proc` in a container controls what the next
/// runtime step writes there (CVE-2019-16884).
fn refuse_kernel_files(target: &OwnedFd, path: &str) -> Result<(), Refusal> {
    const PROC: i64 = 0x9fa0;
    const SYSFS: i64 = 0x6265_6572;
    let kind = rustix::fs::fstatfs(target).during("examine", path)?.f_type;
    if kind == PROC || kind == SYSFS {
        return Err(Errno::PERM).during("mount over the kernel's files at", path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn bind(source: &std::path::Path, sub_path: &str) -> BindMount {
        BindMount {
            source: source.to_owned(),
            sub_path: sub_path.to_owned(),
            target: "/data".to_owned(),
            read_only: false,
            recursive: true,
            propagation: Propagation::Private,
        }
    }

    #[test]
    fn a_sub_path_stays_below_its_volume() {
        let temporary = tempfile::tempdir().unwrap();
        let volume = temporary.path().join("volume");
        std::fs::create_dir_all(volume.join("dir")).unwrap();
        symlink("/", volume.join("absolute")).unwrap();
        symlink("../..", volume.join("dir/up")).unwrap();
        symlink("dir", volume.join("fine")).unwrap();
        for path in ["absolute/etc", "dir/up/x", "../x", "dir/../../x"] {
            let refused = open_source(&bind(&volume, path)).unwrap_err();
            assert!(matches!(refused.errno, Errno::XDEV | Errno::LOOP), "{path}: {refused}");
        }
        for path in ["dir", "fine", "fine/made/here", "."] {
            open_source(&bind(&volume, path)).unwrap();
        }
        assert!(volume.join("dir/made/here").is_dir());
    }

    #[test]
    fn outer_places_come_first() {
        let at = |target: &str| BindMount { target: target.to_owned(), ..bind(std::path::Path::new("/"), "") };
        let mounts = [at("/a/b/c"), at("/z"), at("/a/"), at("//a/b")];
        let order: Vec<_> = in_order(&mounts).into_iter().map(|mount| mount.target.as_str()).collect();
        assert_eq!(order, ["/z", "/a/", "//a/b", "/a/b/c"]);
    }
}
