//! Messages between our processes: length-prefixed JSON over a Unix stream socket, with descriptors beside them.
//!
//! A frame is a big-endian `u32` length and as many bytes of JSON. Descriptors travel with the first byte of the frame
//! they belong to (`SCM_RIGHTS`, unix(7)), and arrive in the order in which they were sent; each message says how many
//! are its own. Both sides are limited: a frame to [`FRAME_LIMIT`], descriptors waiting to [`DESCRIPTOR_LIMIT`].

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest frame. A container's environment is the longest thing that is sent, and execve(2) has its own limit.
pub const FRAME_LIMIT: usize = 4 * 1024 * 1024;

/// The most descriptors that may wait for their message.
pub const DESCRIPTOR_LIMIT: usize = 16;

/// A message that says how many descriptors come with it.
pub trait Message: Serialize + DeserializeOwned {
    /// How many descriptors belong to this message.
    fn descriptors(&self) -> usize {
        0
    }
}

/// What can go wrong on a connection.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side is gone.
    #[error("the connection was closed")]
    Closed,
    /// The other side sent more than it may.
    #[error("a message of {size} bytes is over the limit of {FRAME_LIMIT}")]
    TooLong { size: usize },
    /// The other side sent descriptors that no message asked for, or fewer than its message says.
    #[error("a message came with the wrong number of descriptors")]
    Descriptors,
    /// The other side speaks another language.
    #[error("a message could not be understood: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The kernel refused.
    #[error("{}", crate::error::errno_text(*.0))]
    System(Errno),
}

/// One side of a conversation. Works on blocking and on non-blocking sockets.
#[derive(Debug)]
pub struct Connection {
    socket: UnixStream,
    received: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl From<UnixStream> for Connection {
    fn from(socket: UnixStream) -> Self {
        Self { socket, received: Vec::new(), descriptors: VecDeque::new() }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl std::os::fd::AsRawFd for Connection {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

impl Connection {
    /// Makes [`receive`](Self::receive) return at once when there is nothing, for use in an event loop.
    pub fn set_nonblocking(&self) -> Result<(), WireError> {
        let set = self.socket.set_nonblocking(true);
        set.map_err(|error| WireError::System(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    }

    /// Connects to a socket, for a conversation that waits for each answer.
    pub fn open(path: &std::path::Path) -> Result<Self, WireError> {
        let connect = UnixStream::connect(path);
        connect.map(Self::from).map_err(|error| match Errno::from_io_error(&error) {
            // Nobody listens there any more, or never did.
            Some(Errno::CONNREFUSED | Errno::NOENT) | None => WireError::Closed,
            Some(errno) => WireError::System(errno),
        })
    }

    /// Sends a message and waits for the next one.
    pub fn ask<Q: Message, A: Message>(
        &mut self,
        question: &Q,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(A, Vec<OwnedFd>), WireError> {
        self.send(question, descriptors)?;
        self.receive()?.ok_or(WireError::System(Errno::AGAIN))
    }

    /// Sends a message and the descriptors that belong to it. On a non-blocking socket whose buffer is full this waits:
    /// the frames that go that way are small, and a reader that does not read them is our own kubelet.
    pub fn send<M: Message>(&self, message: &M, descriptors: &[BorrowedFd<'_>]) -> Result<(), WireError> {
        debug_assert_eq!(message.descriptors(), descriptors.len());
        let mut frame = vec![0; 4];
        serde_json::to_writer(&mut frame, message)?;
        let size = frame.len() - 4;
        if size > FRAME_LIMIT {
            return Err(WireError::TooLong { size });
        }
        frame[..4].copy_from_slice(&(size as u32).to_be_bytes());

        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let mut sent = 0;
        while sent < frame.len() {
            let slices = [IoSlice::new(&frame[sent..])];
            match rustix::net::sendmsg(&self.socket, &slices, &mut ancillary, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    sent += count;
                    ancillary.clear();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait_until_writable(self.socket.as_fd())?,
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(WireError::Closed),
                Err(errno) => return Err(WireError::System(errno)),
            }
        }
        Ok(())
    }

    /// The next message and its descriptors. On a non-blocking socket `Ok(None)` means: not complete yet.
    pub fn receive<M: Message>(&mut self) -> Result<Option<(M, Vec<OwnedFd>)>, WireError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Takes a message out of what was received, if it is complete.
    fn take<M: Message>(&mut self) -> Result<Option<(M, Vec<OwnedFd>)>, WireError> {
        let Some(prefix) = self.received.first_chunk::<4>() else { return Ok(None) };
        let size = u32::from_be_bytes(*prefix) as usize;
        if size > FRAME_LIMIT {
            return Err(WireError::TooLong { size });
        }
        let Some(body) = self.received.get(4..4 + size) else { return Ok(None) };
        let message: M = serde_json::from_slice(body)?;
        self.received.drain(..4 + size);
        let count = message.descriptors();
        if count > self.descriptors.len() {
            return Err(WireError::Descriptors);
        }
        Ok(Some((message, self.descriptors.drain(..count).collect())))
    }

    /// Receives once. False: nothing is there now.
    fn fill(&mut self) -> Result<bool, WireError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 16 * 1024];
        let received = rustix::net::recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if self.descriptors.len() > DESCRIPTOR_LIMIT {
            return Err(WireError::Descriptors);
        }
        match received {
            Ok(received) if received.bytes == 0 => Err(WireError::Closed),
            Ok(received) => {
                self.received.extend_from_slice(&bytes[..received.bytes]);
                Ok(true)
            }
            Err(Errno::AGAIN) => Ok(false),
            Err(Errno::INTR) => Ok(true),
            Err(Errno::CONNRESET) => Err(WireError::Closed),
            Err(errno) => Err(WireError::System(errno)),
        }
    }
}

fn wait_until_writable(socket: BorrowedFd<'_>) -> Result<(), WireError> {
    use rustix::event::{PollFd, PollFlags, poll};
    match poll(&mut [PollFd::new(&socket, PollFlags::OUT)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(WireError::System(errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Note {
        text: String,
        descriptors: usize,
    }

    impl Message for Note {
        fn descriptors(&self) -> usize {
            self.descriptors
        }
    }

    fn note(text: &str, descriptors: usize) -> Note {
        Note { text: text.to_owned(), descriptors }
    }

    #[test]
    fn descriptors_stay_with_their_message() {
        let (left, right) = UnixStream::pair().unwrap();
        let left = Connection::from(left);
        let (reader, mut writer) = std::io::pipe().unwrap();
        left.send(&note("first", 0), &[]).unwrap();
        left.send(&note("second", 1), &[reader.as_fd()]).unwrap();
        left.send(&note("third", 0), &[]).unwrap();
        drop((left, reader));
        writer.write_all(b"through").unwrap();
        drop(writer);

        let mut right = Connection::from(right);
        let (first, none) = right.receive::<Note>().unwrap().unwrap();
        assert_eq!((first.text.as_str(), none.len()), ("first", 0));
        let (_, mut one) = right.receive::<Note>().unwrap().unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::fs::File::from(one.remove(0)), &mut text).unwrap();
        assert_eq!(text, "through");
        assert_eq!(right.receive::<Note>().unwrap().unwrap().0.text, "third");
        assert!(matches!(right.receive::<Note>(), Err(WireError::Closed)));
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_its_body_comes() {
        let (mut left, right) = UnixStream::pair().unwrap();
        left.write_all(&(FRAME_LIMIT as u32 + 1).to_be_bytes()).unwrap();
        let refused = Connection::from(right).receive::<Note>();
        assert!(matches!(refused, Err(WireError::TooLong { size }) if size == FRAME_LIMIT + 1));
    }

    #[test]
    fn a_message_without_its_descriptor_is_refused() {
        let (mut left, right) = UnixStream::pair().unwrap();
        let body = br#"{"text":"","descriptors":1}"#;
        left.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
        left.write_all(body).unwrap();
        assert!(matches!(Connection::from(right).receive::<Note>(), Err(WireError::Descriptors)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_an_error_and_no_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let (mut left, right) = UnixStream::pair().unwrap();
            left.write_all(&bytes).unwrap();
            drop(left);
            let mut right = Connection::from(right);
            while let Ok(Some(_)) = right.receive::<Note>() {}
        }
    }
}
