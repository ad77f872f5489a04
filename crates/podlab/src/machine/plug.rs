//! The plug: a pipe whose only write end the machine process holds.
//!
//! Everything of the cluster has the read end, or one that hangs on it, and ends at end of file. The kernel closes the
//! write end when the machine process is gone, however it went: `kill -9` of it is pulling the plug. (`PR_SET_PDEATHSIG`
//! would not do: it fires when the *thread* that forked ends, which an asynchronous runtime does at will.)

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;

use rustix::pipe::{PipeFlags, pipe_with};

/// The write end. Dropping it turns the cluster off.
#[derive(Debug)]
pub(super) struct Plug(#[expect(dead_code, reason = "held, never written to")] OwnedFd);

/// The read end, to be given to parts as their standard input.
#[derive(Clone, Debug)]
pub(super) struct Socket(Arc<OwnedFd>);

impl Plug {
    /// Both ends are closed on exec, so that a part gets the read end as its standard input and nothing else.
    ///
    /// # Errors
    ///
    /// When no pipe can be made.
    pub(super) fn new() -> std::io::Result<(Self, Socket)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok((Self(write), Socket(Arc::new(read))))
    }
}

impl Socket {
    /// The standard input of a part.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be duplicated.
    pub(super) fn stdio(&self) -> std::io::Result<Stdio> {
        Ok(self.0.try_clone()?.into())
    }
}
