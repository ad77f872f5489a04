//! The program itself, version 3: RFC 1813, 3.3.
//!
//! Each procedure first reads all of its arguments, then does its work, then writes how it went. What is `None` in a reply is
//! something that the client has to ask for again.

mod change;
mod directory;
mod look;
mod make;

use rustix::fs::FileType;

use crate::attributes::Attributes;
use crate::handle::FileHandle;
use crate::rpc::Accepted;
use crate::service::Outcome;
use crate::status::Failure;
use crate::tree::{Found, Tree};
use crate::xdr::{Decoder, Encoder, Malformed};

pub(crate) const PROGRAM: u32 = 100_003;
pub(crate) const VERSION: u32 = 3;

/// The most that one call reads or writes.
pub(crate) const LARGEST_TRANSFER: u32 = 256 << 10;
/// The longest name that is read; which names are too long for a file is the file system's to say.
const LONGEST_NAME: usize = 1024;
/// The longest target of a link.
pub(crate) const LONGEST_TARGET: usize = 4095;

/// The exported tree, and what says to clients that a server was started anew: what it had not confirmed to be on the disk
/// is sent again.
#[derive(Debug)]
pub(crate) struct Nfs {
    pub(crate) tree: Tree,
    verifier: [u8; 8],
}

/// A name in a directory: `diropargs3`.
struct Place<'a> {
    directory: Option<FileHandle>,
    name: &'a [u8],
}

impl<'a> Place<'a> {
    fn read(arguments: &mut Decoder<'a>) -> Result<Self, Malformed> {
        Ok(Self { directory: FileHandle::read(arguments)?, name: arguments.opaque(LONGEST_NAME)? })
    }
}

impl Nfs {
    pub(crate) fn new(tree: Tree) -> Self {
        let mut verifier = [0; 8];
        // So few bytes come whole, and never fail once the machine is up.
        let _ = rustix::rand::getrandom(&mut verifier, rustix::rand::GetRandomFlags::empty());
        Self { tree, verifier }
    }

    pub(crate) fn run(&self, procedure: u32, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Outcome {
        match procedure {
            0 => {}
            1 => self.get_attributes(arguments, result)?,
            2 => self.set_attributes(arguments, result)?,
            3 => self.look_up(arguments, result)?,
            4 => self.access(arguments, result)?,
            5 => self.read_link(arguments, result)?,
            6 => self.read(arguments, result)?,
            7 => self.write(arguments, result)?,
            8 => self.create(arguments, result)?,
            9 => self.make_directory(arguments, result)?,
            10 => self.make_link(arguments, result)?,
            11 => self.make_node(arguments, result)?,
            12 => self.remove(arguments, result, false)?,
            13 => self.remove(arguments, result, true)?,
            14 => self.rename(arguments, result)?,
            15 => self.link(arguments, result)?,
            16 => self.list(arguments, result, directory::Form::Names)?,
            17 => self.list(arguments, result, directory::Form::WithAttributes)?,
            18 => self.space(arguments, result)?,
            19 => self.limits(arguments, result)?,
            20 => self.path_limits(arguments, result)?,
            21 => self.commit(arguments, result)?,
            _ => return Ok(Accepted::ProcedureUnavailable),
        }
        Ok(Accepted::Success)
    }

    /// The file of a handle that arrived.
    fn find(&self, handle: Option<FileHandle>) -> Result<Found, Failure> {
        self.tree.find(handle.ok_or(Failure::BadHandle)?)
    }

    fn directory(&self, handle: Option<FileHandle>) -> Result<Found, Failure> {
        let found = self.find(handle)?;
        match found.attributes.kind() {
            FileType::Directory => Ok(found),
            _ => Err(Failure::NotDirectory),
        }
    }
}

/// Writes the number of a failure, and nothing more: what each procedure adds to it is for it to write.
fn write_failure(failure: Failure, result: &mut Encoder) {
    result.u32(failure as u32);
}

/// The attributes of a file as they are now.
fn now(file: &Found) -> Option<Attributes> {
    Attributes::of(file).ok()
}
