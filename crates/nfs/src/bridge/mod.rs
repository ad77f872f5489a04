//! A file server for kernels without a client of their own: the kernel asks us (fuse(4)), and we ask the server.
//!
//! Nearly every question of the kernel is one procedure of the server, which is no accident: both stand between the same
//! system calls and a file system somewhere else. What is different are the names of things: a file is a number to the
//! kernel, which it counts its uses of, and a handle to the server.
//!
//! One request at a time: while the server is away everything waits, as with the kernel's own client. All files belong to
//! root here, whoever has them at the server, where ids mean others.

mod attributes;
mod files;
mod protocol;

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::client::{Client, ClientError};
use protocol::{Answer, Arguments, LARGEST_REQUEST, LARGEST_WRITE, MAJOR, MINOR, ROOT, Request, operation};

/// The files that the kernel knows, by its numbers.
#[derive(Debug, Default)]
struct Nodes {
    known: HashMap<u64, Node>,
    numbers: HashMap<Vec<u8>, u64>,
    last: u64,
}

#[derive(Debug)]
struct Node {
    handle: Vec<u8>,
    /// How often the kernel was told of it, less what it has forgotten.
    uses: u64,
}

impl Nodes {
    fn handle(&self, node: u64) -> Result<&[u8], Errno> {
        self.known.get(&node).map(|node| node.handle.as_slice()).ok_or(Errno::STALE)
    }

    /// The number of a file that the kernel is told of once more.
    fn tell(&mut self, handle: Vec<u8>) -> u64 {
        let number = *self.numbers.entry(handle.clone()).or_insert_with(|| {
            self.last += 1;
            self.last
        });
        self.known.entry(number).or_insert(Node { handle, uses: 0 }).uses += 1;
        number
    }

    fn forget(&mut self, number: u64, uses: u64) {
        let Some(node) = self.known.get_mut(&number).filter(|_| number != ROOT) else { return };
        node.uses = node.uses.saturating_sub(uses);
        if node.uses == 0
            && let Some(node) = self.known.remove(&number)
        {
            self.numbers.remove(&node.handle);
        }
    }
}

/// Between a mount and a server.
#[derive(Debug)]
pub struct Bridge {
    client: Client,
    nodes: Nodes,
}

impl Bridge {
    /// A bridge to an export, whose handle is the root.
    #[must_use]
    pub fn new(client: Client, root: Vec<u8>) -> Self {
        let mut nodes = Nodes::default();
        nodes.tell(root);
        Self { client, nodes }
    }

    /// Serves the kernel until the mount is gone. `device` is `/dev/fuse`, with which it was mounted.
    ///
    /// # Errors
    ///
    /// When the device fails.
    pub fn serve(&mut self, device: &OwnedFd) -> std::io::Result<()> {
        let mut buffer = vec![0; LARGEST_REQUEST];
        loop {
            let length = match rustix::io::read(device, &mut buffer) {
                Ok(length) => length,
                // It was unmounted.
                Err(Errno::NODEV) => return Ok(()),
                // Who asked does not want it any more.
                Err(Errno::NOENT | Errno::INTR | Errno::AGAIN) => continue,
                Err(errno) => return Err(errno.into()),
            };
            if let Some(reply) = self.answer(&buffer[..length]) {
                match rustix::io::write(device, &reply) {
                    // Who asked was ended meanwhile; or the mount is gone, as the next read says.
                    Ok(_) | Err(Errno::NOENT | Errno::NODEV | Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
    }

    /// The reply to a request, if it wants one.
    fn answer(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (request, mut arguments) = Request::read(bytes).ok()?;
        match request.operation {
            operation::FORGET => {
                self.nodes.forget(request.node, arguments.u64().ok()?);
                return None;
            }
            operation::BATCH_FORGET => {
                let (count, _) = (arguments.u32().ok()?, arguments.u32().ok()?);
                for _ in 0..count {
                    self.nodes.forget(arguments.u64().ok()?, arguments.u64().ok()?);
                }
                return None;
            }
            operation::INTERRUPT | operation::DESTROY => return None,
            _ => {}
        }
        let mut answer = Answer::default();
        let result = self.run(request, &mut arguments, &mut answer);
        Some(answer.reply(request.unique, result.err().map(Errno::raw_os_error)))
    }

    fn run(&mut self, request: Request, arguments: &mut Arguments<'_>, answer: &mut Answer) -> Result<(), Errno> {
        let node = request.node;
        match request.operation {
            operation::INIT => return greet(arguments, answer),
            operation::LOOKUP => self.look_up(node, arguments, answer),
            operation::GETATTR => self.attributes(node, answer),
            operation::SETATTR => self.set_attributes(node, arguments, answer),
            operation::READLINK => self.read_link(node, answer),
            operation::SYMLINK => self.make_link(node, arguments, answer),
            operation::MKDIR => self.make_directory(node, arguments, answer),
            operation::UNLINK => self.remove(node, arguments, 12),
            operation::RMDIR => self.remove(node, arguments, 13),
            operation::RENAME => self.rename(node, arguments),
            operation::LINK => self.link(node, arguments, answer),
            operation::CREATE => self.create(node, arguments, answer),
            operation::READ => self.read(node, arguments, answer),
            operation::WRITE => self.write(node, arguments, answer),
            operation::READDIR => self.list(node, arguments, answer),
            operation::STATFS => self.space(node, answer),
            operation::FSYNC | operation::FSYNCDIR => self.commit(node),
            operation::OPEN | operation::OPENDIR => {
                // No number of ours, and no wish: what is read is true for as long as the attributes are.
                answer.u64(0).u32(0).u32(0);
                Ok(())
            }
            // What is written has been written already.
            operation::RELEASE | operation::RELEASEDIR | operation::FLUSH => Ok(()),
            // The kernel does not ask again.
            _ => return Err(Errno::NOSYS),
        }
        .map_err(|error| errno(&error))
    }
}

/// What both sides can: nothing beyond the beginning of the protocol is asked for.
fn greet(arguments: &mut Arguments<'_>, answer: &mut Answer) -> Result<(), Errno> {
    let mut fields = || -> Result<(u32, u32), crate::xdr::Malformed> {
        let (major, _minor) = (arguments.u32()?, arguments.u32()?);
        Ok((major, arguments.u32()?))
    };
    let (major, read_ahead) = fields().map_err(|_| Errno::PROTO)?;
    if major < MAJOR {
        return Err(Errno::PROTO);
    }
    answer.u32(MAJOR).u32(MINOR).u32(read_ahead).u32(0).u16(0).u16(0).u32(LARGEST_WRITE).u32(1);
    answer.u16(0).u16(0).raw(&[0; 32]);
    Ok(())
}

/// Why the kernel's caller does not get what it wants.
#[derive(Debug, thiserror::Error)]
enum BridgeError {
    #[error("{0}")]
    Server(#[from] ClientError),
    #[error("{0}")]
    Kernel(#[from] crate::xdr::Malformed),
    #[error("{0}")]
    Known(#[from] Errno),
}

/// Most failures of the protocol have the number that they have on Linux.
fn errno(error: &BridgeError) -> Errno {
    match error {
        BridgeError::Known(errno) => *errno,
        BridgeError::Kernel(_) | BridgeError::Server(ClientError::Garbage) => Errno::IO,
        BridgeError::Server(ClientError::Away(_)) => Errno::TIMEDOUT,
        BridgeError::Server(ClientError::Failed(failure)) => match failure {
            63 => Errno::NAMETOOLONG,
            66 => Errno::NOTEMPTY,
            69 => Errno::DQUOT,
            70 | 10001 => Errno::STALE,
            10003 => Errno::INVAL,
            10004 => Errno::OPNOTSUPP,
            number @ 1..=31 => i32::try_from(*number).map_or(Errno::IO, Errno::from_raw_os_error),
            _ => Errno::IO,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::service::Service;

    /// A bridge to a server of a folder, as the kernel meets it, without the kernel.
    fn bridge(folder: &std::path::Path) -> Bridge {
        let service = Arc::new(Service::new("/exports", folder).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = Client::new(listener.local_addr().unwrap());
        std::thread::spawn(move || crate::serve(&listener, &service));
        let root = client.mount("/exports").unwrap();
        Bridge::new(client, root)
    }

    fn request(operation: u32, node: u64, arguments: &[u8]) -> Vec<u8> {
        let mut request = Answer::default();
        let length = u32::try_from(40 + arguments.len()).unwrap();
        request.u32(length).u32(operation).u64(7).u64(node).raw(&[0; 16]).raw(arguments);
        request.0
    }

    /// The error number of a reply, and its result.
    fn ask(bridge: &mut Bridge, operation: u32, node: u64, arguments: &[u8]) -> (i32, Vec<u8>) {
        let reply = bridge.answer(&request(operation, node, arguments)).unwrap();
        assert_eq!(u32::from_ne_bytes(reply[..4].try_into().unwrap()) as usize, reply.len());
        (-i32::from_ne_bytes(reply[4..8].try_into().unwrap()), reply[16..].to_vec())
    }

    #[test]
    fn a_file_has_a_number_for_as_long_as_the_kernel_knows_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "words").unwrap();
        let mut bridge = bridge(folder.path());
        let number = |answer: &[u8]| u64::from_ne_bytes(answer[..8].try_into().unwrap());
        let (error, found) = ask(&mut bridge, operation::LOOKUP, ROOT, b"file\0");
        assert_eq!((error, found.len()), (0, 128));
        let file = number(&found);
        assert_eq!(number(&ask(&mut bridge, operation::LOOKUP, ROOT, b"file\0").1), file);
        let mut read = Answer::default();
        read.u64(0).u64(2).u32(100).raw(&[0; 20]);
        assert_eq!(ask(&mut bridge, operation::READ, file, &read.0), (0, b"rds".to_vec()));
        assert_eq!(ask(&mut bridge, operation::LOOKUP, ROOT, b"none\0").0, Errno::NOENT.raw_os_error());

        assert_eq!(bridge.answer(&request(operation::FORGET, file, &1_u64.to_ne_bytes())), None);
        assert_eq!(ask(&mut bridge, operation::GETATTR, file, &[0; 16]).0, 0, "it was told of twice");
        assert_eq!(bridge.answer(&request(operation::FORGET, file, &9_u64.to_ne_bytes())), None);
        assert_eq!(ask(&mut bridge, operation::GETATTR, file, &[0; 16]).0, Errno::STALE.raw_os_error());
        bridge.answer(&request(operation::FORGET, ROOT, &9_u64.to_ne_bytes()));
        assert_eq!(ask(&mut bridge, operation::GETATTR, ROOT, &[0; 16]).0, 0, "the root stays");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn any_request_is_answered(requests in prop::collection::vec((0_u32..50, any::<Vec<u8>>()), 1..8)) {
            let folder = tempfile::tempdir().unwrap();
            let mut bridge = bridge(folder.path());
            for (operation, arguments) in requests {
                let silent = [operation::FORGET, operation::BATCH_FORGET, operation::INTERRUPT, operation::DESTROY];
                let reply = bridge.answer(&request(operation, ROOT, &arguments));
                prop_assert_eq!(reply.is_none(), silent.contains(&operation));
                let _ = bridge.answer(&arguments);
            }
        }
    }
}
