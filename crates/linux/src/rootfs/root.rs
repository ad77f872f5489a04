//! A directory tree that we did not make, entered only by descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{During, Refusal};

/// A container's root, or a volume: names below it are resolved as if it were `/`.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Resolve as a process with this root would, never through `/proc/PID/fd` and its like.
const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

impl Root {
    /// The tree at a path of our own.
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        let directory = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .during("open", path.display())?;
        Ok(Self { directory })
    }

    /// What a path inside means, as a descriptor that can be mounted on but neither read nor written (`O_PATH`).
    pub fn find(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.open_with(path, OFlags::PATH, ResolveFlags::empty())
    }

    /// Opens a path inside for reading. Never waits: a FIFO without a writer opens at once.
    pub fn read(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.open_with(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, ResolveFlags::empty())
    }

    /// A directory that must be where it is named: no link on the way. Made when missing.
    pub fn plain_directory(&self, name: &str) -> Result<OwnedFd, Refusal> {
        match rustix::fs::mkdirat(self, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).during("create directory", format_args!("/{name}")),
        }
        self.open_with(name, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS)
            .during("open directory", format_args!("/{name} of the image"))
    }

    /// The directory a path inside means. What is missing of it is made.
    pub fn directory(&self, path: &str) -> Result<OwnedFd, Refusal> {
        self.find_or_make(path, true).during("create directory", path)
    }

    /// The file a path inside means. What is missing of it, and an empty file, is made.
    pub fn file(&self, path: &str) -> Result<OwnedFd, Refusal> {
        self.find_or_make(path, false).during("create file", path)
    }

    fn find_or_make(&self, path: &str, directory: bool) -> Result<OwnedFd, Errno> {
        match self.find(path) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        // Component by component, each made in the descriptor of the one before it. A link on the way is followed by
        // the kernel, inside the root; one that leads nowhere is an error, for making what it names is not asked for.
        let names: Vec<&str> = Path::new(path)
            .components()
            .filter_map(|component| match component {
                Component::Normal(name) => Some(name.to_str().ok_or(Errno::INVAL)),
                Component::ParentDir => Some(Err(Errno::INVAL)),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
            })
            .collect::<Result<_, _>>()?;
        let mut parent = self.find(".")?;
        for end in 1..=names.len() {
            let (name, last) = (names[end - 1], end == names.len());
            parent = match self.find(&names[..end].join("/")) {
                Err(Errno::NOENT) => make(parent.as_fd(), name, directory || !last)?,
                found => found?,
            };
        }
        Ok(parent)
    }

    fn open_with(&self, path: &str, flags: OFlags, more: ResolveFlags) -> Result<OwnedFd, Errno> {
        loop {
            match rustix::fs::openat2(self, path, flags | OFlags::CLOEXEC, Mode::empty(), IN_ROOT | more) {
                // The kernel saw a rename on the way and cannot tell whether it stayed inside: ask again.
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
    }
}

/// Makes one name in a directory, and opens what was made: nothing else, should someone have been quicker.
fn make(parent: BorrowedFd<'_>, name: &str, directory: bool) -> Result<OwnedFd, Errno> {
    if directory {
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644))?;
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root beside a directory `outside` that nothing may change.
    fn hostile() -> (tempfile::TempDir, Root) {
        let temporary = tempfile::tempdir().unwrap();
        fs::create_dir(temporary.path().join("outside")).unwrap();
        fs::create_dir(temporary.path().join("root")).unwrap();
        let root = Root::open(&temporary.path().join("root")).unwrap();
        (temporary, root)
    }

    #[test]
    fn links_lead_nowhere_outside() {
        let (temporary, root) = hostile();
        let inside = temporary.path().join("root");
        symlink(temporary.path().join("outside"), inside.join("absolute")).unwrap();
        symlink("../outside", inside.join("relative")).unwrap();
        symlink("../../../../../../..", inside.join("up")).unwrap();
        for path in ["absolute/new", "relative/new", "up/../outside/new", "../outside/new"] {
            let _ = root.directory(path);
            let _ = root.file(path);
        }
        assert_eq!(fs::read_dir(temporary.path().join("outside")).unwrap().count(), 0);
        // `..` of the root is the root, as for a process that lives there.
        assert!(inside.join("outside").exists() || root.find("../outside").is_err());
    }

    #[test]
    fn missing_parts_are_made() {
        let (temporary, root) = hostile();
        root.file("/etc/app/config").unwrap();
        assert!(temporary.path().join("root/etc/app/config").is_file());
        root.directory("/data/deep/er").unwrap();
        assert!(temporary.path().join("root/data/deep/er").is_dir());
    }

    #[test]
    fn a_link_in_the_place_of_proc_is_refused() {
        let (temporary, root) = hostile();
        symlink("/tmp", temporary.path().join("root/proc")).unwrap();
        assert_eq!(root.plain_directory("proc").unwrap_err().errno, Errno::LOOP);
        fs::write(temporary.path().join("root/sys"), "").unwrap();
        assert_eq!(root.plain_directory("sys").unwrap_err().errno, Errno::NOTDIR);
    }

    #[test]
    fn magic_links_are_refused() {
        let proc = Root::open(Path::new("/proc")).unwrap();
        assert_eq!(proc.find("self/fd/0").unwrap_err(), Errno::LOOP);
        assert_eq!(proc.find("self/root").unwrap_err(), Errno::LOOP);
    }
}
