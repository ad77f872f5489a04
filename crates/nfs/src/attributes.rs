//! What is told about a file (`fattr3`), and what may be set (`sattr3`): RFC 1813, 2.5.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use crate::handle::FileHandle;
use crate::status::Failure;
use crate::xdr::{Decoder, Encoder, Malformed};

/// The bits of a mode that a client may set: not those that lend the owner's rights, who is the server's user.
pub(crate) const MODE: u32 = 0o777;

/// A file as the kernel describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes(Statx);

impl Attributes {
    pub(crate) fn of(file: impl AsFd) -> Result<Self, Failure> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        Ok(Self(rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, wanted)?))
    }

    pub(crate) fn handle(&self) -> FileHandle {
        let born = StatxFlags::from_bits_retain(self.0.stx_mask).contains(StatxFlags::BTIME);
        let born = if born { (self.0.stx_btime.tv_sec, self.0.stx_btime.tv_nsec) } else { (0, 0) };
        FileHandle { inode: self.0.stx_ino, born }
    }

    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(u32::from(self.0.stx_mode))
    }

    pub(crate) fn size(&self) -> u64 {
        self.0.stx_size
    }

    pub(crate) fn inode(&self) -> u64 {
        self.0.stx_ino
    }

    pub(crate) fn changed(&self) -> (u32, u32) {
        time(&self.0.stx_ctime)
    }

    /// The seconds of its two settable times: where an exclusive create leaves its mark.
    pub(crate) fn seconds(&self) -> (u32, u32) {
        (time(&self.0.stx_atime).0, time(&self.0.stx_mtime).0)
    }

    pub(crate) fn write(&self, encoder: &mut Encoder) {
        let kind = match self.kind() {
            FileType::Directory => 2,
            FileType::BlockDevice => 3,
            FileType::CharacterDevice => 4,
            FileType::Symlink => 5,
            FileType::Socket => 6,
            FileType::Fifo => 7,
            _ => 1,
        };
        let status = &self.0;
        encoder.u32(kind).u32(u32::from(status.stx_mode) & 0o7777).u32(status.stx_nlink);
        encoder.u32(status.stx_uid).u32(status.stx_gid).u64(status.stx_size).u64(status.stx_blocks * 512);
        encoder.u32(status.stx_rdev_major).u32(status.stx_rdev_minor);
        encoder.u64(u64::from(status.stx_dev_major) << 32 | u64::from(status.stx_dev_minor)).u64(status.stx_ino);
        for stamp in [&status.stx_atime, &status.stx_mtime, &status.stx_ctime] {
            write_time(time(stamp), encoder);
        }
    }

    /// What a client compares with what it knew: `wcc_attr`.
    fn write_before(&self, encoder: &mut Encoder) {
        encoder.u64(self.0.stx_size);
        write_time(time(&self.0.stx_mtime), encoder);
        write_time(time(&self.0.stx_ctime), encoder);
    }
}

/// Attributes that may be missing: `post_op_attr`.
pub(crate) fn write_after(attributes: Option<&Attributes>, encoder: &mut Encoder) {
    encoder.bool(attributes.is_some());
    if let Some(attributes) = attributes {
        attributes.write(encoder);
    }
}

/// A file before and after it was changed: `wcc_data`.
pub(crate) fn write_change(before: Option<&Attributes>, after: Option<&Attributes>, encoder: &mut Encoder) {
    encoder.bool(before.is_some());
    if let Some(before) = before {
        before.write_before(encoder);
    }
    write_after(after, encoder);
}

/// Version 3 counts seconds in 32 bits without a sign: until 2106.
fn time(stamp: &StatxTimestamp) -> (u32, u32) {
    (u32::try_from(stamp.tv_sec.max(0)).unwrap_or(u32::MAX), stamp.tv_nsec)
}

fn write_time((seconds, nanoseconds): (u32, u32), encoder: &mut Encoder) {
    encoder.u32(seconds).u32(nanoseconds);
}

/// What a client wants to be set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) size: Option<u64>,
    pub(crate) accessed: Option<Timespec>,
    pub(crate) modified: Option<Timespec>,
}

impl Wanted {
    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            mode: decoder.optional(Decoder::u32)?.map(|mode| mode & MODE),
            owner: decoder.optional(Decoder::u32)?,
            group: decoder.optional(Decoder::u32)?,
            size: decoder.optional(Decoder::u64)?,
            accessed: read_time(decoder)?,
            modified: read_time(decoder)?,
        })
    }

    /// A new file that bears a client's mark in its times, and that nobody else can use until its mode is set.
    pub(crate) fn marked([accessed, modified]: [u32; 2]) -> Self {
        let seconds = |seconds: u32| Some(Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 });
        Self { mode: Some(0o600), accessed: seconds(accessed), modified: seconds(modified), ..Self::default() }
    }

    /// The times to set, if any.
    pub(crate) fn times(&self) -> Option<Timestamps> {
        let omitted = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        (self.accessed.is_some() || self.modified.is_some()).then(|| Timestamps {
            last_access: self.accessed.unwrap_or(omitted),
            last_modification: self.modified.unwrap_or(omitted),
        })
    }
}

/// A time to set: none, the server's own, or this one.
fn read_time(decoder: &mut Decoder<'_>) -> Result<Option<Timespec>, Malformed> {
    match decoder.u32()? {
        0 => Ok(None),
        1 => Ok(Some(Timespec { tv_sec: 0, tv_nsec: UTIME_NOW })),
        2 => {
            let (seconds, nanoseconds) = (decoder.u32()?, decoder.u32()?);
            // More would be read as one of the two marks.
            if nanoseconds >= 1_000_000_000 {
                return Err(Malformed);
            }
            Ok(Some(Timespec { tv_sec: i64::from(seconds), tv_nsec: nanoseconds.into() }))
        }
        _ => Err(Malformed),
    }
}
