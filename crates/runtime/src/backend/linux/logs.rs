//! The files of a container's log: the newest, and those it was before it grew too long.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use podlab_linux::supervisor::log::rotate::{MAX_FILES, older};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use tokio::fs::File;

use crate::backend::{BackendError, PodUid};

/// Opens the newest file of a log.
pub(super) async fn open(uid: &PodUid, container: &str, path: &Path) -> Result<File, BackendError> {
    plain(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => BackendError::NoSuchContainer { pod: uid.clone(), container: container.to_owned() },
        _ => BackendError::Io { pod: uid.clone(), what: "opening a log", source },
    })
}

/// The file after `current`; `None` when there is none yet.
pub(super) async fn next(
    uid: &PodUid,
    container: &str,
    path: &Path,
    current: &File,
) -> Result<Option<File>, BackendError> {
    let failed = |source| BackendError::Io { pod: uid.clone(), what: "looking for the next log", source };
    let own = identity(current).await.map_err(failed)?;
    let mut newer = open(uid, container, path).await?;
    if identity(&newer).await.map_err(failed)? == own {
        return Ok(None);
    }
    // From the newest back, to the one that was begun when `current` was full. Should that one be gone already (a very
    // slow reader), the oldest that is left goes on.
    for age in 1..MAX_FILES {
        let file = match plain(&older(path, age)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        if identity(&file).await.map_err(failed)? == own {
            break;
        }
        newer = file;
    }
    Ok(Some(newer))
}

/// Opens a file that is no link, and to which none leads: a container with the logs' directory as `hostPath` volume could
/// have put one there, and the node would read whatever it points to.
fn plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let file = std::fs::File::from(opened);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a log that is no file"));
    }
    Ok(File::from_std(file))
}

async fn identity(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata().await?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_in_the_place_of_a_log_is_not_followed() {
        let temporary = tempfile::tempdir().unwrap();
        let secret = temporary.path().join("secret");
        std::fs::write(&secret, "").unwrap();
        let uid = "uid".to_owned();
        let link = temporary.path().join("0.log");
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        assert!(open(&uid, "main", &link).await.is_err());
        let directory = temporary.path().join("main");
        std::os::unix::fs::symlink(temporary.path(), &directory).unwrap();
        assert!(open(&uid, "main", &directory.join("secret")).await.is_err(), "nor on the way there");
        let fifo = temporary.path().join("fifo");
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(open(&uid, "main", &fifo).await.is_err(), "and nobody waits for a pipe");
        assert!(open(&uid, "main", &secret).await.is_ok());
    }

    #[tokio::test]
    async fn each_file_leads_to_the_one_after_it() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("0.log");
        for age in 0..4 {
            std::fs::write(older(&path, age), age.to_string()).unwrap();
        }
        let uid = "uid".to_owned();
        for age in (1..4).rev() {
            let current = File::open(older(&path, age)).await.unwrap();
            let found = next(&uid, "main", &path, &current).await.unwrap().unwrap();
            let expected = File::open(older(&path, age - 1)).await.unwrap();
            assert_eq!(identity(&found).await.unwrap(), identity(&expected).await.unwrap(), "{age}");
        }
        let newest = File::open(&path).await.unwrap();
        assert!(next(&uid, "main", &path, &newest).await.unwrap().is_none());
        // Its file was removed meanwhile: the oldest that is left goes on.
        let lost = File::open(older(&path, 3)).await.unwrap();
        std::fs::remove_file(older(&path, 3)).unwrap();
        let found = next(&uid, "main", &path, &lost).await.unwrap().unwrap();
        let expected = File::open(older(&path, 2)).await.unwrap();
        assert_eq!(identity(&found).await.unwrap(), identity(&expected).await.unwrap());
    }
}
