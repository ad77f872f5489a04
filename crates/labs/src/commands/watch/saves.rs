//! Tells when an editor has saved a file.
//!
//! Editors save in two ways: they write the file and close it, or they write another one and rename it. Both are one event
//! of the folder, at the moment when the text is complete, so nothing has to be waited out.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// Room for some twenty events with long names at a time.
const BUFFER: usize = 8192;

/// Watches one folder.
#[derive(Debug)]
pub(super) struct Saves {
    inotify: AsyncFd<OwnedFd>,
    folder: Option<i32>,
}

impl Saves {
    pub(super) fn new() -> io::Result<Saves> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // SAFETY: an OwnedFd names the same open descriptor for as long as it lives, and AsyncFd owns this one.
        let inotify = unsafe { AsyncFd::register(inotify)? };
        Ok(Saves { inotify, folder: None })
    }

    /// Watches `folder` from now on, and no other.
    pub(super) fn turn_to(&mut self, folder: &Path) -> io::Result<()> {
        if let Some(before) = self.folder.take() {
            // The folder may be gone, and its watch with it.
            let _ = remove_watch(self.inotify.get_ref(), before);
        }
        let written = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO;
        self.folder = Some(add_watch(self.inotify.get_ref(), folder, written | WatchFlags::ONLYDIR)?);
        Ok(())
    }

    /// Resolves after `file` was saved; what has arrived by then is one save. May be dropped and called again.
    pub(super) async fn next(&mut self, file: &OsStr) -> io::Result<()> {
        loop {
            let mut ready = self.inotify.readable().await?;
            if self.take(file)? {
                return Ok(());
            }
            ready.clear_ready();
        }
    }

    /// Takes all events that have arrived: whether one was about `file`.
    fn take(&self, file: &OsStr) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut events = Reader::new(self.inotify.get_ref(), &mut buffer);
        let mut saved = false;
        loop {
            match events.next() {
                Ok(event) if Some(event.wd()) == self.folder => {
                    saved |= event.file_name().is_some_and(|name| name.to_bytes() == file.as_bytes());
                }
                // Events were lost: one of them may have been ours.
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => saved = true,
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(saved),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ways_to_save_are_seen_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (answer, other) = (folder.path().join("pod.yaml"), folder.path().join(".pod.yaml.swp"));
        std::fs::write(&answer, "before").unwrap();
        let mut saves = Saves::new().unwrap();
        saves.turn_to(folder.path()).unwrap();
        let name = OsStr::new("pod.yaml");

        std::fs::write(&answer, "in place").unwrap();
        saves.next(name).await.unwrap();

        std::fs::write(&other, "renamed").unwrap();
        assert!(!saves.take(name).unwrap());
        std::fs::rename(&other, &answer).unwrap();
        saves.next(name).await.unwrap();

        // Many saves at once are one.
        for _ in 0..3 {
            std::fs::write(&answer, "again").unwrap();
        }
        saves.next(name).await.unwrap();
        assert!(!saves.take(name).unwrap());
    }

    #[tokio::test]
    async fn a_folder_that_was_left_is_not_listened_to() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut saves = Saves::new().unwrap();
        saves.turn_to(one.path()).unwrap();
        saves.turn_to(two.path()).unwrap();
        std::fs::write(one.path().join("pod.yaml"), "").unwrap();
        assert!(!saves.take(OsStr::new("pod.yaml")).unwrap());
        std::fs::write(two.path().join("pod.yaml"), "").unwrap();
        assert!(saves.take(OsStr::new("pod.yaml")).unwrap());
        assert!(saves.turn_to(Path::new("/no/such/folder")).is_err());
    }
}
