//! Connections to a Unix socket.

use std::future::Future;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fs, io};

use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// The kernel takes 108 bytes with the final zero (unix(7), `sun_path`).
const MAX_SOCKET_PATH: usize = 107;

/// Connects to one socket, whatever the request's host.
#[derive(Clone)]
pub(crate) struct Connector {
    socket: PathBuf,
}

impl Connector {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Connector { socket }
    }
}

impl tower::Service<http::Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let socket = self.socket.clone();
        Box::pin(async move {
            let stream = connect(&socket)
                .await
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", socket.display())))?;
            Ok(TokioIo::new(Stream(stream)))
        })
    }
}

/// Connects to a socket however long its path: a path the kernel would refuse is shortened by opening its directory
/// and going through that descriptor.
async fn connect(socket: &Path) -> io::Result<UnixStream> {
    if socket.as_os_str().len() <= MAX_SOCKET_PATH {
        return UnixStream::connect(socket).await;
    }
    let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the path of a socket"));
    };
    let directory = fs::File::open(directory)?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    UnixStream::connect(short).await
}

/// A connected socket, as the connection pool wants it.
pub(crate) struct Stream(UnixStream);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

crate::transport::tcp::delegate_io!(Stream);
