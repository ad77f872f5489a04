//! Copies of what a container writes, for clients that attached to it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::log::Stream;
use super::{ClientId, Supervisor};
use crate::protocol::Reply;

/// A client that attached.
pub(super) struct Attached {
    client: ClientId,
    stdin: bool,
    stdout: Option<Sink>,
    stderr: Option<Sink>,
}

/// A pipe towards a client, and what it has not taken yet.
struct Sink {
    pipe: OwnedFd,
    pending: Vec<u8>,
}

impl Sink {
    /// Writes what the pipe takes. False: nobody reads it any more.
    fn drain(&mut self) -> bool {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.pipe, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR) => {}
                Err(errno) => return errno == Errno::AGAIN,
            }
        }
        true
    }
}

impl Attached {
    fn sinks(&mut self) -> impl Iterator<Item = &mut Option<Sink>> {
        [&mut self.stdout, &mut self.stderr].into_iter()
    }

    /// The pipes that have to take something before more can be copied.
    pub(super) fn behind(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let sinks = [&self.stdout, &self.stderr].into_iter().flatten();
        sinks.filter(|sink| !sink.pending.is_empty()).map(|sink| sink.pipe.as_fd())
    }

    /// Copies what a container wrote.
    pub(super) fn copy(&mut self, stream: Stream, bytes: &[u8]) {
        let sink = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        if let Some(open) = sink {
            open.pending.extend_from_slice(bytes);
            if !open.drain() {
                *sink = None;
            }
        }
    }

    fn drain(&mut self) {
        for sink in self.sinks() {
            if sink.as_mut().is_some_and(|open| !open.drain()) {
                *sink = None;
            }
        }
    }
}

impl Supervisor {
    pub(super) fn attach(
        &mut self,
        client: ClientId,
        id: &str,
        stdin: bool,
        [stdout, stderr]: [bool; 2],
        descriptors: Vec<OwnedFd>,
    ) {
        let mut descriptors = descriptors.into_iter();
        let mut sink = |wanted: bool| {
            let pipe = wanted.then(|| descriptors.next()).flatten()?;
            rustix::io::ioctl_fionbio(&pipe, true).ok()?;
            Some(Sink { pipe, pending: Vec::new() })
        };
        let (stdout, stderr) = (sink(stdout), sink(stderr));
        let Some(container) = self.find_container(id).filter(|container| container.is_running()) else {
            return self.reply(client, &Reply::NoSuchContainer, &[]);
        };
        let terminal = container.spec.terminal;
        let input = container.stdin.as_ref().filter(|_| stdin || terminal).and_then(|stdin| stdin.try_clone().ok());
        container.attached.push(Attached { client, stdin: stdin && input.is_some(), stdout, stderr });
        let reply = Reply::Attached { stdin: input.is_some(), terminal };
        let descriptors: Vec<_> = input.iter().map(AsFd::as_fd).collect();
        self.reply(client, &reply, &descriptors);
    }

    /// A client is gone. With `stdinOnce`, so is the container's input.
    pub(super) fn detach(&mut self, client: ClientId) {
        for container in &mut self.containers {
            let gone = container.attached.iter().any(|attached| attached.client == client && attached.stdin);
            if gone && container.spec.stdin_once {
                container.stdin = None;
            }
            container.attached.retain(|attached| attached.client != client);
        }
    }

    /// Hands on what is pending; says good-bye when the container has ended and nothing is.
    pub(super) fn drain_sinks(&mut self, index: usize) {
        let container = &mut self.containers[index];
        for attached in &mut container.attached {
            attached.drain();
        }
        if container.is_running() {
            return;
        }
        let (behind, done): (Vec<_>, Vec<_>) = std::mem::take(&mut container.attached)
            .into_iter()
            .partition(|attached| attached.behind().next().is_some());
        container.attached = behind;
        for attached in done {
            let client = attached.client;
            // The pipes are closed before the client is told.
            drop(attached);
            self.reply(client, &Reply::Detached, &[]);
        }
    }
}
