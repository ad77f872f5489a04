//! Connections to the Pod's own loopback interface, for `kubectl port-forward`: made here, where that interface is, and
//! handed to the kubelet as a descriptor.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{ClientId, Supervisor};
use crate::error::errno_text;
use crate::protocol::Reply;

/// A connection on its way.
pub(super) struct Connecting {
    client: ClientId,
    port: u16,
    socket: OwnedFd,
    over: bool,
}

impl Connecting {
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }
}

impl Supervisor {
    pub(super) fn connect(&mut self, client: ClientId, port: u16) {
        match begin(IpAddr::V4(Ipv4Addr::LOCALHOST), port) {
            Ok((socket, true)) => self.reply(client, &Reply::Connected, &[socket.as_fd()]),
            Ok((socket, false)) => self.connecting.push(Connecting { client, port, socket, over: false }),
            Err(errno) => self.connect_refused(client, port, errno),
        }
    }

    pub(super) fn connect_reported(&mut self, index: usize) {
        let connecting = &mut self.connecting[index];
        connecting.over = true;
        let (client, port) = (connecting.client, connecting.port);
        match rustix::net::sockopt::socket_error(&connecting.socket).and_then(|result| result) {
            Ok(()) => {
                let Ok(socket) = connecting.socket.try_clone() else {
                    return self.connect_refused(client, port, Errno::MFILE);
                };
                self.reply(client, &Reply::Connected, &[socket.as_fd()]);
            }
            Err(errno) => self.connect_refused(client, port, errno),
        }
    }

    /// Nobody listens on 127.0.0.1; perhaps on ::1, which answers at once, being refused or not.
    fn connect_refused(&mut self, client: ClientId, port: u16, refused: Errno) {
        match begin(IpAddr::V6(Ipv6Addr::LOCALHOST), port) {
            Ok((socket, true)) => self.reply(client, &Reply::Connected, &[socket.as_fd()]),
            _ => {
                let message = format!("dial tcp4 127.0.0.1:{port}: connect: {}", errno_text(refused));
                self.reply(client, &Reply::Failed { message }, &[]);
            }
        }
    }
}

/// Starts to connect. True: the connection is there already.
fn begin(address: IpAddr, port: u16) -> Result<(OwnedFd, bool), Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddr::new(address, port)) {
        Ok(()) => Ok((socket, true)),
        Err(Errno::INPROGRESS) => Ok((socket, false)),
        Err(errno) => Err(errno),
    }
}
