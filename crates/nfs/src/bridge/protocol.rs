//! What the kernel asks of a file system in user space, and what it takes for an answer (linux/fuse.h, version 7.31).
//!
//! Numbers are in the machine's own order. A request is a head and the arguments of its operation; a reply is a head and the
//! result, or a negative error number.

use crate::xdr::Malformed;

/// The version that is spoken; newer kernels speak it, too.
pub(super) const MAJOR: u32 = 7;
pub(super) const MINOR: u32 = 31;
/// The root directory.
pub(super) const ROOT: u64 = 1;
/// The most that one request writes; more than this, and what is said around it, is never read.
pub(super) const LARGEST_WRITE: u32 = 128 << 10;
pub(super) const LARGEST_REQUEST: usize = LARGEST_WRITE as usize + 4096;

/// For how many seconds the kernel need not ask again.
const VALID: u64 = 1;

pub(super) mod operation {
    pub(in super::super) const LOOKUP: u32 = 1;
    pub(in super::super) const FORGET: u32 = 2;
    pub(in super::super) const GETATTR: u32 = 3;
    pub(in super::super) const SETATTR: u32 = 4;
    pub(in super::super) const READLINK: u32 = 5;
    pub(in super::super) const SYMLINK: u32 = 6;
    pub(in super::super) const MKDIR: u32 = 9;
    pub(in super::super) const UNLINK: u32 = 10;
    pub(in super::super) const RMDIR: u32 = 11;
    pub(in super::super) const RENAME: u32 = 12;
    pub(in super::super) const LINK: u32 = 13;
    pub(in super::super) const OPEN: u32 = 14;
    pub(in super::super) const READ: u32 = 15;
    pub(in super::super) const WRITE: u32 = 16;
    pub(in super::super) const STATFS: u32 = 17;
    pub(in super::super) const RELEASE: u32 = 18;
    pub(in super::super) const FSYNC: u32 = 20;
    pub(in super::super) const FLUSH: u32 = 25;
    pub(in super::super) const INIT: u32 = 26;
    pub(in super::super) const OPENDIR: u32 = 27;
    pub(in super::super) const READDIR: u32 = 28;
    pub(in super::super) const RELEASEDIR: u32 = 29;
    pub(in super::super) const FSYNCDIR: u32 = 30;
    pub(in super::super) const CREATE: u32 = 35;
    pub(in super::super) const INTERRUPT: u32 = 36;
    pub(in super::super) const DESTROY: u32 = 38;
    pub(in super::super) const BATCH_FORGET: u32 = 42;
}

/// A request, without its arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) operation: u32,
    /// Repeated in the reply.
    pub(super) unique: u64,
    pub(super) node: u64,
}

/// Reads the arguments of a request.
#[derive(Debug)]
pub(super) struct Arguments<'a>(&'a [u8]);

impl Request {
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, Arguments<'_>), Malformed> {
        let mut head = Arguments(bytes);
        let _length = head.u32()?;
        let request = Self { operation: head.u32()?, unique: head.u64()?, node: head.u64()? };
        // Who asks: the server does everything as its own user.
        head.skip(16)?;
        Ok((request, head))
    }
}

impl<'a> Arguments<'a> {
    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u32::from_ne_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u64::from_ne_bytes(*bytes))
    }

    pub(super) fn skip(&mut self, length: usize) -> Result<(), Malformed> {
        self.0 = self.0.get(length..).ok_or(Malformed)?;
        Ok(())
    }

    /// A name, which ends with a zero.
    pub(super) fn name(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
        let (name, rest) = (&self.0[..end], &self.0[end + 1..]);
        self.0 = rest;
        Ok(name)
    }

    pub(super) fn bytes(&mut self, length: u32) -> Result<&'a [u8], Malformed> {
        self.0.get(..length as usize).ok_or(Malformed)
    }
}

/// Writes the result of a request.
#[derive(Debug, Default)]
pub(super) struct Answer(pub(super) Vec<u8>);

impl Answer {
    pub(super) fn u16(&mut self, number: u16) -> &mut Self {
        self.raw(&number.to_ne_bytes())
    }

    pub(super) fn u32(&mut self, number: u32) -> &mut Self {
        self.raw(&number.to_ne_bytes())
    }

    pub(super) fn u64(&mut self, number: u64) -> &mut Self {
        self.raw(&number.to_ne_bytes())
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// For how long what follows is true.
    pub(super) fn valid(&mut self) -> &mut Self {
        self.u64(VALID)
    }

    /// The whole reply: with the result, or with an error number.
    pub(super) fn reply(self, unique: u64, error: Option<i32>) -> Vec<u8> {
        let result = if error.is_some() { Vec::new() } else { self.0 };
        let mut reply = Answer::default();
        let length = u32::try_from(16 + result.len()).unwrap_or(u32::MAX);
        reply.u32(length).raw(&(-error.unwrap_or(0)).to_ne_bytes()).u64(unique).raw(&result);
        reply.0
    }
}
