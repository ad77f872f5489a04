//! Attributes, from the server's form to the kernel's.

use super::protocol::{Answer, Arguments};
use crate::xdr::{Decoder, Encoder, Malformed};

/// `fattr3`, as far as the kernel wants it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    mode: u32,
    links: u32,
    size: u64,
    used: u64,
    pub(super) inode: u64,
    times: [(u32, u32); 3],
}

impl Attributes {
    pub(super) fn read(answer: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let kind = match answer.u32()? {
            1 => 0o100_000,
            2 => 0o040_000,
            3 => 0o060_000,
            4 => 0o020_000,
            5 => 0o120_000,
            6 => 0o140_000,
            7 => 0o010_000,
            _ => return Err(Malformed),
        };
        let (mode, links, _owner, _group) = (answer.u32()?, answer.u32()?, answer.u32()?, answer.u32()?);
        let (size, used, _device, _file_system) = (answer.u64()?, answer.u64()?, answer.u64()?, answer.u64()?);
        let inode = answer.u64()?;
        let mut time = || Ok((answer.u32()?, answer.u32()?));
        let times = [time()?, time()?, time()?];
        Ok(Self { mode: kind | mode & 0o7777, links, size, used, inode, times })
    }

    pub(super) fn write(&self, answer: &mut Answer) {
        answer.u64(self.inode).u64(self.size).u64(self.used.div_ceil(512));
        for (seconds, _) in self.times {
            answer.u64(u64::from(seconds));
        }
        for (_, nanoseconds) in self.times {
            answer.u32(nanoseconds);
        }
        // The owner and the group are root's; no device; blocks of the size that is best to read.
        answer.u32(self.mode).u32(self.links).u32(0).u32(0).u32(0).u32(4096).u32(0);
    }
}

/// From the kernel's wishes (`fuse_setattr_in`) to the server's (`sattr3`). `None`: an owner that is not root.
pub(super) fn wanted(arguments: &mut Arguments<'_>, call: &mut Encoder) -> Result<Option<()>, Malformed> {
    const MODE: u32 = 1;
    const OWNER: u32 = 2;
    const GROUP: u32 = 4;
    const SIZE: u32 = 8;
    const TIMES: [(u32, u32); 2] = [(1 << 4, 1 << 7), (1 << 5, 1 << 8)];
    let valid = arguments.u32()?;
    let (_padding, _file, size, _lock) = (arguments.u32()?, arguments.u64()?, arguments.u64()?, arguments.u64()?);
    let seconds = [arguments.u64()?, arguments.u64()?, arguments.u64()?];
    let nanoseconds = [arguments.u32()?, arguments.u32()?, arguments.u32()?];
    let (mode, _unused, owner, group) = (arguments.u32()?, arguments.u32()?, arguments.u32()?, arguments.u32()?);
    if (valid & OWNER != 0 && owner != 0) || (valid & GROUP != 0 && group != 0) {
        return Ok(None);
    }
    call.bool(valid & MODE != 0);
    if valid & MODE != 0 {
        call.u32(mode & 0o7777);
    }
    call.bool(false).bool(false).bool(valid & SIZE != 0);
    if valid & SIZE != 0 {
        call.u64(size);
    }
    for (index, (given, now)) in TIMES.into_iter().enumerate() {
        match valid {
            valid if valid & now != 0 => call.u32(1),
            valid if valid & given != 0 => {
                let seconds = u32::try_from(seconds[index]).unwrap_or_default();
                call.u32(2).u32(seconds).u32(nanoseconds[index])
            }
            _ => call.u32(0),
        };
    }
    Ok(Some(()))
}

/// Only a mode.
pub(super) fn with_mode(mode: u32, call: &mut Encoder) {
    call.bool(true).u32(mode & 0o7777).bool(false).bool(false).bool(false).u32(0).u32(0);
}
