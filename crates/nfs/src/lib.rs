//! An NFS server: one directory of this machine, for whoever can reach the socket.
//!
//! Read it from the bottom up, as the bytes arrive:
//!
//! 1. [`record`]: a TCP connection is cut into records, each at most [`record::LIMIT`] bytes long.
//! 2. [`xdr`]: in a record, numbers are four or eight bytes and everything else says its length first (RFC 4506).
//! 3. [`rpc`]: a record is the call of a procedure of a program, and is answered by one (RFC 5531).
//! 4. [`mount`]: the program that a client asks first: it turns the name of an export into a *file handle* (RFC 1813, 5).
//! 5. [`procedures`]: the program that it asks from then on: 21 things to do with file handles (RFC 1813, 3).
//! 6. [`tree`]: what a handle means: a file below the exported directory, found again even by another server process.
//!
//! The other side is here, too: [`Client`] calls, and [`Bridge`] makes a file system of it, for kernels that have no client of
//! their own.
//!
//! The server keeps no state about clients. That is the idea of version 3: every call says all there is to know, so a
//! server that was ended and started again goes on where it was, and the clients have noticed a pause.
//!
//! Everything is done as the user who runs the server, whoever asks (other servers call it `all_squash`): owners cannot be
//! given away, and a file never gets the bits that lend its owner's rights. What arrives comes from Pods, which may send
//! anything: every length has a limit, names are single names, and files are reached by descriptor, below the directory.
//!
//! Left out, since the clients of labs do without: locks (mount with `nolock`), UDP, the port mapper, device files, and the
//! memory of calls that were answered once (a call that makes something and is repeated after a crash fails the second
//! time).

mod attributes;
mod bridge;
mod client;
mod handle;
mod mount;
mod procedures;
mod record;
mod rpc;
mod server;
mod service;
mod status;
mod tree;
mod xdr;

pub use bridge::Bridge;
pub use client::{Client, ClientError};
pub use record::{LIMIT, RecordError, read as read_record, write as write_record};
pub use server::serve;
pub use service::{Service, ServiceError};
pub use xdr::{Decoder, Encoder, Malformed};

/// Where NFS servers listen. Both programs of this one do.
pub const PORT: u16 = 2049;
