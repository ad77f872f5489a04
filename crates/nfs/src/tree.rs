//! The exported directory: from a file handle to a file.
//!
//! A handle has to mean the same file for as long as the file exists, even to a server that was just started and has never
//! given it out. The kernel could say which file an inode is (open_by_handle_at(2)), but only to root, and also outside of
//! the directory. So the tree remembers under which name it saw each file, checks that it still is that file, and when it is
//! not, or was never seen, looks through the whole directory once.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode, OFlags, RawDir, ResolveFlags};

use crate::attributes::Attributes;
use crate::handle::FileHandle;
use crate::status::Failure;

/// More names than this are not remembered: all are forgotten, and those in use are found again.
const MOST_NAMES: usize = 1 << 20;
/// How deep a file may lie.
const DEEPEST: usize = 256;
/// The longest path the kernel takes.
const LONGEST_PATH: usize = 4095;
/// Looking through everything is what a made-up handle costs; nobody is to have us do that all the time.
const BETWEEN_SEARCHES: Duration = Duration::from_secs(1);

/// A directory and everything below it, on one file system, without following links.
#[derive(Debug)]
pub(crate) struct Tree {
    directory: OwnedFd,
    root: FileHandle,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Where a file was last: its directory, and its name there.
    places: HashMap<FileHandle, (FileHandle, Vec<u8>)>,
    searched: Option<Instant>,
}

/// A file that was found: a descriptor that stands for it (`O_PATH`), and what it is now.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) descriptor: OwnedFd,
    pub(crate) attributes: Attributes,
}

impl AsFd for Found {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Found {
    /// Its name in `/proc`: for the calls that take no descriptor of this kind. It leads to the file itself, wherever that
    /// is now, and not through a link that it may be.
    pub(crate) fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.descriptor.as_raw_fd())
    }

    /// Opens it for reading or writing. Only files and directories: opening others can do something, or wait.
    pub(crate) fn open(&self, flags: OFlags) -> Result<OwnedFd, Failure> {
        match self.attributes.kind() {
            FileType::RegularFile => {}
            FileType::Directory if flags.contains(OFlags::DIRECTORY) => {}
            FileType::Directory => return Err(Failure::IsDirectory),
            _ => return Err(Failure::Invalid),
        }
        Ok(rustix::fs::open(self.path(), flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?)
    }
}

impl Tree {
    pub(crate) fn open(path: &Path) -> Result<Self, rustix::io::Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        let attributes = Attributes::of(&directory).map_err(|_| rustix::io::Errno::IO)?;
        Ok(Self { root: attributes.handle(), directory, seen: Mutex::default() })
    }

    pub(crate) fn root(&self) -> FileHandle {
        self.root
    }

    /// The file of a handle.
    pub(crate) fn find(&self, handle: FileHandle) -> Result<Found, Failure> {
        if let Some(found) = self.where_it_was(handle) {
            return Ok(found);
        }
        self.search()?;
        self.where_it_was(handle).ok_or(Failure::Stale)
    }

    /// A file by its name in a directory.
    pub(crate) fn look_up(&self, directory: FileHandle, name: &[u8]) -> Result<Found, Failure> {
        let parent = self.find(directory)?;
        match name {
            b"." => Ok(parent),
            b".." => self.find(self.parent(directory)),
            name => self.child(&parent, directory, name),
        }
    }

    /// A file by its name in a directory that was found before.
    pub(crate) fn child(&self, parent: &Found, directory: FileHandle, name: &[u8]) -> Result<Found, Failure> {
        let name = single(name)?;
        let found = found(open_below(parent.as_fd(), name)?)?;
        self.remember(found.attributes.handle(), directory, name);
        Ok(found)
    }

    /// The directory that a directory is in; the root is in itself.
    pub(crate) fn parent(&self, directory: FileHandle) -> FileHandle {
        self.seen().places.get(&directory).map_or(self.root, |(parent, _)| *parent)
    }

    fn where_it_was(&self, handle: FileHandle) -> Option<Found> {
        let path = self.path(handle)?;
        let found = found(open_below(self.directory.as_fd(), &path).ok()?).ok()?;
        (found.attributes.handle() == handle).then_some(found)
    }

    /// The way from the root to a file, as it was seen.
    fn path(&self, handle: FileHandle) -> Option<Vec<u8>> {
        let seen = self.seen();
        let mut names: Vec<&[u8]> = Vec::new();
        let mut at = handle;
        while at != self.root {
            let (parent, name) = seen.places.get(&at)?;
            names.push(name);
            at = *parent;
            // Directories that changed places can make a ring of what was seen.
            if names.len() > DEEPEST {
                return None;
            }
        }
        names.reverse();
        let path = if names.is_empty() { b".".to_vec() } else { names.join(&b'/') };
        (path.len() <= LONGEST_PATH).then_some(path)
    }

    fn remember(&self, file: FileHandle, directory: FileHandle, name: &[u8]) {
        if file == self.root {
            return;
        }
        let mut seen = self.seen();
        if seen.places.len() >= MOST_NAMES {
            seen.places.clear();
        }
        seen.places.insert(file, (directory, name.to_vec()));
    }

    /// Looks through everything, and remembers it.
    fn search(&self) -> Result<(), Failure> {
        {
            let mut seen = self.seen();
            if seen.searched.is_some_and(|searched| searched.elapsed() < BETWEEN_SEARCHES) {
                return Err(Failure::Later);
            }
            seen.searched = Some(Instant::now());
        }
        let (mut directories, mut names) = (vec![(b".".to_vec(), self.root)], 0);
        while let Some((path, handle)) = directories.pop() {
            // What is gone meanwhile, or not ours to read, is not there.
            let Ok(directory) = open_below(self.directory.as_fd(), &path).map_err(Failure::from).and_then(found) else {
                continue;
            };
            for name in directory.names().unwrap_or_default() {
                names += 1;
                if names > MOST_NAMES {
                    return Ok(());
                }
                let Ok(child) = self.child(&directory, handle, &name) else { continue };
                let path = [&path[..], &name].join(&b'/');
                if child.attributes.kind() == FileType::Directory && path.len() <= LONGEST_PATH {
                    directories.push((path, child.attributes.handle()));
                }
            }
        }
        self.seen().searched = Some(Instant::now());
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    /// The names in a directory, without its own and its parent's.
    fn names(&self) -> Result<Vec<Vec<u8>>, Failure> {
        let directory = self.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut buffer = Vec::with_capacity(16 << 10);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let name = entry.map_err(Failure::from)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// A name that stays in its directory, or the reason why it is none.
pub(crate) fn single(name: &[u8]) -> Result<&[u8], Failure> {
    match name {
        b"" | b"." | b".." => Err(Failure::Invalid),
        name if name.contains(&b'/') || name.contains(&0) => Err(Failure::Invalid),
        name if name.len() > 255 => Err(Failure::NameTooLong),
        name => Ok(name),
    }
}

fn open_below(directory: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    loop {
        match rustix::fs::openat2(directory, path, flags, Mode::empty(), inside) {
            // The kernel saw a rename on the way: ask again.
            Err(rustix::io::Errno::AGAIN) => {}
            result => return result,
        }
    }
}

fn found(descriptor: OwnedFd) -> Result<Found, Failure> {
    let attributes = Attributes::of(&descriptor)?;
    Ok(Found { descriptor, attributes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn handle(tree: &Tree, path: &str) -> FileHandle {
        let found = path
            .split('/')
            .fold(tree.root(), |at, name| tree.look_up(at, name.as_bytes()).unwrap().attributes.handle());
        assert!(tree.find(found).is_ok());
        found
    }

    #[test]
    fn another_server_finds_the_same_file_wherever_it_is_now() {
        let temporary = tempfile::tempdir().unwrap();
        fs::create_dir_all(temporary.path().join("a/b")).unwrap();
        fs::write(temporary.path().join("a/b/file"), "x").unwrap();
        let file = handle(&Tree::open(temporary.path()).unwrap(), "a/b/file");

        let next = Tree::open(temporary.path()).unwrap();
        fs::rename(temporary.path().join("a/b"), temporary.path().join("c")).unwrap();
        assert_eq!(next.find(file).unwrap().attributes.handle(), file);
        assert_eq!(next.parent(file), handle(&next, "c"));
        // Everything was looked through a moment ago: a file that is not among it is not looked for again and again.
        let unknown = FileHandle { inode: 1, born: (1, 1) };
        assert_eq!(next.find(unknown).unwrap_err(), Failure::Later);
        fs::remove_file(temporary.path().join("c/file")).unwrap();
        next.seen().searched = None;
        assert_eq!(next.find(file).unwrap_err(), Failure::Stale);
    }

    #[test]
    fn nothing_leads_outside() {
        let temporary = tempfile::tempdir().unwrap();
        let exported = temporary.path().join("exported");
        fs::create_dir(&exported).unwrap();
        fs::write(temporary.path().join("secret"), "x").unwrap();
        symlink("..", exported.join("up")).unwrap();
        symlink("/etc/passwd", exported.join("passwd")).unwrap();
        let tree = Tree::open(&exported).unwrap();
        assert_eq!(tree.look_up(tree.root(), b"..").unwrap().attributes.handle(), tree.root());
        for name in ["up/secret", "../secret", "/etc/passwd", "", "a\0b", &"x".repeat(256)] {
            assert!(tree.look_up(tree.root(), name.as_bytes()).is_err(), "{name:?}");
        }
        // A link is a file of its own, and no directory.
        let up = handle(&tree, "up");
        assert_eq!(tree.find(up).unwrap().attributes.kind(), FileType::Symlink);
        assert_eq!(tree.look_up(up, b"secret").unwrap_err(), Failure::NotDirectory);
        assert!(tree.find(handle(&tree, "passwd")).unwrap().open(OFlags::RDONLY).is_err());
    }

    #[test]
    fn a_ring_of_what_was_seen_is_no_way() {
        let temporary = tempfile::tempdir().unwrap();
        let tree = Tree::open(temporary.path()).unwrap();
        let (one, two) = (FileHandle { inode: 1, born: (0, 1) }, FileHandle { inode: 2, born: (0, 1) });
        tree.remember(one, two, b"one");
        tree.remember(two, one, b"two");
        assert_eq!(tree.find(one).unwrap_err(), Failure::Stale);
    }
}
