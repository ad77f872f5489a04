//! One thread, one event loop, one listener: the frame around each web server here.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How a process ended by SIGTERM reports itself: 128 and the signal's number.
///
/// The kernel gives the first process of a pid namespace no default action for signals (pid_namespaces(7)), so each
/// of these programs, which are just that in their containers, handles the signal itself.
const ENDED_BY_SIGTERM: u8 = 128 + 15;

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
    let service: IntoMakeServiceWithConnectInfo<Router, SocketAddr> =
        router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        served = axum::serve(listener, service) => served.map(|()| ExitCode::SUCCESS),
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

/// A client's address as it looks without the mapping of IPv4 into IPv6.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
