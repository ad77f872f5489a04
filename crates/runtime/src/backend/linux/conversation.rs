//! Talking to the node's init and to the Pods' supervisors without keeping a thread waiting.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use podlab_linux::protocol::{InitReply, InitRequest, Reply, Request};
use podlab_linux::wire::{Connection, Message, WireError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Linux;
use crate::backend::{BackendError, PodUid};

/// A connection, as the async runtime waits for it.
pub(super) struct Conversation {
    connection: AsyncFd<Connection>,
}

impl Conversation {
    fn open(path: &Path) -> Result<Self, WireError> {
        let connection = Connection::open(path)?;
        connection.set_nonblocking()?;
        // SAFETY: a connection owns one socket for as long as it lives, and never another.
        let registered = unsafe { AsyncFd::register_with_interest(connection, Interest::READABLE) };
        Ok(Self { connection: registered.map_err(|error| system(error.into()))? })
    }

    /// Sends a message and waits for the next one.
    pub(super) async fn ask<Q: Message, A: Message>(
        &mut self,
        question: &Q,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(A, Vec<OwnedFd>), WireError> {
        self.tell(question, descriptors)?;
        self.next().await
    }

    pub(super) fn tell<Q: Message>(&self, message: &Q, descriptors: &[BorrowedFd<'_>]) -> Result<(), WireError> {
        self.connection.get_ref().send(message, descriptors)
    }

    /// Waits for the next message. May be given up and called again: nothing that has come is lost.
    pub(super) async fn next<A: Message>(&mut self) -> Result<(A, Vec<OwnedFd>), WireError> {
        loop {
            if let Some(message) = self.connection.get_mut().receive()? {
                return Ok(message);
            }
            self.connection.readable_mut().await.map_err(system)?.clear_ready();
        }
    }
}

fn system(error: io::Error) -> WireError {
    WireError::System(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
}

impl Linux {
    /// A conversation with the node's init.
    pub(super) fn init(&self) -> Result<Conversation, WireError> {
        Conversation::open(&self.inner.config.init_socket)
    }

    /// Asks the node's init one thing.
    pub(super) async fn ask_init(&self, uid: &PodUid, request: &InitRequest) -> Result<InitReply, BackendError> {
        let asked = async { Ok(self.init()?.ask(request, &[]).await?.0) };
        asked.await.map_err(|error| lost(uid, "asking the node's init", error))
    }

    /// A conversation with a Pod's supervisor.
    pub(super) fn supervisor(&self, uid: &PodUid) -> Result<Conversation, BackendError> {
        Conversation::open(&self.inner.config.supervisors.join(uid)).map_err(|error| match error {
            WireError::Closed => BackendError::NoSuchPod(uid.clone()),
            other => lost(uid, "asking the supervisor", other),
        })
    }

    /// Asks a Pod's supervisor one thing.
    pub(super) async fn ask_supervisor(&self, uid: &PodUid, request: &Request) -> Result<Reply, BackendError> {
        let asked = self.supervisor(uid)?.ask(request, &[]).await;
        asked.map(|(reply, _)| reply).map_err(|error| lost(uid, "asking the supervisor", error))
    }
}

pub(super) fn lost(uid: &PodUid, what: &'static str, error: WireError) -> BackendError {
    BackendError::Io { pod: uid.clone(), what, source: io::Error::other(error) }
}

/// An answer that does not fit the question, or a failure in words.
pub(super) fn failed(uid: &PodUid, what: &'static str, reply: impl std::fmt::Debug) -> BackendError {
    BackendError::Io { pod: uid.clone(), what, source: io::Error::other(format!("{reply:?}")) }
}
