//! What is in a directory: READDIR and READDIRPLUS.

use rustix::fs::{OFlags, RawDir, SeekFrom};

use super::{Nfs, now, write_failure};
use crate::attributes::write_after;
use crate::handle::FileHandle;
use crate::status::Failure;
use crate::tree::Found;
use crate::xdr::{Decoder, Encoder, Malformed};

/// The longest list that is sent.
pub(super) const LARGEST_LIST: u32 = 64 << 10;
/// What is said around the entries of a list.
const AROUND: usize = 256;

/// How much is said of each name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Names,
    WithAttributes,
}

impl Nfs {
    pub(super) fn list(&self, arguments: &mut Decoder<'_>, result: &mut Encoder, form: Form) -> Result<(), Malformed> {
        let (handle, cookie) = (FileHandle::read(arguments)?, arguments.u64()?);
        // It says whether places in a list are still true. Ours are the file system's own, and are.
        let _verifier = arguments.fixed(8)?;
        if form == Form::WithAttributes {
            let _only_names = arguments.u32()?;
        }
        let most = arguments.u32()?.min(LARGEST_LIST) as usize;
        let directory = self.directory(handle);
        let listed = directory.and_then(|directory| {
            let list = self.entries(&directory, cookie, most, form)?;
            Ok((directory, list))
        });
        match listed {
            Ok((directory, list)) => {
                write_after(now(&directory).as_ref(), result.u32(0));
                result.fixed(&[0; 8]).append(&list);
            }
            Err(failure) => {
                write_failure(failure, result);
                write_after(None, result);
            }
        }
        Ok(())
    }

    /// The entries from a place on, as many as there is room for, and whether they are the last.
    fn entries(&self, directory: &Found, cookie: u64, most: usize, form: Form) -> Result<Encoder, Failure> {
        let open = directory.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
        if cookie != 0 {
            if i64::try_from(cookie).is_err() {
                return Err(Failure::BadCookie);
            }
            rustix::fs::seek(&open, SeekFrom::Start(cookie)).map_err(|_| Failure::BadCookie)?;
        }
        let mut buffer = Vec::with_capacity(16 << 10);
        let mut entries = RawDir::new(open, buffer.spare_capacity_mut());
        let mut list = Encoder::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let mut one = Encoder::new();
            let (name, next) = (entry.file_name().to_bytes(), entry.next_entry_cookie());
            let found = self.of_entry(directory, name);
            let inode = found.as_ref().map_or(entry.ino(), |found| found.attributes.inode());
            one.bool(true).u64(inode).opaque(name).u64(next);
            if form == Form::WithAttributes {
                write_after(found.as_ref().map(|found| &found.attributes), &mut one);
                one.bool(found.is_some());
                if let Some(found) = &found {
                    found.attributes.handle().write(&mut one);
                }
            }
            if list.len() + one.len() + AROUND > most {
                return if list.is_empty() { Err(Failure::TooSmall) } else { Ok(ended(list, false)) };
            }
            list.append(&one);
        }
        Ok(ended(list, true))
    }

    /// The file of an entry; nothing above the exported directory is one.
    fn of_entry(&self, directory: &Found, name: &[u8]) -> Option<Found> {
        let handle = directory.attributes.handle();
        match name {
            b"." => self.tree.find(handle).ok(),
            b".." => self.tree.find(self.tree.parent(handle)).ok(),
            name => self.tree.child(directory, handle, name).ok(),
        }
    }
}

fn ended(mut list: Encoder, last: bool) -> Encoder {
    list.bool(false).bool(last);
    list
}
