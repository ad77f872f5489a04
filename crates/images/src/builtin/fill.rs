//! Filling a store with the layers of the built-in images.
//!
//! They lie together in one directory, `built-in/KEY`, where KEY says what they were made from: this build's `podlab`
//! binary, the host's busybox and bash, and the host's boot. A directory of that name is complete, because it got the
//! name by a `rename`, so a store that is filled already costs a few `stat` calls to open. The boot is part of the key
//! because what was written shortly before a machine lost its power may be there in name only.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD};

use super::catalogue::{BuiltIn, Layer, RECIPE};
use super::{files, tree::Tree, userland};
use crate::digest::Digest;
use crate::error::ImageError;
use crate::work::WorkDirectory;

/// What the built-in layers are made from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The `podlab` binary; `/proc/self/exe` will do.
    pub program: PathBuf,
    /// The root under which shells and tools are looked for: `/`.
    pub host: PathBuf,
}

/// The directory with the built-in layers of a store.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    directory: PathBuf,
    /// Bytes of each layer.
    sizes: BTreeMap<String, u64>,
}

/// Holds the sizes; its presence is not what makes the directory complete (its name is).
const SIZES: &str = "sizes.json";

impl Filled {
    /// Finds the layers made from `sources` in the store at `store`, or makes them.
    pub(crate) fn ensure(store: &Path, sources: &Sources) -> Result<Filled, ImageError> {
        let directory = store.join("built-in").join(key(sources)?);
        if let Some(sizes) = read_sizes(&directory) {
            return Ok(Filled { directory, sizes });
        }
        let parent = store.join("tmp");
        fs::create_dir_all(&parent).map_err(ImageError::io("cannot create", &parent))?;
        let work = WorkDirectory::create(&parent, "built-in-")?;
        let mut sizes = BTreeMap::new();
        let made = work.path().join("layers");
        fs::create_dir(&made).map_err(ImageError::io("cannot create", &made))?;
        for layer in Layer::ALL {
            let path = made.join(layer.name());
            write(layer, path.clone(), sources)?;
            sizes.insert(layer.name(), size(&path).map_err(ImageError::io("cannot measure", &path))?);
        }
        let file = made.join(SIZES);
        let json = serde_json::to_vec(&sizes).unwrap_or_default();
        fs::write(&file, json).map_err(ImageError::io("cannot write", &file))?;
        rustix::fs::chmod(&made, rustix::fs::Mode::from_raw_mode(0o755))
            .map_err(ImageError::io("cannot set the mode of", &made))?;

        let built_in = store.join("built-in");
        fs::create_dir_all(&built_in).map_err(ImageError::io("cannot create", &built_in))?;
        match fs::rename(&made, &directory) {
            Ok(()) => {}
            // Another process filled the same store meanwhile, with the same things.
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {}
            Err(error) => return Err(ImageError::io("cannot create", &directory)(error)),
        }
        Ok(Filled { directory, sizes })
    }

    /// The image's layers, topmost first.
    pub(crate) fn layers(&self, image: &BuiltIn) -> Vec<PathBuf> {
        image.layers.iter().map(|layer| self.directory.join(layer.name())).collect()
    }

    /// Bytes of all layers of an image together.
    pub(crate) fn size(&self, image: &BuiltIn) -> u64 {
        image.layers.iter().filter_map(|layer| self.sizes.get(&layer.name())).sum()
    }

    /// Removes the layers of other builds and boots. Only for who knows that no container runs on them.
    pub(crate) fn sweep(&self) -> Result<(), ImageError> {
        let Some(parent) = self.directory.parent() else { return Ok(()) };
        for entry in fs::read_dir(parent).map_err(ImageError::io("cannot list", parent))? {
            let path = entry.map_err(ImageError::io("cannot list", parent))?.path();
            if path != self.directory {
                fs::remove_dir_all(&path).map_err(ImageError::io("cannot remove", &path))?;
            }
        }
        Ok(())
    }
}

fn read_sizes(directory: &Path) -> Option<BTreeMap<String, u64>> {
    serde_json::from_slice(&fs::read(directory.join(SIZES)).ok()?).ok()
}

/// Tells apart what must not be shared: two builds of the binary, two busyboxes, two boots.
fn key(sources: &Sources) -> Result<String, ImageError> {
    let identity = |path: &Path| -> io::Result<String> {
        let status = fs::metadata(path)?;
        Ok(format!("{} {} {}.{:09}", status.ino(), status.size(), status.mtime(), status.mtime_nsec()))
    };
    let program = identity(&sources.program).map_err(ImageError::io("cannot look at", &sources.program))?;
    // What the host lacks is part of the key as well: an installed busybox makes a new set.
    let tools = ["bin/busybox", "bin/bash", "bin/ls"]
        .map(|tool| identity(&sources.host.join(tool)).unwrap_or_else(|_| "none".to_owned()));
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let text = format!("{RECIPE}\n{program}\n{}\n{boot}", tools.join("\n"));
    Ok(Digest::of(text.as_bytes()).hex()[..16].to_owned())
}

fn write(layer: Layer, path: PathBuf, sources: &Sources) -> Result<(), ImageError> {
    let tree = Tree::create(path)?;
    files::write(layer, &tree)?;
    match layer {
        Layer::Programs => {
            tree.directory("usr/lib/podlab", 0o755)?;
            link_or_copy(&sources.program, &tree.path(files::PROGRAM))
        }
        Layer::Small => userland::small(&tree, &sources.host),
        Layer::Gnu => userland::debian(&tree, &sources.host),
        _ => Ok(()),
    }
}

/// The same file under a second name where both lie on one file system, which costs nothing; else a copy.
fn link_or_copy(source: &Path, destination: &Path) -> Result<(), ImageError> {
    let file = File::open(source).map_err(ImageError::io("cannot open", source))?;
    // Through the descriptor: `source` may be /proc/self/exe, and the file may have lost its old name.
    let opened = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file.as_fd()));
    if rustix::fs::linkat(CWD, opened.as_str(), CWD, destination, AtFlags::SYMLINK_FOLLOW).is_ok() {
        return Ok(());
    }
    let mut target = File::create(destination).map_err(ImageError::io("cannot create", destination))?;
    io::copy(&mut &file, &mut target).map_err(ImageError::io("cannot write", destination))?;
    rustix::fs::fchmod(&target, rustix::fs::Mode::from_raw_mode(0o755))
        .map_err(ImageError::io("cannot set the mode of", destination))
}

fn size(path: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let status = entry.metadata()?;
        total += if status.is_dir() { size(&entry.path())? } else { status.len() };
    }
    Ok(total)
}
