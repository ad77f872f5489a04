//! Pipes and terminals, as the async runtime reads and writes them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::sync::watch;

/// What is moved at a time. A slow reader therefore costs this much and the kernel's pipe, however much is written.
const CHUNK: usize = 16 * 1024;

/// Our end of a pipe, or the master side of a terminal.
pub(super) struct Pipe {
    descriptor: AsyncFd<OwnedFd>,
}

impl Pipe {
    fn new(descriptor: OwnedFd, interest: Interest) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        // SAFETY: an owned descriptor is open, and the same one, for as long as it lives.
        let descriptor = unsafe { AsyncFd::register_with_interest(descriptor, interest)? };
        Ok(Self { descriptor })
    }

    pub(super) fn reader(descriptor: OwnedFd) -> io::Result<Self> {
        Self::new(descriptor, Interest::READABLE)
    }

    pub(super) fn writer(descriptor: OwnedFd) -> io::Result<Self> {
        Self::new(descriptor, Interest::WRITABLE)
    }

    /// A pipe that we read, and its other end.
    pub(super) fn to_read() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        Ok((Self::reader(ours)?, theirs))
    }

    /// A pipe that we write, and its other end.
    pub(super) fn to_write() -> io::Result<(Self, OwnedFd)> {
        let (theirs, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        Ok((Self::writer(ours)?, theirs))
    }

    /// Reads what is there; 0 at the end, `WouldBlock` when there is nothing now.
    pub(super) fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match rustix::io::read(self.descriptor.get_ref(), bytes) {
            // The other side of a terminal has been closed for the last time.
            Err(Errno::IO) => Ok(0),
            result => result.map_err(io::Error::from),
        }
    }

    /// Waits for something to read; 0 at the end.
    pub(super) async fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.descriptor.readable().await?;
            match ready.try_io(|_| self.try_read(bytes)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return result,
                Err(_not_ready) => {}
            }
        }
    }

    async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.descriptor.writable().await?;
            match ready.try_io(|pipe| rustix::io::write(pipe, bytes).map_err(io::Error::from)) {
                Ok(Ok(count)) => bytes = &bytes[count..],
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_not_ready) => {}
            }
        }
        Ok(())
    }
}

/// Sets the size of a terminal; its programs are told (`SIGWINCH`).
pub(super) fn resize(terminal: &OwnedFd, (columns, rows): (u16, u16)) {
    let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // A terminal that is gone has no size.
    let _ = rustix::termios::tcsetwinsize(terminal.as_fd(), size);
}

/// Copies what a program writes to its client, until the pipe ends; or, once the program has ended, until the pipe is
/// empty (something that it left behind may hold the pipe open for ever).
pub(super) async fn copy_out(
    pipe: Option<Pipe>,
    client: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    mut ended: watch::Receiver<bool>,
) {
    let (Some(pipe), Some(mut client)) = (pipe, client) else { return };
    let mut bytes = vec![0; CHUNK];
    loop {
        let read = tokio::select! {
            read = pipe.read(&mut bytes) => read,
            _ = ended.wait_for(|ended| *ended) => pipe.try_read(&mut bytes),
        };
        match read {
            Ok(count) if count > 0 => {
                // A client that is gone closes the pipe, and the program learns of it by `SIGPIPE`.
                if client.write_all(&bytes[..count]).await.is_err() || client.flush().await.is_err() {
                    return;
                }
            }
            Ok(_) | Err(_) => break,
        }
    }
    let _ = client.shutdown().await;
}

/// Copies what a client sends to a program, until either has had enough; then lets go of the pipe, which ends the
/// program's input.
pub(super) async fn copy_in(client: Option<Box<dyn AsyncRead + Send + Unpin>>, pipe: Option<Pipe>) {
    let (Some(mut client), Some(pipe)) = (client, pipe) else { return };
    let mut bytes = vec![0; CHUNK];
    while let Ok(count) = client.read(&mut bytes).await {
        if count == 0 || pipe.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
