//! The other side, as small as it can be: calls, and what they answer.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use podlab_nfs::{Decoder, Encoder, Service, read_record, write_record};

pub(crate) const MOUNT: u32 = 100_005;
pub(crate) const NFS: u32 = 100_003;

/// A server of a directory, as `/exports`. It ends with the process of the tests.
pub(crate) fn serve(directory: &Path) -> SocketAddr {
    let service = Arc::new(Service::new("/exports", directory).unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || podlab_nfs::serve(&listener, &service));
    address
}

pub(crate) struct Client {
    connection: TcpStream,
}

/// A file handle, as the client keeps it.
pub(crate) type Handle = Vec<u8>;

/// What an accepted call answered: the reply from its `accept_stat` on.
pub(crate) struct Reply(Vec<u8>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self { connection: TcpStream::connect(address).unwrap() }
    }

    /// A client, and the root of what is exported.
    pub(crate) fn mounted(address: SocketAddr) -> (Self, Handle) {
        let mut client = Self::connect(address);
        let root = client.mount("/exports").unwrap();
        (client, root)
    }

    pub(crate) fn mount(&mut self, path: &str) -> Result<Handle, u32> {
        let mut arguments = Encoder::new();
        arguments.opaque(path.as_bytes());
        self.call(MOUNT, 1, &arguments.into_bytes()).ok(handle)
    }

    pub(crate) fn call(&mut self, program: u32, procedure: u32, arguments: &[u8]) -> Reply {
        let mut record = Encoder::new();
        record.u32(7).u32(0).u32(2).u32(program).u32(3).u32(procedure);
        // Who calls: numbers of a user and of a group.
        let mut credentials = Encoder::new();
        credentials.u32(0).opaque(b"client").u32(1000).u32(1000).u32(0);
        record.u32(1).opaque(&credentials.into_bytes()).u32(0).opaque(b"");
        let record = [record.into_bytes(), arguments.to_vec()].concat();
        write_record(&mut self.connection, &record).unwrap();
        let mut reply = Vec::new();
        assert!(read_record(&mut self.connection, &mut reply).unwrap(), "the server closed the connection");
        let mut decoder = Decoder::new(&reply);
        let head: Vec<u32> = (0..5).map(|_| decoder.u32().unwrap()).collect();
        assert_eq!(head, [7, 1, 0, 0, 0], "its number, a reply, accepted, no verifier");
        Reply(decoder.rest().to_vec())
    }

    /// A call of the program itself, that answers with a status.
    pub(crate) fn nfs<T>(
        &mut self,
        procedure: u32,
        arguments: impl FnOnce(&mut Encoder),
        read: impl FnOnce(&mut Decoder<'_>) -> T,
    ) -> Result<T, u32> {
        let mut encoder = Encoder::new();
        arguments(&mut encoder);
        self.call(NFS, procedure, &encoder.into_bytes()).ok(read)
    }

    pub(crate) fn look_up(&mut self, directory: &Handle, name: &str) -> Result<Handle, u32> {
        self.nfs(
            3,
            |call| {
                call.opaque(directory).opaque(name.as_bytes());
            },
            handle,
        )
    }

    pub(crate) fn create(&mut self, directory: &Handle, name: &str, mode: u32) -> Result<Handle, u32> {
        let arguments = |call: &mut Encoder| {
            call.opaque(directory).opaque(name.as_bytes()).u32(1);
            attributes(call, Some(mode), None);
        };
        self.nfs(8, arguments, made)
    }

    pub(crate) fn make_directory(&mut self, directory: &Handle, name: &str) -> Result<Handle, u32> {
        let arguments = |call: &mut Encoder| {
            call.opaque(directory).opaque(name.as_bytes());
            attributes(call, Some(0o755), None);
        };
        self.nfs(9, arguments, made)
    }

    pub(crate) fn write(&mut self, file: &Handle, offset: u64, bytes: &[u8]) -> Result<(), u32> {
        let length = u32::try_from(bytes.len()).unwrap();
        self.nfs(
            7,
            |call| {
                call.opaque(file).u64(offset).u32(length).u32(2).opaque(bytes);
            },
            |_| (),
        )
    }

    pub(crate) fn read(&mut self, file: &Handle, offset: u64, count: u32) -> Result<(Vec<u8>, bool), u32> {
        self.nfs(
            6,
            |call| {
                call.opaque(file).u64(offset).u32(count);
            },
            |reply| {
                skip_attributes(reply);
                let (length, ended) = (reply.u32().unwrap(), reply.bool().unwrap());
                let bytes = reply.opaque(usize::MAX).unwrap().to_vec();
                assert_eq!(bytes.len(), length as usize);
                (bytes, ended)
            },
        )
    }

    /// All names, asked for in lists of at most `most` bytes.
    pub(crate) fn names(&mut self, directory: &Handle, most: u32, with_attributes: bool) -> Result<Vec<String>, u32> {
        let (mut names, mut cookie) = (Vec::new(), 0);
        loop {
            let from = cookie;
            let arguments = |call: &mut Encoder| {
                call.opaque(directory).u64(from).fixed(&[0; 8]);
                if with_attributes {
                    call.u32(most);
                }
                call.u32(most);
            };
            let procedure = if with_attributes { 17 } else { 16 };
            let ended = self.nfs(procedure, arguments, |reply| {
                skip_attributes(reply);
                reply.fixed(8).unwrap();
                while reply.bool().unwrap() {
                    let _inode = reply.u64().unwrap();
                    names.push(String::from_utf8(reply.opaque(255).unwrap().to_vec()).unwrap());
                    cookie = reply.u64().unwrap();
                    if with_attributes {
                        skip_attributes(reply);
                        reply.optional(|reply| reply.opaque(64).map(drop)).unwrap();
                    }
                }
                reply.bool().unwrap()
            })?;
            if ended {
                return Ok(names);
            }
        }
    }
}

impl Reply {
    /// What follows `Success` and a status of 0, or that status.
    pub(crate) fn ok<T>(&self, read: impl FnOnce(&mut Decoder<'_>) -> T) -> Result<T, u32> {
        let mut reply = Decoder::new(&self.0);
        assert_eq!(reply.u32(), Ok(0), "the procedure ran");
        match reply.u32().unwrap() {
            0 => Ok(read(&mut reply)),
            failure => Err(failure),
        }
    }

    /// Why the procedure did not run.
    pub(crate) fn refusal(&self) -> u32 {
        Decoder::new(&self.0).u32().unwrap()
    }
}

/// What may be set: a mode, an owner, and nothing else.
pub(crate) fn attributes(call: &mut Encoder, mode: Option<u32>, owner: Option<u32>) {
    for number in [mode, owner, None] {
        call.bool(number.is_some());
        if let Some(number) = number {
            call.u32(number);
        }
    }
    call.bool(false).u32(0).u32(0);
}

pub(crate) fn handle(reply: &mut Decoder<'_>) -> Handle {
    reply.opaque(64).unwrap().to_vec()
}

fn made(reply: &mut Decoder<'_>) -> Handle {
    assert!(reply.bool().unwrap(), "there is a handle");
    handle(reply)
}

pub(crate) fn skip_attributes(reply: &mut Decoder<'_>) {
    reply.optional(|reply| reply.fixed(84).map(drop)).unwrap();
}
