//! A log that has grown too long becomes an older one, and a new one begins.
//!
//! `0.log` is written, `0.log.1` came before it, `0.log.2` before that. At every moment the name without a number means
//! a file, so that whoever reads along (`kubectl logs --follow`) finds the next one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, ResolveFlags};

/// How long a file may become, and how many there are of one log, the newest included: a kubelet's
/// `containerLogMaxSize` and `containerLogMaxFiles`.
pub const MAX_SIZE: u64 = 10 * 1024 * 1024;
pub const MAX_FILES: usize = 5;

/// An older file of a log; 0 is the newest.
pub fn older(path: &Path, age: usize) -> PathBuf {
    match age {
        0 => path.to_owned(),
        age => with(path, &format!(".{age}")),
    }
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens a log to be written; where a link leads is not written to.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
    let opened = rustix::fs::openat2(CWD, path, flags, Mode::from_raw_mode(0o640), ResolveFlags::NO_SYMLINKS)?;
    Ok(File::from(opened))
}

/// Begins a new file under the log's name and returns it.
pub(super) fn rotate(path: &Path) -> io::Result<File> {
    let new = with(path, ".new");
    let file = open(&new)?;
    for age in (1..MAX_FILES - 1).rev() {
        match fs::rename(older(path, age), older(path, age + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // The two change places in one step; only then does the old one get the name that tells its age.
    rustix::fs::renameat_with(CWD, &new, CWD, path, RenameFlags::EXCHANGE)?;
    fs::rename(&new, older(path, 1))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_not_written_through() {
        let temporary = tempfile::tempdir().unwrap();
        let other = temporary.path().join("other");
        fs::write(&other, "").unwrap();
        let link = temporary.path().join("0.log");
        std::os::unix::fs::symlink(&other, &link).unwrap();
        assert!(open(&link).is_err());
        let path = temporary.path().join("1.log");
        drop(open(&path).unwrap());
        std::os::unix::fs::symlink(&other, with(&path, ".new")).unwrap();
        assert!(rotate(&path).is_err());
    }

    #[test]
    fn as_many_files_as_may_be_are_kept() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("0.log");
        fs::write(&path, "0").unwrap();
        for number in 1..8 {
            drop(rotate(&path).unwrap());
            fs::write(&path, number.to_string()).unwrap();
        }
        let texts: Vec<_> = (0..MAX_FILES).map(|age| fs::read_to_string(older(&path, age)).unwrap()).collect();
        assert_eq!(texts, ["7", "6", "5", "4", "3"]);
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), MAX_FILES);
    }
}
