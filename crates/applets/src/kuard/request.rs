//! Request Details: what reached the program, and on which of its addresses.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use axum::extract::{ConnectInfo, Request, State};
use axum::response::Html;

use super::Shared;
use super::page::{Liveness, facts, prefix_of, render};
use crate::server::plain;

pub(super) async fn show(
    State(kuard): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Html<String> {
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let address = own_address().map_or_else(|| "none".to_owned(), |address| address.to_string());
    let server = [("Host name", kuard.hostname.clone()), ("Address", address), ("Version", kuard.version.clone())];
    let arrived = [
        ("Client address", plain(client).to_string()),
        ("Protocol", format!("{:?}", request.version())),
        ("Method", request.method().to_string()),
        ("URI", request.uri().to_string()),
    ];
    let content = format!(
        "<p class=\"lead\">Which container answered, and what reached it.</p>\n{}{}{}",
        facts("This server", server),
        facts("The request", arrived),
        facts("Its headers", headers),
    );
    render(&kuard, prefix_of(request.uri().path()), "Request Details", Liveness::Still, &content)
}

/// The address that packets to elsewhere would leave from. Connecting a datagram socket asks the kernel for the route
/// and sends nothing.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address set aside for documentation (RFC 5737): any address outside the Pod gives the same answer.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
