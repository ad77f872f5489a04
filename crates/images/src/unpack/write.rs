//! Writing a layer's members below one directory, and nowhere else.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, fchmod, fsetxattr,
    linkat, mkdirat, mknodat, openat, openat2, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::members::{Kind, Member};
use super::{UnpackError, Unpacked};

/// What stands before the name of a file that the layer deletes.
const WHITEOUT: &[u8] = b".wh.";
/// In a directory: nothing of the layers below is to be seen in it.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Bookkeeping of the file system that whiteouts come from.
const BOOKKEEPING: &[u8] = b".wh..wh.";
/// How overlayfs marks an opaque directory: the first where root mounts it, the second in a user namespace.
const OPAQUE_ATTRIBUTES: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

/// A layer being written.
pub(super) struct Layer {
    root: OwnedFd,
    limit: u64,
    done: Unpacked,
    /// Whether files can be given to other users.
    privileged: bool,
    /// Directories get their modes and times last: while they are filled we must be able to write to them.
    directories: Vec<Member>,
}

impl Layer {
    pub(super) fn new(root: OwnedFd, limit: u64) -> Layer {
        let privileged = rustix::process::geteuid().is_root();
        Layer { root, limit, done: Unpacked::default(), privileged, directories: Vec::new() }
    }

    pub(super) fn write(&mut self, member: &Member, content: &mut dyn Read) -> Result<(), UnpackError> {
        let Some((directories, name)) = split(member)? else {
            // The layer's root itself.
            if member.kind == Kind::Directory {
                self.directories.push(member.clone());
            }
            return Ok(());
        };
        if member.kind == Kind::Device {
            self.done.skipped += 1;
            return Ok(());
        }
        let parent = self.parent(&directories, member)?;
        if name == OPAQUE {
            return self.mark_opaque(parent.as_fd(), member);
        }
        if name.starts_with(BOOKKEEPING) {
            return Ok(());
        }
        if let Some(deleted) = name.strip_prefix(WHITEOUT) {
            return self.white_out(parent.as_fd(), deleted, member);
        }
        match &member.kind {
            Kind::Directory => {
                self.directory(parent.as_fd(), name, member)?;
                self.directories.push(member.clone());
            }
            Kind::File => {
                make_way(parent.as_fd(), name, member)?;
                self.file(parent.as_fd(), name, member, content)?;
            }
            Kind::Symlink(target) => {
                make_way(parent.as_fd(), name, member)?;
                symlinkat(target.as_slice(), &parent, name).map_err(failed("create", member))?;
                self.finish_link(parent.as_fd(), name, member)?;
            }
            Kind::HardLink(target) => self.hard_link(parent.as_fd(), name, target, member)?,
            Kind::Fifo => {
                make_way(parent.as_fd(), name, member)?;
                mknodat(&parent, name, FileType::Fifo, Mode::from_raw_mode(member.mode), 0)
                    .map_err(failed("create", member))?;
                self.finish_link(parent.as_fd(), name, member)?;
            }
            Kind::Device => {}
        }
        self.done.members += 1;
        Ok(())
    }

    /// Gives the directories their modes, owners and times, the deepest first: a parent may come to forbid the way.
    pub(super) fn finish(mut self) -> Result<Unpacked, UnpackError> {
        let mut last = BTreeMap::new();
        for member in std::mem::take(&mut self.directories) {
            let path = match split(&member)? {
                Some((mut directories, name)) => {
                    directories.push(name);
                    directories.join(&b'/')
                }
                None => b".".to_vec(),
            };
            last.insert(path, member);
        }
        let mut directories: Vec<_> = last.into_iter().collect();
        directories.sort_by_key(|(path, _)| Reverse((path != b".", path.split(|byte| *byte == b'/').count())));
        for (path, member) in &directories {
            match self.open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW) {
                Ok(directory) => self.attributes(directory.as_fd(), member)?,
                // A later member took its place, or its parent's.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(failed("open", member)(errno)),
            }
        }
        Ok(self.done)
    }

    /// Opens something below the root, with the root as the end of every `..` and the start of every absolute link.
    fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// The directory a member lies in, made where it is missing: archives may leave parents out.
    fn parent(&self, directories: &[&[u8]], member: &Member) -> Result<OwnedFd, UnpackError> {
        let whole = if directories.is_empty() { b".".to_vec() } else { directories.join(&b'/') };
        match self.open(&whole, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => {}
            opened => return opened.map_err(failed("open the directory of", member)),
        }
        for depth in 1..=directories.len() {
            let path = directories[..depth].join(&b'/');
            match self.open(&path, OFlags::PATH | OFlags::DIRECTORY) {
                Ok(_) => continue,
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed("open the directory of", member)(errno)),
            }
            let above = if depth == 1 { b".".to_vec() } else { directories[..depth - 1].join(&b'/') };
            let above =
                self.open(&above, OFlags::PATH | OFlags::DIRECTORY).map_err(failed("open the directory of", member))?;
            mkdirat(&above, directories[depth - 1], Mode::from_raw_mode(0o755))
                .map_err(failed("create the directory of", member))?;
        }
        self.open(&whole, OFlags::PATH | OFlags::DIRECTORY).map_err(failed("open the directory of", member))
    }

    fn directory(&self, parent: BorrowedFd<'_>, name: &[u8], member: &Member) -> Result<(), UnpackError> {
        let make = || mkdirat(parent, name, Mode::from_raw_mode(0o700));
        match make() {
            Err(Errno::EXIST) => {}
            other => return other.map_err(failed("create", member)),
        }
        let there = kind_of(parent, name, member)?;
        if there == FileType::Directory {
            return Ok(());
        }
        make_way(parent, name, member)?;
        make().map_err(failed("create", member))?;
        // It was deleted before it was made: nothing of the layers below shows through.
        if there == FileType::CharacterDevice { self.mark_child_opaque(parent, name, member) } else { Ok(()) }
    }

    /// A file of the layers below is gone: for an overlay, a character device 0/0 stands in its place.
    fn white_out(&self, parent: BorrowedFd<'_>, name: &[u8], member: &Member) -> Result<(), UnpackError> {
        if matches!(name, b"" | b"." | b"..") {
            return Err(UnpackError::Name { member: member.name(), problem: "deletes no file" });
        }
        match mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Err(Errno::EXIST) => {}
            other => return other.map_err(failed("delete", member)),
        }
        // This layer has a file of the name, which shows instead. Under a directory the one below would show as well.
        match kind_of(parent, name, member)? {
            FileType::Directory => self.mark_child_opaque(parent, name, member),
            _ => Ok(()),
        }
    }

    fn file(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        member: &Member,
        content: &mut dyn Read,
    ) -> Result<(), UnpackError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(parent, name, flags, Mode::from_raw_mode(0o600)).map_err(failed("create", member))?;
        let mut file = File::from(file);
        let left = self.limit - self.done.bytes;
        let written = io::copy(&mut content.take(left + 1), &mut file).map_err(|source| UnpackError::Write {
            action: "write",
            member: member.name(),
            source,
        })?;
        if written > left {
            return Err(UnpackError::Limit { what: "bytes", limit: self.limit });
        }
        self.done.bytes += written;
        self.attributes(file.as_fd(), member)
    }

    /// Another name for what an earlier member is.
    fn hard_link(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        target: &[u8],
        member: &Member,
    ) -> Result<(), UnpackError> {
        let original = Member { path: target.to_vec(), ..member.clone() };
        let Some((directories, original)) = split(&original)? else {
            return Err(UnpackError::Name { member: member.name(), problem: "a hard link to the root" });
        };
        let whole = if directories.is_empty() { b".".to_vec() } else { directories.join(&b'/') };
        let from = self.open(&whole, OFlags::PATH | OFlags::DIRECTORY).map_err(failed("link", member))?;
        let same = rustix::fs::statat(&from, original, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("link", member))?;
        match FileType::from_raw_mode(same.st_mode) {
            FileType::RegularFile | FileType::Symlink | FileType::Fifo => {}
            _ => return Err(UnpackError::Name { member: member.name(), problem: "a hard link to what is no file" }),
        }
        // A link to itself would have nothing to link to once its place is cleared.
        if let Ok(there) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            && (there.st_dev, there.st_ino) == (same.st_dev, same.st_ino)
        {
            return Ok(());
        }
        make_way(parent, name, member)?;
        // Without AT_SYMLINK_FOLLOW: a link to a symbolic link is a second name of the link itself.
        linkat(&from, original, parent, name, AtFlags::empty()).map_err(failed("link", member))
    }

    fn mark_opaque(&self, directory: BorrowedFd<'_>, member: &Member) -> Result<(), UnpackError> {
        self.mark_child_opaque(directory, b".", member)
    }

    fn mark_child_opaque(&self, parent: BorrowedFd<'_>, name: &[u8], member: &Member) -> Result<(), UnpackError> {
        // Opened anew: an O_PATH descriptor takes no attributes.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(parent, name, flags, Mode::empty()).map_err(failed("open the directory of", member))?;
        for attribute in OPAQUE_ATTRIBUTES {
            match fsetxattr(&directory, attribute, b"y", XattrFlags::empty()) {
                // The one that only root can set is of no use to others either.
                Err(Errno::PERM) if !self.privileged => {}
                // A file system without user attributes (tmpfs before 6.6) still has trusted ones for root.
                Err(Errno::NOTSUP) if self.privileged && attribute.starts_with("user.") => {}
                other => other.map_err(failed("mark as opaque", member))?,
            }
        }
        Ok(())
    }

    /// Owner, mode, attributes and time of a file or directory. The owner comes first: a change of owner clears
    /// set-user-id and file capabilities.
    fn attributes(&self, file: BorrowedFd<'_>, member: &Member) -> Result<(), UnpackError> {
        if self.privileged {
            let owner = (Some(Uid::from_raw(member.uid)), Some(Gid::from_raw(member.gid)));
            rustix::fs::fchown(file, owner.0, owner.1).map_err(failed("change the owner of", member))?;
        }
        fchmod(file, Mode::from_raw_mode(member.mode)).map_err(failed("change the mode of", member))?;
        for (name, value) in &member.attributes {
            let kept =
                name == b"security.capability" || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
            if !kept || name.contains(&0) {
                continue;
            }
            match fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
                // Not every file system has every kind, and not every user may set it.
                Err(Errno::PERM | Errno::NOTSUP) => {}
                other => other.map_err(failed("set an attribute of", member))?,
            }
        }
        rustix::fs::futimens(file, &times(member)).map_err(failed("set the time of", member))
    }

    /// Owner and time of what cannot be opened.
    fn finish_link(&self, parent: BorrowedFd<'_>, name: &[u8], member: &Member) -> Result<(), UnpackError> {
        if self.privileged {
            let owner = (Some(Uid::from_raw(member.uid)), Some(Gid::from_raw(member.gid)));
            rustix::fs::chownat(parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(failed("change the owner of", member))?;
        }
        utimensat(parent, name, &times(member), AtFlags::SYMLINK_NOFOLLOW).map_err(failed("set the time of", member))
    }
}

fn times(member: &Member) -> Timestamps {
    let at = Timespec { tv_sec: member.modified, tv_nsec: 0 };
    Timestamps { last_access: at, last_modification: at }
}

fn failed(action: &'static str, member: &Member) -> impl FnOnce(Errno) -> UnpackError {
    let member = member.name();
    move |errno| UnpackError::Write { action, member, source: errno.into() }
}

/// The directories of a path, from the root, and its last component.
type Place<'a> = (Vec<&'a [u8]>, &'a [u8]);

/// The directories and the last component of a member's path. `None` for the root. An absolute name is meant from the
/// layer's root.
fn split(member: &Member) -> Result<Option<Place<'_>>, UnpackError> {
    let problem = |problem| UnpackError::Name { member: member.name(), problem };
    if member.path.is_empty() || member.path.contains(&0) {
        return Err(problem("not a file name"));
    }
    let mut components: Vec<&[u8]> =
        member.path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if components.contains(&&b".."[..]) {
        return Err(problem("the name leads out of the layer"));
    }
    Ok(components.pop().map(|name| (components, name)))
}

/// Removes what an earlier member put under the same name.
fn make_way(parent: BorrowedFd<'_>, name: &[u8], member: &Member) -> Result<(), UnpackError> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => {
            unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(failed("replace the directory", member))
        }
        Err(errno) => Err(failed("replace", member)(errno)),
    }
}

fn kind_of(parent: BorrowedFd<'_>, name: &[u8], member: &Member) -> Result<FileType, UnpackError> {
    let status = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("look at", member))?;
    Ok(FileType::from_raw_mode(status.st_mode))
}
