//! Procedures that change a file: its bytes and its attributes.

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::{LARGEST_TRANSFER, Nfs, now, write_failure};
use crate::attributes::{Attributes, Wanted, write_change};
use crate::handle::FileHandle;
use crate::status::Failure;
use crate::tree::Found;
use crate::xdr::{Decoder, Encoder, Malformed};

/// What a client may be told about its bytes: they may be in memory only; they are on the disk, with what leads to them; all
/// of the file is.
const UNSTABLE: u32 = 0;
const DATA: u32 = 1;
const FILE: u32 = 2;

impl Nfs {
    pub(super) fn set_attributes(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let (handle, wanted) = (FileHandle::read(arguments)?, Wanted::read(arguments)?);
        let guard = arguments.optional(|arguments| Ok((arguments.u32()?, arguments.u32()?)))?;
        changing(self.find(handle), result, |found, _| {
            if guard.is_some_and(|changed| changed != found.attributes.changed()) {
                return Err(Failure::NotSync);
            }
            set(found, &wanted)
        });
        Ok(())
    }

    pub(super) fn write(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let (handle, offset, count) = (FileHandle::read(arguments)?, arguments.u64()?, arguments.u32()?);
        let (stable, bytes) = (arguments.u32()?, arguments.opaque(LARGEST_TRANSFER as usize)?);
        if count as usize > bytes.len() || stable > FILE {
            return Err(Malformed);
        }
        changing(self.find(handle), result, |found, result| {
            let end = offset.checked_add(u64::from(count)).filter(|end| i64::try_from(*end).is_ok());
            end.ok_or(Failure::FileTooBig)?;
            let file = found.open(OFlags::WRONLY)?;
            let (mut rest, mut place) = (&bytes[..count as usize], offset);
            while !rest.is_empty() {
                let written = rustix::io::pwrite(&file, rest, place)?;
                rest = &rest[written..];
                place += written as u64;
            }
            match stable {
                UNSTABLE => {}
                DATA => rustix::fs::fdatasync(&file)?,
                _ => rustix::fs::fsync(&file)?,
            }
            result.u32(count).u32(stable).fixed(&self.verifier);
            Ok(())
        });
        Ok(())
    }

    /// What was written before is on the disk afterwards.
    pub(super) fn commit(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let (handle, _offset, _count) = (FileHandle::read(arguments)?, arguments.u64()?, arguments.u32()?);
        changing(self.find(handle), result, |found, result| {
            rustix::fs::fsync(found.open(OFlags::RDONLY)?)?;
            result.fixed(&self.verifier);
            Ok(())
        });
        Ok(())
    }
}

/// Sets what is wanted of a file.
pub(super) fn set(found: &Found, wanted: &Wanted) -> Result<(), Failure> {
    let owner = rustix::process::geteuid().as_raw();
    let other_owner = wanted.owner.is_some_and(|wanted| wanted != owner);
    let other_group = wanted.group.is_some_and(|wanted| wanted != rustix::process::getegid().as_raw());
    if other_owner || other_group {
        return Err(Failure::Permission);
    }
    if let Some(size) = wanted.size {
        if i64::try_from(size).is_err() {
            return Err(Failure::FileTooBig);
        }
        rustix::fs::ftruncate(found.open(OFlags::WRONLY)?, size)?;
    }
    if let Some(mode) = wanted.mode {
        rustix::fs::chmodat(CWD, found.path(), Mode::from_raw_mode(mode), AtFlags::empty())?;
    }
    if let Some(times) = wanted.times() {
        rustix::fs::utimensat(CWD, found.path(), &times, AtFlags::empty())?;
    }
    Ok(())
}

/// A reply that tells what a file was before and is after `work`, then what that writes.
pub(super) fn changing(
    found: Result<Found, Failure>,
    result: &mut Encoder,
    work: impl FnOnce(&Found, &mut Encoder) -> Result<(), Failure>,
) {
    let mut more = Encoder::new();
    let (done, before, after): (_, Option<Attributes>, _) = match found {
        Ok(found) => (work(&found, &mut more), Some(found.attributes), now(&found)),
        Err(failure) => (Err(failure), None, None),
    };
    match done {
        Ok(()) => {
            write_change(before.as_ref(), after.as_ref(), result.u32(0));
            result.append(&more);
        }
        Err(failure) => {
            write_failure(failure, result);
            write_change(before.as_ref(), after.as_ref(), result);
        }
    }
}
