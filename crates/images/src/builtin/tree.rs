//! Writing a layer's files.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::error::ImageError;

/// A layer being written. Paths are relative to its root; parents are made as needed. Only our own constants and names
/// checked by the caller become paths here: what strangers wrote goes through `unpack`.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(crate) fn create(root: PathBuf) -> Result<Tree, ImageError> {
        fs::create_dir_all(&root).map_err(ImageError::io("cannot create", &root))?;
        set_mode(&root, 0o755)?;
        Ok(Tree { root })
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn parents(&self, path: &Path) -> Result<(), ImageError> {
        match path.parent() {
            Some(parent) if !parent.exists() => {
                self.parents(parent)?;
                fs::create_dir(parent).map_err(ImageError::io("cannot create", parent))?;
                set_mode(parent, 0o755)
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn directory(&self, path: &str, mode: u32) -> Result<(), ImageError> {
        let path = self.path(path);
        self.parents(&path)?;
        if !path.exists() {
            fs::create_dir(&path).map_err(ImageError::io("cannot create", &path))?;
        }
        set_mode(&path, mode)
    }

    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<(), ImageError> {
        let path = self.path(path);
        self.parents(&path)?;
        fs::write(&path, content).map_err(ImageError::io("cannot write", &path))?;
        set_mode(&path, mode)
    }

    /// A symbolic link. One that is there already stays.
    pub(crate) fn link(&self, path: &str, target: impl AsRef<Path>) -> Result<(), ImageError> {
        let path = self.path(path);
        self.parents(&path)?;
        match symlink(target, &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(ImageError::io("cannot create", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// A copy of one of the host's files (shared blocks where the file system can), readable and executable by all.
    pub(crate) fn copy(&self, path: &str, source: &Path) -> Result<(), ImageError> {
        let path = self.path(path);
        self.parents(&path)?;
        fs::copy(source, &path).map_err(ImageError::io("cannot copy", source))?;
        // Never the source's own mode: a set-user-id bit stays behind.
        set_mode(&path, 0o755)
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), ImageError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(ImageError::io("cannot set the mode of", path))
}
