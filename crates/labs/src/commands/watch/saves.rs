//! Tells when an editor has saved a file.
//!
//! Editors save in two ways: they write the file and close it, or they write another one and rename it. Both are one event
//! of the folder, at the moment when the text is complete, so nothing has to be waited out.
//!
//! A system may have no inotify, or no more of it to give (`fs.inotify.max_user_instances`). Then the file is looked at
//! twice a second.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// Room for some twenty events with long names at a time.
const BUFFER: usize = 8192;

/// How often a file is looked at when nobody tells of changes.
const LOOK: Duration = Duration::from_millis(500);

/// Watches one folder.
#[derive(Debug)]
pub(super) enum Saves {
    /// The system tells.
    Told(Told),
    /// We look.
    Seen(Seen),
}

impl Saves {
    pub(super) fn new() -> Saves {
        Told::new().map_or_else(|_| Saves::Seen(Seen::default()), Saves::Told)
    }

    /// Watches `folder` from now on, and no other. The error is that there is no such folder.
    pub(super) fn turn_to(&mut self, folder: &Path) -> io::Result<()> {
        if let Saves::Told(told) = self {
            match told.turn_to(folder) {
                // It is the watches that have run out, and not the folder that is missing.
                Err(error) if folder.is_dir() && error.kind() != io::ErrorKind::PermissionDenied => {}
                result => return result,
            }
            *self = Saves::Seen(Seen::default());
        }
        if let Saves::Seen(seen) = self {
            seen.turn_to(folder)?;
        }
        Ok(())
    }

    /// Resolves after `file` was saved; what has arrived by then is one save. May be dropped and called again.
    pub(super) async fn next(&mut self, file: &OsStr) -> io::Result<()> {
        match self {
            Saves::Told(told) => told.next(file).await,
            Saves::Seen(seen) => {
                seen.next(file).await;
                Ok(())
            }
        }
    }
}

/// What distinguishes a file that was saved from what it was: another file of its name, another time, another length.
type State = Option<(u64, i64, i64, u64)>;

/// Watches by looking.
#[derive(Debug, Default)]
pub(super) struct Seen {
    folder: PathBuf,
    /// The file that was looked at, and how it was.
    last: Option<(PathBuf, State)>,
}

impl Seen {
    fn turn_to(&mut self, folder: &Path) -> io::Result<()> {
        std::fs::read_dir(folder)?;
        folder.clone_into(&mut self.folder);
        self.last = None;
        Ok(())
    }

    async fn next(&mut self, file: &OsStr) {
        let mut pace = tokio::time::interval(LOOK);
        loop {
            pace.tick().await;
            if self.look(file) {
                return;
            }
        }
    }

    /// Whether the file is there and is another one than the last time. The first look finds nothing new.
    fn look(&mut self, file: &OsStr) -> bool {
        let path = self.folder.join(file);
        let state = std::fs::metadata(&path).ok();
        let state = state.map(|data| (data.ino(), data.mtime(), data.mtime_nsec(), data.len()));
        let before = self.last.replace((path.clone(), state));
        state.is_some() && before.is_some_and(|(known, before)| known == path && before != state)
    }
}

/// Is told by inotify.
#[derive(Debug)]
pub(super) struct Told {
    inotify: AsyncFd<OwnedFd>,
    folder: Option<i32>,
}

impl Told {
    fn new() -> io::Result<Told> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // SAFETY: an OwnedFd names the same open descriptor for as long as it lives, and AsyncFd owns this one.
        let inotify = unsafe { AsyncFd::register(inotify)? };
        Ok(Told { inotify, folder: None })
    }

    fn turn_to(&mut self, folder: &Path) -> io::Result<()> {
        if let Some(before) = self.folder.take() {
            // The folder may be gone, and its watch with it.
            let _ = remove_watch(self.inotify.get_ref(), before);
        }
        let written = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO;
        self.folder = Some(add_watch(self.inotify.get_ref(), folder, written | WatchFlags::ONLYDIR)?);
        Ok(())
    }

    async fn next(&mut self, file: &OsStr) -> io::Result<()> {
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
        let mut saves = Told::new().unwrap();
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
        let mut saves = Told::new().unwrap();
        saves.turn_to(one.path()).unwrap();
        saves.turn_to(two.path()).unwrap();
        std::fs::write(one.path().join("pod.yaml"), "").unwrap();
        assert!(!saves.take(OsStr::new("pod.yaml")).unwrap());
        std::fs::write(two.path().join("pod.yaml"), "").unwrap();
        assert!(saves.take(OsStr::new("pod.yaml")).unwrap());
        assert!(saves.turn_to(Path::new("/no/such/folder")).is_err());
    }

    #[tokio::test]
    async fn where_nobody_tells_the_file_is_looked_at() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = OsStr::new("pod.yaml");
        let answer = one.path().join(name);
        std::fs::write(&answer, "before").unwrap();
        let mut seen = Seen::default();
        seen.turn_to(one.path()).unwrap();
        assert!(!seen.look(name), "what was there is no save");
        assert!(!seen.look(name));
        std::fs::write(&answer, "after, and longer").unwrap();
        seen.next(name).await;
        assert!(!seen.look(name));
        // Another file of the name, as editors do it.
        std::fs::write(one.path().join("new"), "after, and longer").unwrap();
        std::fs::rename(one.path().join("new"), &answer).unwrap();
        seen.next(name).await;
        std::fs::remove_file(&answer).unwrap();
        assert!(!seen.look(name), "a file that is gone cannot be checked");

        std::fs::write(two.path().join(name), "another").unwrap();
        seen.turn_to(two.path()).unwrap();
        assert!(!seen.look(name));
        assert!(seen.turn_to(Path::new("/no/such/folder")).is_err());
    }
}
