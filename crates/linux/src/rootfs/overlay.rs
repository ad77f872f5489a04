//! The image under the container's own changes: overlayfs (Linux Documentation/filesystems/overlayfs.rst).

use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::RootFs;
use super::root::Root;
use crate::error::{During, Refusal};

/// mount(2) takes at most a page of options, the final zero included.
const OPTIONS_LIMIT: usize = 4095;

/// Mounts the layers and the container's own directory over each other, and returns the result's root.
pub(super) fn mount(spec: &RootFs<'_>) -> Result<Root, Refusal> {
    let [upper, work, root] = ["upper", "work", "root"].map(|name| spec.directory.join(name));
    for directory in [&upper, &work, &root] {
        match rustix::fs::mkdir(directory, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).during("create directory", directory.display()),
        }
    }
    let layers: Vec<_> = spec.layers.iter().map(|layer| layer.to_string_lossy()).collect();
    let mut options = format!("lowerdir={},upperdir={},workdir={}", layers.join(":"), upper.display(), work.display());
    if spec.user_namespace {
        // Without the right to write `trusted.` attributes, overlayfs keeps its notes in `user.` ones.
        options.push_str(",userxattr");
    }
    mount_with(options, &root)?;
    // The kernel makes a directory that nobody may enter; an ordinary user could not delete the state directory then.
    let _ = rustix::fs::chmod(work.join("work"), Mode::RWXU);
    Root::open(&root)
}

/// Shows two or more layers over each other at `target`. Without a directory for changes, nothing can be changed.
pub fn mount_layers(layers: &[PathBuf], target: &Path) -> Result<(), Refusal> {
    mount_with(format!("lowerdir={}", join(layers)), target)
}

fn join(layers: &[PathBuf]) -> String {
    layers.iter().map(|layer| layer.to_string_lossy()).collect::<Vec<_>>().join(":")
}

fn mount_with(options: String, target: &Path) -> Result<(), Refusal> {
    let mount = || {
        if options.len() > OPTIONS_LIMIT {
            return Err(Errno::TOOBIG);
        }
        let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
        rustix::mount::mount("overlay", target, "overlay", MountFlags::NODEV, &*options)
    };
    mount().during("mount overlay on", target.display())
}
