//! Probes over the network, from the node to a Pod's address. The texts of failures are those of Go's libraries, which
//! the kubelet's events show.

mod grpc;
mod http;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::backend::{NetworkCheck, ProbeOutcome};

/// Makes one attempt.
pub(super) async fn attempt(address: &str, check: &NetworkCheck, timeout: Duration) -> ProbeOutcome {
    match check {
        NetworkCheck::Tcp { host, port } => {
            let host = host.as_deref().unwrap_or(address);
            match tokio::time::timeout(timeout, dial(host, *port)).await {
                Ok(Ok(_)) => ProbeOutcome::Success,
                Ok(Err(error)) => ProbeOutcome::Failure(error),
                Err(_) => ProbeOutcome::Failure(format!("dial tcp {}: i/o timeout", join(host, *port))),
            }
        }
        NetworkCheck::Http { host, port, path, https, headers } => {
            let host = host.as_deref().unwrap_or(address);
            let target = http::Target { https: *https, host: host.to_owned(), port: *port, path: path.clone() };
            http::attempt(target, headers, timeout).await
        }
        NetworkCheck::Grpc { port, service } => grpc::attempt(address, *port, service, timeout).await,
    }
}

/// Opens a TCP connection.
async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    let name = join(host, port);
    let resolved = match host.parse::<IpAddr>() {
        Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
        Err(_) => tokio::net::lookup_host((host, port)).await.map(Iterator::collect::<Vec<_>>),
    };
    let addresses = resolved.map_err(|_| format!("dial tcp: lookup {host}: no such host"))?;
    let connected = TcpStream::connect(&addresses[..]).await;
    connected.map_err(|error| format!("dial tcp {name}: connect: {}", text(&error)))
}

/// `10.244.0.5:80`, `[fd00::1]:80`
fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The kernel's message without what Rust adds to it.
fn text(error: &io::Error) -> String {
    match rustix::io::Errno::from_io_error(error) {
        Some(errno) => podlab_linux::errno_text(errno),
        None => error.to_string(),
    }
}
