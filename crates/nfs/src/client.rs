//! The other side: calls over a connection that is made again whenever it breaks.
//!
//! A call that was not answered is sent again, for the server may have been away: that is all there is to patience, since
//! the server keeps no state. What makes or removes a name may so be done twice, and fail the second time.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::record::{self, RecordError};
use crate::xdr::{Decoder, Encoder, Malformed};
use crate::{mount, procedures};

/// For how long an answer is waited for, as the mounts of labs do it.
const PATIENCE: Duration = Duration::from_secs(30);
/// A server that takes no connection by then is away.
const CONNECT: Duration = Duration::from_secs(5);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Ask again later, says a server.
const LATER: u32 = 10008;

/// Why there is no answer, or what it was.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server was away for too long.
    #[error("{0}")]
    Away(#[from] io::Error),
    /// It says something else than an answer.
    #[error("the server does not speak NFS")]
    Garbage,
    /// The procedure failed, with this number.
    #[error("the server says {0}")]
    Failed(u32),
}

impl From<Malformed> for ClientError {
    fn from(_: Malformed) -> Self {
        Self::Garbage
    }
}

/// A client of one server. One call at a time.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    connection: Option<TcpStream>,
    calls: u32,
}

impl Client {
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None, calls: 0 }
    }

    /// The handle of an export.
    pub fn mount(&mut self, path: &str) -> Result<Vec<u8>, ClientError> {
        let mut arguments = Encoder::new();
        arguments.opaque(path.as_bytes());
        let answer = self.call(mount::PROGRAM, mount::VERSION, 1, &arguments)?;
        let mut answer = Decoder::new(&answer);
        Ok(succeeded(&mut answer)?.opaque(64)?.to_vec())
    }

    /// Calls a procedure, and hands its answer, after a status of 0, to `read`.
    pub fn nfs<T>(
        &mut self,
        procedure: u32,
        arguments: &Encoder,
        read: impl FnOnce(&mut Decoder<'_>) -> Result<T, Malformed>,
    ) -> Result<T, ClientError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.call(procedures::PROGRAM, procedures::VERSION, procedure, arguments)?;
            match succeeded(&mut Decoder::new(&answer)) {
                Err(ClientError::Failed(LATER)) if Instant::now() < end => pause(),
                Err(error) => return Err(error),
                Ok(answer) => return Ok(read(answer)?),
            }
        }
    }

    fn call(
        &mut self,
        program: u32,
        version: u32,
        procedure: u32,
        arguments: &Encoder,
    ) -> Result<Vec<u8>, ClientError> {
        self.calls = self.calls.wrapping_add(1);
        let mut call = Encoder::new();
        call.u32(self.calls).u32(0).u32(2).u32(program).u32(version).u32(procedure);
        // Nobody in particular calls: no credentials, no verifier.
        call.u32(0).u32(0).u32(0).u32(0).append(arguments);
        let call = call.into_bytes();
        let end = Instant::now() + PATIENCE;
        loop {
            match self.attempt(&call) {
                Ok(answer) => return accepted(&answer, self.calls),
                Err(RecordError::TooLong) => return Err(ClientError::Garbage),
                Err(RecordError::Io(error)) => {
                    self.connection = None;
                    if Instant::now() >= end {
                        return Err(error.into());
                    }
                    pause();
                }
            }
        }
    }

    fn attempt(&mut self, call: &[u8]) -> Result<Vec<u8>, RecordError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let connection = TcpStream::connect_timeout(&self.address, CONNECT)?;
                connection.set_nodelay(true)?;
                connection.set_read_timeout(Some(PATIENCE))?;
                connection.set_write_timeout(Some(PATIENCE))?;
                self.connection.insert(connection)
            }
        };
        record::write(connection, call)?;
        let mut answer = Vec::new();
        match record::read(connection, &mut answer)? {
            true => Ok(answer),
            false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
}

/// What an accepted reply to this call says.
fn accepted(reply: &[u8], call: u32) -> Result<Vec<u8>, ClientError> {
    let mut decoder = Decoder::new(reply);
    let (id, kind, accepted) = (decoder.u32()?, decoder.u32()?, decoder.u32()?);
    let _verifier = (decoder.u32()?, decoder.opaque(400)?);
    let ran = decoder.u32()?;
    if (id, kind, accepted, ran) != (call, 1, 0, 0) {
        return Err(ClientError::Garbage);
    }
    Ok(decoder.rest().to_vec())
}

fn succeeded<'a, 'b>(answer: &'a mut Decoder<'b>) -> Result<&'a mut Decoder<'b>, ClientError> {
    match answer.u32()? {
        0 => Ok(answer),
        failure => Err(ClientError::Failed(failure)),
    }
}

#[expect(clippy::disallowed_methods, reason = "a server that comes back tells nobody")]
fn pause() {
    std::thread::sleep(PAUSE);
}
