//! One request of the kernel, one call of the server (now and then two).

use rustix::io::Errno;

use super::attributes::{Attributes, wanted, with_mode};
use super::protocol::{Answer, Arguments, LARGEST_WRITE};
use super::{Bridge, BridgeError};
use crate::procedures::{LARGEST_TRANSFER, LONGEST_TARGET};
use crate::xdr::{Decoder, Encoder, Malformed};

/// What the answers to most calls begin or end with, and nobody here needs.
fn skip_attributes(answer: &mut Decoder<'_>) -> Result<(), Malformed> {
    answer.optional(Attributes::read).map(drop)
}

/// A call that names a file.
fn about(handle: &[u8]) -> Encoder {
    let mut call = Encoder::new();
    call.opaque(handle);
    call
}

impl Bridge {
    fn handle(&self, node: u64) -> Result<Vec<u8>, BridgeError> {
        Ok(self.nodes.handle(node)?.to_vec())
    }

    /// Tells the kernel of a file: its number and its attributes.
    fn tell(
        &mut self,
        handle: Vec<u8>,
        attributes: Option<Attributes>,
        answer: &mut Answer,
    ) -> Result<(), BridgeError> {
        let attributes = match attributes {
            Some(attributes) => attributes,
            None => self.client.nfs(1, &about(&handle), Attributes::read)?,
        };
        answer.u64(self.nodes.tell(handle)).u64(0);
        answer.valid().valid().u32(0).u32(0);
        attributes.write(answer);
        Ok(())
    }

    pub(super) fn look_up(
        &mut self,
        parent: u64,
        arguments: &mut Arguments<'_>,
        answer: &mut Answer,
    ) -> Result<(), BridgeError> {
        let mut call = about(&self.handle(parent)?);
        call.opaque(arguments.name()?);
        let (handle, attributes) =
            self.client.nfs(3, &call, |found| Ok((found.opaque(64)?.to_vec(), found.optional(Attributes::read)?)))?;
        self.tell(handle, attributes, answer)
    }

    pub(super) fn attributes(&mut self, node: u64, answer: &mut Answer) -> Result<(), BridgeError> {
        let attributes = self.client.nfs(1, &about(&self.handle(node)?), Attributes::read)?;
        answer.valid().u32(0).u32(0);
        attributes.write(answer);
        Ok(())
    }

    pub(super) fn set_attributes(
        &mut self,
        node: u64,
        arguments: &mut Arguments<'_>,
        answer: &mut Answer,
    ) -> Result<(), BridgeError> {
        let mut call = about(&self.handle(node)?);
        wanted(arguments, &mut call)?.ok_or(Errno::PERM)?;
        call.bool(false);
        self.client.nfs(2, &call, |_| Ok(()))?;
        self.attributes(node, answer)
    }

    pub(super) fn read_link(&mut self, node: u64, answer: &mut Answer) -> Result<(), BridgeError> {
        let target = self.client.nfs(5, &about(&self.handle(node)?), |link| {
            skip_attributes(link)?;
            Ok(link.opaque(LONGEST_TARGET)?.to_vec())
        })?;
        answer.raw(&target);
        Ok(())
    }

    /// A procedure that makes something answers with its handle, if it wants to, and its attributes.
    fn make(&mut self, procedure: u32, call: &Encoder, answer: &mut Answer) -> Result<(), BridgeError> {
        let (handle, attributes) = self.client.nfs(procedure, call, |made| {
            Ok((made.optional(|made| Ok(made.opaque(64)?.to_vec()))?, made.optional(Attributes::read)?))
        })?;
        self.tell(handle.ok_or(Errno::IO)?, attributes, answer)
    }

    pub(super) fn make_link(
        &mut self,
        parent: u64,
        arguments: &mut Arguments<'_>,
        answer: &mut Answer,
    ) -> Result<(), BridgeError> {
        let mut call = about(&self.handle(parent)?);
        call.opaque(arguments.name()?);
        with_mode(0o777, &mut call);
        call.opaque(arguments.name()?);
        self.make(10, &call, answer)
    }

    pub(super) fn make_directory(
        &mut self,
        parent: u64,
        arguments: &mut Arguments<'_>,
        answer: &mut Answer,
    ) -> Result<(), BridgeError> {
        let (mode, _umask) = (arguments.u32()?, arguments.u32()?);
        let mut call = about(&self.handle(parent)?);
        call.opaque(arguments.name()?);
        with_mode(mode, &mut call);
        self.make(9, &call, answer)
    }

    pub(super) fn create(
        &mut self,
        parent: u64,
        arguments: &mut Arguments<'_>,
        answer: &mut Answer,
    ) -> Result<(), BridgeError> {
        let (flags, mode, _umask, _) = (arguments.u32()?, arguments.u32()?, arguments.u32()?, arguments.u32()?);
        // O_EXCL: it must be new. The number is the same on all machines that this runs on.
        let exclusive = flags & 0o200 != 0;
        let mut call = about(&self.handle(parent)?);
        call.opaque(arguments.name()?).u32(u32::from(exclusive));
        with_mode(mode, &mut call);
        self.make(8, &call, answer)?;
        // And it is open, with no number and no wish.
        answer.u64(0).u32(0).u32(0);
        Ok(())
    }

    /// Removes a file (12) or a directory (13).
    pub(super) fn remove(
        &mut self,
        parent: u64,
        arguments: &mut Arguments<'_>,
        procedure: u32,
    ) -> Result<(), BridgeError> {
        let mut call = about(&self.handle(parent)?);
        call.opaque(arguments.name()?);
        Ok(self.client.nfs(procedure, &call, |_| Ok(()))?)
    }

    pub(super) fn rename(&mut self, parent: u64, arguments: &mut Arguments<'_>) -> Result<(), BridgeError> {
        let target = arguments.u64()?;
        let mut call = about(&self.handle(parent)?);
        call.opaque(arguments.name()?).opaque(&self.handle(target)?).opaque(arguments.name()?);
        Ok(self.client.nfs(14, &call, |_| Ok(()))?)
    }

    pub(super) fn link(
        &mut self,
        parent: u64,
        arguments: &mut Arguments<'_>,
        answer: &mut Answer,
    ) -> Result<(), BridgeError> {
        let file = self.handle(arguments.u64()?)?;
        let mut call = about(&file);
        call.opaque(&self.handle(parent)?).opaque(arguments.name()?);
        self.client.nfs(15, &call, |_| Ok(()))?;
        self.tell(file, None, answer)
    }

    pub(super) fn read(
        &mut self,
        node: u64,
        arguments: &mut Arguments<'_>,
        answer: &mut Answer,
    ) -> Result<(), BridgeError> {
        let (_file, mut offset, wanted) = (arguments.u64()?, arguments.u64()?, arguments.u32()?);
        let (handle, wanted) = (self.handle(node)?, wanted.min(LARGEST_TRANSFER) as usize);
        // Less than was asked for means the end to the kernel; a server may send less for reasons of its own.
        while answer.0.len() < wanted {
            let mut call = about(&handle);
            call.u64(offset).u32(u32::try_from(wanted - answer.0.len()).unwrap_or_default());
            let (bytes, ended) = self.client.nfs(6, &call, |read| {
                skip_attributes(read)?;
                let (_count, ended) = (read.u32()?, read.bool()?);
                Ok((read.opaque(wanted - answer.0.len())?.to_vec(), ended))
            })?;
            offset += bytes.len() as u64;
            answer.raw(&bytes);
            if ended || bytes.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// What is confirmed here is on the server's disk: the kernel keeps nothing that it could send again.
    pub(super) fn write(
        &mut self,
        node: u64,
        arguments: &mut Arguments<'_>,
        answer: &mut Answer,
    ) -> Result<(), BridgeError> {
        const ON_THE_DISK: u32 = 1;
        let (_file, offset, length) = (arguments.u64()?, arguments.u64()?, arguments.u32()?);
        // How, and for whose lock.
        arguments.skip(20)?;
        let bytes = arguments.bytes(length.min(LARGEST_WRITE))?;
        let mut call = about(&self.handle(node)?);
        call.u64(offset).u32(length).u32(ON_THE_DISK).opaque(bytes);
        let written = self.client.nfs(7, &call, |written| {
            // What the file was before: its size and two times.
            written.optional(|before| before.fixed(24).map(drop))?;
            skip_attributes(written)?;
            written.u32()
        })?;
        answer.u32(written.min(length)).u32(0);
        Ok(())
    }

    pub(super) fn commit(&mut self, node: u64) -> Result<(), BridgeError> {
        let mut call = about(&self.handle(node)?);
        call.u64(0).u32(0);
        match self.client.nfs(21, &call, |_| Ok(())) {
            // A directory is written when it is changed.
            Err(crate::client::ClientError::Failed(21 | 22)) => Ok(()),
            done => Ok(done?),
        }
    }

    /// Names from a place on: the places are the server's.
    pub(super) fn list(
        &mut self,
        node: u64,
        arguments: &mut Arguments<'_>,
        answer: &mut Answer,
    ) -> Result<(), BridgeError> {
        let (_file, place, room) = (arguments.u64()?, arguments.u64()?, arguments.u32()? as usize);
        let mut call = about(&self.handle(node)?);
        // The kernel's form of an entry is not longer than the server's, but what is around the list is less.
        call.u64(place).fixed(&[0; 8]).u32(u32::try_from(room.max(1024)).unwrap_or(u32::MAX));
        self.client.nfs(16, &call, |list| {
            skip_attributes(list)?;
            list.fixed(8)?;
            while list.bool()? {
                let (inode, name, next) = (list.u64()?, list.opaque(255)?, list.u64()?);
                let length = (24 + name.len()).next_multiple_of(8);
                if answer.0.len() + length > room {
                    break;
                }
                answer.u64(inode).u64(next).u32(u32::try_from(name.len()).unwrap_or_default());
                // Which kind it is, is not said.
                answer.u32(0).raw(name).raw(&[0; 8][..length - 24 - name.len()]);
            }
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn space(&mut self, node: u64, answer: &mut Answer) -> Result<(), BridgeError> {
        const BLOCK: u32 = 4096;
        let numbers = self.client.nfs(18, &about(&self.handle(node)?), |space| {
            skip_attributes(space)?;
            (0..6).map(|_| space.u64()).collect::<Result<Vec<_>, _>>()
        })?;
        for bytes in &numbers[..3] {
            answer.u64(bytes / u64::from(BLOCK));
        }
        answer.u64(numbers[3]).u64(numbers[4]).u32(BLOCK).u32(255).u32(BLOCK).u32(0).raw(&[0; 24]);
        Ok(())
    }
}
