//! Request Details: what reached the program, and on which of its addresses.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use axum::extract::{ConnectInfo, Request, State};
use axum::response::Html;

use super::Shared;
use super::page::{Liveness, escape, prefix_of, render};
use crate::server::plain;

pub(super) async fn show(
    State(kuard): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Html<String> {
    let mut dump = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        // Writing to a String cannot fail.
        let _ = writeln!(dump, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let address = own_address().map_or_else(|| "none".to_owned(), |address| address.to_string());
    let content = format!(
        "<table>\n<tr><th scope=\"row\">Host name</th><td>{host}</td></tr>\n\
         <tr><th scope=\"row\">Address</th><td>{address}</td></tr>\n\
         <tr><th scope=\"row\">Protocol</th><td>{protocol:?}</td></tr>\n\
         <tr><th scope=\"row\">Client address</th><td>{client}</td></tr>\n</table>\n\
         <h3>The request as it came in</h3>\n<pre>{dump}</pre>",
        host = escape(&kuard.hostname),
        protocol = request.version(),
        client = plain(client),
        dump = escape(dump),
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
