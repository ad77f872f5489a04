//! One thread, one event loop, one listener: the frame around each web server here, with a limit on all that arrives.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
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
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A client's address as it looks without the mapping of IPv4 into IPv6.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
