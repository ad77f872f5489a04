//! Procedures that make, remove and rename names.

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::{LONGEST_TARGET, Nfs, Place, change, now, write_failure};
use crate::attributes::{Attributes, Wanted, write_after, write_change};
use crate::handle::FileHandle;
use crate::status::Failure;
use crate::tree::{Found, single};
use crate::xdr::{Decoder, Encoder, Malformed};

/// How CREATE is meant.
enum How {
    /// A file that is there is as good as a new one.
    Unchecked(Wanted),
    /// It must not be there.
    Guarded(Wanted),
    /// It must not be there, unless this very call has made it and is repeated: the client's mark says so.
    Exclusive([u32; 2]),
}

impl How {
    fn read(arguments: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match arguments.u32()? {
            0 => Wanted::read(arguments).map(Self::Unchecked),
            1 => Wanted::read(arguments).map(Self::Guarded),
            // The mark is kept in the two times of the file: without the highest bit every file system has room for it.
            2 => Ok(Self::Exclusive([arguments.u32()? & i32::MAX as u32, arguments.u32()? & i32::MAX as u32])),
            _ => Err(Malformed),
        }
    }
}

impl Nfs {
    pub(super) fn create(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let (place, how) = (Place::read(arguments)?, How::read(arguments)?);
        self.making(&place, result, |directory, name| {
            let wanted = match &how {
                How::Unchecked(wanted) | How::Guarded(wanted) => wanted.clone(),
                How::Exclusive(mark) => Wanted::marked(*mark),
            };
            let mode = Mode::from_raw_mode(wanted.mode.unwrap_or(0o644));
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
            let made = match rustix::fs::openat(directory, name, flags, mode) {
                Ok(_) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(errno.into()),
            };
            let file = self.tree.child(directory, directory.attributes.handle(), name)?;
            match how {
                _ if made => change::set(&file, &wanted)?,
                How::Unchecked(_) => change::set(&file, &Wanted { mode: None, ..wanted })?,
                How::Exclusive(mark) if file.attributes.seconds() == (mark[0], mark[1]) => {}
                How::Guarded(_) | How::Exclusive(_) => return Err(Failure::Exists),
            }
            Ok(())
        });
        Ok(())
    }

    pub(super) fn make_directory(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let (place, wanted) = (Place::read(arguments)?, Wanted::read(arguments)?);
        self.making(&place, result, |directory, name| {
            rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(wanted.mode.unwrap_or(0o755)))?;
            let made = self.tree.child(directory, directory.attributes.handle(), name)?;
            change::set(&made, &Wanted { size: None, ..wanted })
        });
        Ok(())
    }

    /// A symbolic link. The server never follows one: what it means is for the client to find out.
    pub(super) fn make_link(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let (place, _wanted) = (Place::read(arguments)?, Wanted::read(arguments)?);
        let target = arguments.opaque(LONGEST_TARGET)?;
        self.making(&place, result, |directory, name| Ok(rustix::fs::symlinkat(target, directory, name)?));
        Ok(())
    }

    /// Devices, sockets and FIFOs: not here.
    pub(super) fn make_node(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let place = Place::read(arguments)?;
        self.making(&place, result, |_, _| Err(Failure::NotSupported));
        Ok(())
    }

    /// Removes a file, or an empty directory.
    pub(super) fn remove(
        &self,
        arguments: &mut Decoder<'_>,
        result: &mut Encoder,
        directory: bool,
    ) -> Result<(), Malformed> {
        let place = Place::read(arguments)?;
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        change::changing(self.directory(place.directory), result, |directory, _| {
            Ok(rustix::fs::unlinkat(directory, single(place.name)?, flags)?)
        });
        Ok(())
    }

    pub(super) fn rename(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let (from, to) = (Place::read(arguments)?, Place::read(arguments)?);
        let (source, target) = (self.directory(from.directory), self.directory(to.directory));
        let before = |found: &Result<Found, Failure>| found.as_ref().ok().map(|found| found.attributes);
        let befores = [before(&source), before(&target)];
        let rename = |source: &Found, target: &Found| -> Result<(), Failure> {
            rustix::fs::renameat(source, single(from.name)?, target, single(to.name)?)?;
            // Its handle leads to the new name from now on.
            let _ = self.tree.child(target, target.attributes.handle(), to.name);
            Ok(())
        };
        let done = match (&source, &target) {
            (Ok(source), Ok(target)) => rename(source, target),
            (Err(failure), _) | (_, Err(failure)) => Err(*failure),
        };
        result.u32(done.err().map_or(0, |failure| failure as u32));
        for (before, found) in befores.iter().zip([&source, &target]) {
            let after = found.as_ref().ok().and_then(now);
            write_change(before.as_ref(), after.as_ref(), result);
        }
        Ok(())
    }

    /// Another name for a file.
    pub(super) fn link(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let (file, place) = (FileHandle::read(arguments)?, Place::read(arguments)?);
        let (file, directory) = (self.find(file), self.directory(place.directory));
        let before = directory.as_ref().ok().map(|directory| directory.attributes);
        let link = |file: &Found, directory: &Found| -> Result<(), Failure> {
            let name = single(place.name)?;
            // Through /proc: of a descriptor itself only some may make a link (linkat(2), AT_EMPTY_PATH).
            Ok(rustix::fs::linkat(CWD, file.path(), directory, name, AtFlags::SYMLINK_FOLLOW)?)
        };
        let done = match (&file, &directory) {
            (Ok(file), Ok(directory)) => link(file, directory),
            (Err(failure), _) | (_, Err(failure)) => Err(*failure),
        };
        result.u32(done.err().map_or(0, |failure| failure as u32));
        write_after(file.as_ref().ok().and_then(now).as_ref(), result);
        write_change(before.as_ref(), directory.as_ref().ok().and_then(now).as_ref(), result);
        Ok(())
    }

    /// A reply that tells the handle and the attributes of what `make` has made, and the change of the directory.
    fn making(&self, place: &Place<'_>, result: &mut Encoder, make: impl FnOnce(&Found, &[u8]) -> Result<(), Failure>) {
        let directory = self.directory(place.directory);
        let made = directory.as_ref().map_err(|failure| *failure).and_then(|directory| {
            let name = single(place.name)?;
            make(directory, name)?;
            self.tree.child(directory, directory.attributes.handle(), name)
        });
        let before: Option<Attributes> = directory.as_ref().ok().map(|directory| directory.attributes);
        match made {
            Ok(made) => {
                made.attributes.handle().write(result.u32(0).bool(true));
                write_after(Some(&made.attributes), result);
            }
            Err(failure) => write_failure(failure, result),
        }
        write_change(before.as_ref(), directory.as_ref().ok().and_then(now).as_ref(), result);
    }
}
