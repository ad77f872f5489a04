//! Volumes: directories under the Pod's own, and a record of where the files of each really lie.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use podlab_images::Store;
use podlab_linux::paths::PodDirectory;
use podlab_linux::rootfs::Mount;
use podlab_linux::rootfs::root::Root;
use rustix::mount::MountAttrFlags;
use serde::{Deserialize, Serialize};

use super::{network, projection};
use crate::backend::{BackendError, Volume, VolumeSource};

/// Where the files of a volume are, as a container that mounts it needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prepared {
    pub(super) path: PathBuf,
    pub(super) read_only: bool,
}

/// A volume that has been set up.
pub(super) fn find(directory: &PodDirectory, name: &str) -> Option<Prepared> {
    serde_json::from_slice(&fs::read(record(directory, name)).ok()?).ok()
}

/// Where the files of each volume lie.
pub(super) fn places(directory: &PodDirectory) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(directory.volumes()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()));
    let mut places: Vec<_> = names.filter_map(|name| Some((find(directory, &name)?.path, name))).collect();
    places.sort_unstable();
    places.into_iter().map(|(path, name)| (name, path)).collect()
}

fn record(directory: &PodDirectory, name: &str) -> PathBuf {
    directory.volumes().join(format!("{name}.json"))
}

/// Sets a volume up, or brings it up to date.
pub(super) fn set_up(directory: &PodDirectory, volume: &Volume, store: &Store) -> Result<(), BackendError> {
    let refuse = |message: String| BackendError::Volume { volume: volume.name.clone(), message };
    let prepared = prepare(directory, volume, store).map_err(refuse)?;
    if find(directory, &volume.name).as_ref() == Some(&prepared) {
        return Ok(());
    }
    let write = || -> io::Result<()> {
        let (path, new) = (record(directory, &volume.name), directory.volumes().join(format!("{}.new", volume.name)));
        // A hostPath makes nothing of its own; whether another volume came before is chance.
        make_directory(&directory.volumes())?;
        fs::write(&new, serde_json::to_vec(&prepared)?)?;
        fs::rename(new, path)
    };
    write().map_err(|error| refuse(error.to_string()))
}

fn prepare(directory: &PodDirectory, volume: &Volume, store: &Store) -> Result<Prepared, String> {
    let path = directory.volume(&volume.name);
    let text = |error: io::Error| error.to_string();
    match &volume.source {
        VolumeSource::EmptyDir { memory, size_limit } => {
            let made = make_directory(&path).map_err(text)?;
            if *memory && !is_mounted(&path) {
                mount_memory(&path, *size_limit, 0o1777)?;
            }
            if made || *memory {
                own(&path, volume.fs_group, if *memory { 0o1777 } else { 0o777 }).map_err(text)?;
            }
            Ok(Prepared { path, read_only: false })
        }
        VolumeSource::Files { files, memory } => {
            make_directory(&path).map_err(text)?;
            if *memory && !is_mounted(&path) {
                mount_memory(&path, None, 0o1777)?;
            }
            own(&path, volume.fs_group, if *memory { 0o1777 } else { 0o777 }).map_err(text)?;
            projection::publish(&path, files, volume.fs_group).map_err(text)?;
            Ok(Prepared { path, read_only: true })
        }
        VolumeSource::HostPath { path, kind, read_only } => {
            check_host_path(Path::new(path), kind)?;
            Ok(Prepared { path: path.into(), read_only: *read_only })
        }
        VolumeSource::Image { image_id } => {
            let layers = store.layers(image_id).map_err(|error| error.to_string())?;
            show_layers(&path, &layers)?;
            Ok(Prepared { path, read_only: true })
        }
        // It is mounted there already; nobody looks at it here, since that would wait for the server.
        VolumeSource::Nfs { read_only, .. } => {
            Ok(Prepared { path: network::place(directory, &volume.name), read_only: *read_only })
        }
    }
}

/// True when the directory was not there before.
fn make_directory(path: &Path) -> io::Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    fs::create_dir_all(path).map(|()| true)
}

/// Gives a directory its mode and, with a group, to that group: what is made in it belongs to the group, too.
fn own(path: &Path, group: Option<u32>, mode: u32) -> io::Result<()> {
    let mode = if group.is_some() { mode | 0o2770 } else { mode };
    chown(path, None, group)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn is_mounted(path: &Path) -> bool {
    let device = |path: &Path| rustix::fs::stat(path).map(|status| status.st_dev);
    path.parent().is_some_and(|parent| device(path) != device(parent))
}

fn mount_memory(path: &Path, size: Option<u64>, mode: u32) -> Result<(), String> {
    let (size, mode) = (size.map(|bytes| bytes.to_string()), format!("{mode:o}"));
    let mut options = vec![("mode", mode.as_str())];
    if let Some(size) = &size {
        options.push(("size", size));
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mount =
        || Mount::new("tmpfs", &options, attributes)?.attach(Root::open(path)?.as_fd(), &path.to_string_lossy());
    mount().map_err(|refusal| refusal.to_string())
}

/// Shows the files of an image, without a container that could change them.
fn show_layers(path: &Path, layers: &[PathBuf]) -> Result<(), String> {
    make_directory(path).map_err(|error| error.to_string())?;
    if is_mounted(path) {
        return Ok(());
    }
    let mount = || match layers {
        // One layer is no overlay (which wants two), but a view of it.
        [layer] => {
            let view = Mount::bind(Root::open(layer)?.as_fd(), false, &layer.to_string_lossy())?;
            view.read_only()?;
            view.attach(Root::open(path)?.as_fd(), &path.to_string_lossy())
        }
        several => podlab_linux::rootfs::mount_layers(several, path),
    };
    mount().map_err(|refusal| refusal.to_string())
}

/// Checks, or makes, what a `hostPath` names on the node's disk. The texts are the kubelet's.
fn check_host_path(path: &Path, kind: &str) -> Result<(), String> {
    let shown = path.display();
    let failed = |what: &str| format!("hostPath type check failed: {shown} is not {what}");
    let metadata = fs::metadata(path);
    match kind {
        "" => {
            // The container runtimes make a directory of what is missing.
            if metadata.is_err() {
                fs::create_dir_all(path).map_err(|error| error.to_string())?;
            }
            return Ok(());
        }
        "DirectoryOrCreate" if metadata.is_err() => {
            return fs::create_dir_all(path).map_err(|error| error.to_string());
        }
        "FileOrCreate" if metadata.is_err() => {
            return fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map(drop)
                .map_err(|error| error.to_string());
        }
        _ => {}
    }
    let (fits, what) = match (kind, metadata.ok().map(|metadata| metadata.file_type())) {
        ("Directory" | "DirectoryOrCreate", found) => (found.is_some_and(|kind| kind.is_dir()), "a directory"),
        ("File" | "FileOrCreate", found) => (found.is_some_and(|kind| kind.is_file()), "a file"),
        ("Socket", found) => (found.is_some_and(|kind| kind.is_socket()), "a socket file"),
        ("CharDevice", found) => (found.is_some_and(|kind| kind.is_char_device()), "a character device"),
        ("BlockDevice", found) => (found.is_some_and(|kind| kind.is_block_device()), "a block device"),
        (other, _) => return Err(format!("unknown hostPath type {other:?}")),
    };
    if fits { Ok(()) } else { Err(failed(what)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_paths_are_what_their_type_says() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |name: &str| temporary.path().join(name);
        fs::write(at("file"), "").unwrap();
        fs::create_dir(at("dir")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (name, kind) in [("file", "File"), ("dir", "Directory"), ("socket", "Socket"), ("file", ""), ("dir", "")] {
            assert_eq!(check_host_path(&at(name), kind), Ok(()), "{name} {kind}");
        }
        assert_eq!(check_host_path(Path::new("/dev/null"), "CharDevice"), Ok(()));
        for (name, kind, what) in [
            ("file", "Directory", "a directory"),
            ("file", "DirectoryOrCreate", "a directory"),
            ("dir", "FileOrCreate", "a file"),
            ("none", "Directory", "a directory"),
            ("none", "File", "a file"),
            ("file", "Socket", "a socket file"),
            ("file", "CharDevice", "a character device"),
            ("file", "BlockDevice", "a block device"),
        ] {
            let path = at(name);
            let expected = format!("hostPath type check failed: {} is not {what}", path.display());
            assert_eq!(check_host_path(&path, kind), Err(expected), "{name} {kind}");
        }
        for (name, kind) in [("made", "DirectoryOrCreate"), ("made-file", "FileOrCreate"), ("made-plain", "")] {
            assert_eq!(check_host_path(&at(name), kind), Ok(()));
        }
        assert!(at("made").is_dir() && at("made-file").is_file() && at("made-plain").is_dir());
        assert!(check_host_path(&at("file"), "Fifo").is_err());
    }
}
