//! The doors: TCP with TLS, and Unix sockets. Every connection speaks HTTP/2 or HTTP/1.1, with upgrades.

use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::auth::Identity;
use crate::http::Peer;
use crate::pki::subject;
use crate::server::{Server, Service, StartError};

/// Connections per listener; more of them wait to be accepted.
const CONNECTIONS: usize = 4096;
/// A peer has this long to finish its TLS handshake, and to send the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(30);
/// Bytes of the head of a request: request line and headers.
const HEAD_BYTES: usize = 64 * 1024;
const HEADERS: usize = 128;
/// Requests under way on one HTTP/2 connection (the real server's figure).
const HTTP2_STREAMS: u32 = 250;

/// A door: where connections come in, and who is at their other end.
trait Door: Send + Sync + 'static {
    type Raw: Send + 'static;
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<Self::Raw>> + Send;

    /// What has to be done before the first request; None for a peer that does not do its part.
    fn greet(&self, raw: Self::Raw) -> impl Future<Output = Option<(Self::Stream, Peer)>> + Send;
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Door for Tls {
    type Raw = TcpStream;
    type Stream = TlsStream<TcpStream>;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.listener.accept().await?;
        // Small answers must not wait for acknowledgements.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    async fn greet(&self, raw: TcpStream) -> Option<(Self::Stream, Peer)> {
        let stream = tokio::time::timeout(HANDSHAKE, self.acceptor.accept(raw)).await.ok()?.ok()?;
        let certificates = stream.get_ref().1.peer_certificates();
        let client = certificates.and_then(<[_]>::first).and_then(|first| subject::identity(first));
        Some((stream, Peer::Network { client: client.map(Arc::new) }))
    }
}

struct Unix {
    listener: UnixListener,
    /// Whoever could open the socket.
    identity: Arc<Identity>,
}

impl Door for Unix {
    type Raw = UnixStream;
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }

    async fn greet(&self, raw: UnixStream) -> Option<(UnixStream, Peer)> {
        Some((raw, Peer::Known(self.identity.clone())))
    }
}

/// Serves TLS; tells the address it got.
pub(crate) async fn tls(server: &Server, address: std::net::SocketAddr) -> Result<std::net::SocketAddr, StartError> {
    let failed = |source| StartError::Listen { address: address.to_string(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    accept_tls(server, listener, server.inner.stopping.clone())?;
    Ok(bound)
}

/// Serves TLS on a socket that listens already, until `ended`; connections that were accepted go on.
pub(crate) fn accept_tls(server: &Server, listener: TcpListener, ended: CancellationToken) -> Result<(), StartError> {
    let acceptor = TlsAcceptor::from(Arc::new(server.inner.pki.tls()?));
    let accepting = accept_all(server.clone(), Tls { listener, acceptor });
    server.inner.tasks.spawn(ended.run_until_cancelled_owned(accepting));
    Ok(())
}

/// Serves a Unix socket at `path`.
pub(crate) fn unix(server: &Server, path: &Path, identity: Identity) -> Result<(), StartError> {
    let failed = |source| StartError::Listen { address: path.display().to_string(), source };
    let listener = bind_unix(path).map_err(failed)?;
    server.inner.tasks.spawn(accept_all(server.clone(), Unix { listener, identity: Arc::new(identity) }));
    Ok(())
}

/// Lets connections in until the server stops.
async fn accept_all<D: Door>(server: Server, door: D) {
    let door = Arc::new(door);
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let raw = tokio::select! {
            () = server.inner.stopping.cancelled() => return,
            accepted = door.accept() => match accepted {
                Ok(raw) => raw,
                Err(error) => {
                    out_of_something(&error).await;
                    continue;
                }
            },
        };
        let (server, door) = (server.clone(), door.clone());
        server.inner.tasks.clone().spawn(async move {
            if let Some((stream, peer)) = door.greet(raw).await {
                connection(server, peer, stream).await;
            }
            drop(slot);
        });
    }
}

/// A socket path longer than 107 bytes does not fit an address; through a descriptor of its folder it does.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "a socket needs a folder and a name");
    let (folder, name) = path.parent().zip(path.file_name()).ok_or_else(invalid)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let folder = std::fs::File::open(folder)?;
    UnixListener::bind(Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}

/// Accepting fails for want of descriptors, mostly; trying again at once would only burn the processor.
#[expect(clippy::disallowed_methods, reason = "nothing tells when a descriptor becomes free")]
async fn out_of_something(error: &io::Error) {
    tracing::warn!("cannot accept a connection: {error}");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Answers requests until the peer leaves or the server stops.
pub(crate) async fn connection<S>(server: Server, peer: Peer, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stopping = server.inner.stopping.clone();
    let service = TowerToHyperService::new(Service::new(server, peer));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(HTTP2_STREAMS);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // Requests under way have been told to end as well; who still does not finish is cut off.
            match tokio::time::timeout(Duration::from_secs(2), connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended early: {error}");
    }
}
