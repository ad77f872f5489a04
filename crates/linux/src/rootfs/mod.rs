//! A container's root file system.
//!
//! The image's layers lie under a directory that belongs to the container alone (overlayfs): what it changes is kept
//! there, the layers stay as they are and are shared. Then come `/proc`, `/sys` and `/dev`, the volumes, and at last
//! pivot_root(2), after which the node's own files are not merely forbidden: there is no path to them.
//!
//! The image and the volumes are hostile until shown otherwise. Three rules keep them harmless:
//!
//! - Nothing inside the root is reached by a path of ours. [`root::Root`] resolves every path as the container would
//!   (openat2(2), `RESOLVE_IN_ROOT`), and what is mounted is mounted on the *descriptor* that came out, so that a
//!   symbolic link, even one exchanged at the right moment, leads nowhere outside.
//! - `/proc`, `/sys` and `/dev` must be directories of the image, not links.
//! - Every file system is mounted `nodev`, except for single devices that are bound in. So a container may make device
//!   nodes, but none that it makes works, on any cgroup version and without a device controller.

mod devices;
mod kernel;
mod mount;
mod overlay;
pub mod root;
mod volumes;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::mount::{MountPropagationFlags, UnmountFlags};
use serde::{Deserialize, Serialize};

use crate::cgroups::Hierarchy;
use crate::error::{During, Refusal};
pub(crate) use devices::{add_fuse, fill_dev};
pub(crate) use kernel::mount_cgroups;
pub use mount::Mount;
pub use overlay::mount_layers;
use root::Root;
pub use volumes::BindMount;

/// What a root file system is made of.
#[derive(Clone, Debug)]
pub struct RootFs<'a> {
    /// The image's layers as directories, topmost first.
    pub layers: &'a [PathBuf],
    /// The container's own directory: `upper`, `work` and `root` lie in it.
    pub directory: &'a Path,
    pub read_only: bool,
    /// Volumes and managed files.
    pub mounts: &'a [BindMount],
    /// The Pod's `/dev/shm`.
    pub shared_memory: &'a Path,
    /// To be mounted, read-only, under `/sys/fs/cgroup`.
    pub cgroups: &'a [Hierarchy],
    /// Whether dangerous parts of `/proc` and `/sys` stay visible and writable.
    pub unmasked: bool,
    /// Whether we are in a user namespace of our own making.
    pub user_namespace: bool,
    /// Where the program will start; made when it is missing.
    pub working_directory: &'a str,
}

// ANCHOR: assemble
/// Assembles the root file system and moves this process into it. To be called in a mount namespace of its own, and in
/// the pid, network, ipc and cgroup namespaces that `/proc`, `/sys`, `/dev/mqueue` and `/sys/fs/cgroup` shall show.
pub fn enter(spec: &RootFs<'_>) -> Result<(), Refusal> {
    let both_ways = volumes::shared_with_node(spec.mounts)?;
    // What is mounted from here on stays in this namespace; what the node mounts still arrives.
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .during("let nothing out of", "/")?;

    let root = overlay::mount(spec)?;
    kernel::mount_proc(&root)?;
    kernel::mount_sys(&root, spec.cgroups)?;
    devices::mount_dev(&root, spec.shared_memory)?;
    for mount in volumes::in_order(spec.mounts) {
        volumes::mount(&root, mount, both_ways.get(&mount.target))?;
    }
    if !spec.unmasked {
        kernel::mask(&root)?;
    }
    if Path::new(spec.working_directory).is_absolute() {
        root.directory(spec.working_directory)?;
    }
    if spec.read_only {
        Mount::of(root.as_fd())?.read_only()?;
    }
    pivot(&root)
}

/// Makes `root` the root of this mount namespace and lets go of the old one.
///
/// With the same directory as the new root and as the place for the old one, the old root comes to lie *over* the new
/// one, and unmounting it uncovers that (pivot_root(2), "pivot_root(".", ".")"). No directory is needed to keep it.
fn pivot(root: &Root) -> Result<(), Refusal> {
    rustix::process::fchdir(root).during("change directory to", "the new root")?;
    rustix::process::pivot_root(".", ".").during("pivot to", "the new root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).during("unmount", "the old root")?;
    rustix::process::chdir("/").during("change directory to", "/")
}
// ANCHOR_END: assemble

/// Who sees mounts that are made later below a volume, on the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Nobody.
    #[default]
    Private,
    /// The container sees what the node mounts.
    FromNode,
    /// Each sees what the other mounts.
    Both,
}
