//! Work in progress under `tmp/`: it vanishes when it is dropped, and when whoever does it is killed others can tell.
//!
//! Each file and directory is locked (flock(2)) by the process that fills it, and the kernel lets go of the lock when that
//! process ends, however it ends. What nobody holds was left, and [`tidy`] removes it. Process ids would not do: who
//! works on one store may live in several pid namespaces.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use crate::error::ImageError;

/// A directory that vanishes when it is dropped.
#[derive(Debug)]
pub(crate) struct WorkDirectory {
    directory: tempfile::TempDir,
    /// Held as long as the work goes on.
    _held: File,
}

impl WorkDirectory {
    /// Makes one in `parent`.
    pub(crate) fn create(parent: &Path, prefix: &str) -> Result<WorkDirectory, ImageError> {
        let failed = || ImageError::io("cannot create a directory in", parent);
        let _creating = creating(parent)?;
        let directory = tempfile::Builder::new().prefix(prefix).tempdir_in(parent).map_err(failed())?;
        let held = File::open(directory.path()).map_err(failed())?;
        flock(&held, FlockOperation::NonBlockingLockExclusive)
            .map_err(ImageError::io("cannot lock", directory.path()))?;
        Ok(WorkDirectory { directory, _held: held })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// A file that vanishes when it is dropped, unless it gets a name.
pub(crate) fn file(parent: &Path) -> Result<tempfile::NamedTempFile, ImageError> {
    let _creating = creating(parent)?;
    let file = tempfile::NamedTempFile::new_in(parent).map_err(ImageError::io("cannot create a file in", parent))?;
    flock(file.as_file(), FlockOperation::NonBlockingLockExclusive)
        .map_err(ImageError::io("cannot lock", file.path()))?;
    Ok(file)
}

/// Between coming into being and being locked, work looks like what was left; so nobody tidies meanwhile.
fn creating(parent: &Path) -> Result<File, ImageError> {
    let lock = File::open(parent).map_err(ImageError::io("cannot open", parent))?;
    flock(&lock, FlockOperation::LockShared).map_err(ImageError::io("cannot lock", parent))?;
    Ok(lock)
}

/// Removes what killed processes left in `parent`.
pub(crate) fn tidy(parent: &Path) -> Result<(), ImageError> {
    let alone = File::open(parent).map_err(ImageError::io("cannot open", parent))?;
    flock(&alone, FlockOperation::LockExclusive).map_err(ImageError::io("cannot lock", parent))?;
    for entry in fs::read_dir(parent).map_err(ImageError::io("cannot list", parent))? {
        let path = entry.map_err(ImageError::io("cannot list", parent))?.path();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // One that cannot be opened has been finished or dropped meanwhile.
        let Ok(left) = rustix::fs::open(&path, flags, Mode::empty()) else { continue };
        if flock(&left, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Whoever finishes renames it, and may have done so just now: then there is nothing of that name.
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_works_on_goes_and_the_rest_stays() {
        let parent = tempfile::tempdir().unwrap();
        let held = (file(parent.path()).unwrap(), WorkDirectory::create(parent.path(), "layer-").unwrap());
        fs::write(held.1.path().join("file"), "").unwrap();
        // As a killed process leaves them: nobody has them locked.
        fs::write(parent.path().join("left"), "").unwrap();
        fs::create_dir_all(parent.path().join("layer-left/root")).unwrap();
        tidy(parent.path()).unwrap();
        assert!(held.0.path().exists() && held.1.path().join("file").exists());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2);
        drop(held);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
