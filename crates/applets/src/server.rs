//! One thread, one event loop, one listener: the frame around each web server here, with a limit on all that arrives.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// How a process ended by SIGTERM reports itself: 128 and the signal's number.
///
/// The kernel gives the first process of a pid namespace no default action for signals (pid_namespaces(7)), so each
/// of these programs, which are just that in their containers, handles the signal itself.
const ENDED_BY_SIGTERM: u8 = 128 + 15;

/// Connections served at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;
/// How long a client may take for its request line and headers, and between two requests of a connection.
const HEADER_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a request's line and headers together.
const HEADER_LIMIT: usize = 32 * 1024;
/// Bytes of a request's body: forms and small JSON are all that anyone sends here.
const BODY_LIMIT: usize = 64 * 1024;
/// After a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` on `port` of every address until SIGTERM or SIGQUIT. `ready` is called once the port is open.
pub(crate) fn serve(router: Router, port: u16, ready: impl FnOnce()) -> ExitCode {
    match on_one_thread(accept_until_told_to_end(router, port, ready)) {
        Ok(code) => code,
        Err(error) => {
            crate::log::line(&format!("listen tcp :{port}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs a future on an event loop of this thread: a container needs no second one, and each costs memory.
pub(crate) fn on_one_thread<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

async fn accept_until_told_to_end(router: Router, port: u16, ready: impl FnOnce()) -> io::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = listen(port).await?;
    ready();
    tokio::select! {
        never = accept(listener, router) => match never {},
        _ = terminate.recv() => Ok(ExitCode::from(ENDED_BY_SIGTERM)),
        _ = quit.recv() => Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
    }
}

/// IPv6 with IPv4 mapped into it where the Pod has IPv6, else IPv4 alone.
async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind(("::", port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => TcpListener::bind(("0.0.0.0", port)).await,
        other => other,
    }
}

/// Accepts connections for ever and answers their requests with `router`.
pub(crate) async fn accept(listener: TcpListener, router: Router) -> Infallible {
    let router = router.layer(DefaultBodyLimit::max(BODY_LIMIT));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { std::future::pending().await };
        match listener.accept().await {
            Ok((stream, client)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    answer(stream, client, router).await;
                    drop(place);
                });
            }
            // Out of descriptors, or a connection that was gone before it was taken.
            Err(_) => {
                #[expect(clippy::disallowed_methods, reason = "nothing announces that descriptors are free again")]
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, client: SocketAddr, router: Router) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(client));
        router.clone().oneshot(request)
    });
    // A client that breaks off is its own business.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_buf_size(HEADER_LIMIT)
        .serve_connection(TokioIo::new(AnswersAsHttp11 { stream, begun: false }), service)
        .await;
}

/// A connection whose first answer says HTTP/1.1 even to a client that speaks 1.0, as nginx's and Go's do.
///
/// RFC 9112, section 2.3, has a server send its own version; hyper sends the client's. A client of HTTP/1.0 gets one
/// answer a connection, so the first bytes are the only ones to look at.
struct AnswersAsHttp11 {
    stream: TcpStream,
    begun: bool,
}

impl AsyncRead for AnswersAsHttp11 {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for AnswersAsHttp11 {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        const OLD: &[u8] = b"HTTP/1.0";
        const NEW: &[u8] = b"HTTP/1.1";
        let replace = !self.begun && bytes.starts_with(OLD);
        // The eight bytes go out in one piece: a fresh socket's buffer has room for them.
        let written = Pin::new(&mut self.stream).poll_write(context, if replace { NEW } else { bytes });
        if let Poll::Ready(Ok(_)) = written {
            self.begun = true;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A client's address as it looks without the mapping of IPv4 into IPv6.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn talk(request: &[u8]) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(accept(listener, Router::new().route("/", get(async || "hello"))));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        server.abort();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn an_old_client_is_told_the_servers_version() {
        let answer = talk(b"GET / HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    }

    #[tokio::test]
    async fn headers_without_end_are_refused() {
        let mut request = b"GET / HTTP/1.1\r\n".to_vec();
        for number in 0..150 {
            request.extend(format!("x-{number}: 0123456789\r\n").bytes());
        }
        let answer = talk(&request).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}
