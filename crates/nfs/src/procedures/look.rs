//! Procedures that change nothing: about one file.

use std::os::fd::AsFd;

use rustix::fs::{Access, AtFlags, CWD, FileType, OFlags};

use super::{LARGEST_TRANSFER, LONGEST_TARGET, Nfs, Place, now, write_failure};
use crate::attributes::{Attributes, write_after};
use crate::handle::FileHandle;
use crate::status::Failure;
use crate::tree::Found;
use crate::xdr::{Decoder, Encoder, Malformed};

/// What ACCESS asks about: bits, and what has to be allowed of a directory and of another file.
const RIGHTS: [(u32, Access, Access); 6] = [
    (0x01, Access::READ_OK, Access::READ_OK),
    // Look up a name; delete one. A file has none.
    (0x02, Access::EXEC_OK, Access::empty()),
    (0x04, Access::WRITE_OK, Access::WRITE_OK),
    (0x08, Access::WRITE_OK, Access::WRITE_OK),
    (0x10, Access::WRITE_OK, Access::empty()),
    (0x20, Access::empty(), Access::EXEC_OK),
];

impl Nfs {
    pub(super) fn get_attributes(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let handle = FileHandle::read(arguments)?;
        match self.find(handle) {
            Ok(found) => found.attributes.write(result.u32(0)),
            Err(failure) => write_failure(failure, result),
        }
        Ok(())
    }

    pub(super) fn look_up(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let place = Place::read(arguments)?;
        let directory = place.directory.ok_or(Failure::BadHandle);
        match directory.and_then(|directory| self.tree.look_up(directory, place.name)) {
            Ok(found) => {
                found.attributes.handle().write(result.u32(0));
                write_after(Some(&found.attributes), result);
                write_after(None, result);
            }
            Err(failure) => {
                write_failure(failure, result);
                write_after(None, result);
            }
        }
        Ok(())
    }

    /// What the server's user may do, for that is who will do it.
    pub(super) fn access(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let (handle, asked) = (FileHandle::read(arguments)?, arguments.u32()?);
        with_attributes(self.find(handle), result, |found, result| {
            let directory = found.attributes.kind() == FileType::Directory;
            let allowed = RIGHTS.iter().filter(|(_, of_directory, of_file)| {
                let needed = if directory { *of_directory } else { *of_file };
                !needed.is_empty() && rustix::fs::accessat(CWD, found.path(), needed, AtFlags::EACCESS).is_ok()
            });
            result.u32(asked & allowed.fold(0, |bits, (bit, ..)| bits | bit));
            Ok(())
        });
        Ok(())
    }

    pub(super) fn read_link(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let handle = FileHandle::read(arguments)?;
        with_attributes(self.find(handle), result, |found, result| {
            if found.attributes.kind() != FileType::Symlink {
                return Err(Failure::Invalid);
            }
            let target = rustix::fs::readlinkat(found, "", Vec::with_capacity(LONGEST_TARGET))?;
            result.opaque(target.as_bytes());
            Ok(())
        });
        Ok(())
    }

    pub(super) fn read(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let (handle, offset, count) = (FileHandle::read(arguments)?, arguments.u64()?, arguments.u32()?);
        with_attributes(self.find(handle), result, |found, result| {
            let file = found.open(OFlags::RDONLY)?;
            let mut bytes = vec![0; count.min(LARGEST_TRANSFER) as usize];
            let mut length = 0;
            let mut ended = false;
            while length < bytes.len() && !ended {
                let place = offset.checked_add(length as u64).filter(|place| i64::try_from(*place).is_ok());
                // Beyond what a file can hold there is nothing to read.
                let read = match place {
                    Some(place) => rustix::io::pread(&file, &mut bytes[length..], place)?,
                    None => 0,
                };
                ended = read == 0;
                length += read;
            }
            bytes.truncate(length);
            let size = Attributes::of(file.as_fd())?.size();
            let ended = ended || offset.saturating_add(length as u64) >= size;
            result.u32(u32::try_from(length).unwrap_or_default()).bool(ended).opaque(&bytes);
            Ok(())
        });
        Ok(())
    }

    /// How large the file system is: FSSTAT.
    pub(super) fn space(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let handle = FileHandle::read(arguments)?;
        with_attributes(self.find(handle), result, |found, result| {
            let space = rustix::fs::fstatvfs(found)?;
            for blocks in [space.f_blocks, space.f_bfree, space.f_bavail] {
                result.u64(blocks.saturating_mul(space.f_frsize));
            }
            result.u64(space.f_files).u64(space.f_ffree).u64(space.f_favail);
            // For how many seconds this is true.
            result.u32(0);
            Ok(())
        });
        Ok(())
    }

    /// What this server can do: FSINFO.
    pub(super) fn limits(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        const HARD_LINKS: u32 = 1;
        const SYMBOLIC_LINKS: u32 = 2;
        const SAME_EVERYWHERE: u32 = 8;
        const SETS_TIMES: u32 = 16;
        let handle = FileHandle::read(arguments)?;
        with_attributes(self.find(handle), result, |_, result| {
            for _read_then_write in 0..2 {
                // At most, best, and a multiple of.
                result.u32(LARGEST_TRANSFER).u32(LARGEST_TRANSFER).u32(4096);
            }
            result.u32(super::directory::LARGEST_LIST).u64(i64::MAX.cast_unsigned());
            // Times are told to the nanosecond.
            result.u32(0).u32(1);
            result.u32(HARD_LINKS | SYMBOLIC_LINKS | SAME_EVERYWHERE | SETS_TIMES);
            Ok(())
        });
        Ok(())
    }

    /// What names may be: PATHCONF.
    pub(super) fn path_limits(&self, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Result<(), Malformed> {
        let handle = FileHandle::read(arguments)?;
        with_attributes(self.find(handle), result, |_, result| {
            // Links to a file; bytes of a name; too long ones are refused; owners are not given away; case matters, and stays.
            result.u32(32_000).u32(255).bool(true).bool(true).bool(false).bool(true);
            Ok(())
        });
        Ok(())
    }
}

/// A reply that tells the file's attributes, then what `work` writes; of a failure, only how it is called.
fn with_attributes(
    found: Result<Found, Failure>,
    result: &mut Encoder,
    work: impl FnOnce(&Found, &mut Encoder) -> Result<(), Failure>,
) {
    let mut more = Encoder::new();
    let done = found.and_then(|found| work(&found, &mut more).map(|()| found));
    match done {
        Ok(found) => {
            write_after(now(&found).as_ref(), result.u32(0));
            result.append(&more);
        }
        Err(failure) => {
            write_failure(failure, result);
            write_after(None, result);
        }
    }
}
