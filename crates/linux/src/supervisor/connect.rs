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
    /// How 127.0.0.1 refused, when this is the second try, to ::1.
    refused: Option<Errno>,
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
        self.try_connect(client, IpAddr::V4(Ipv4Addr::LOCALHOST), port, None);
    }

    fn try_connect(&mut self, client: ClientId, address: IpAddr, port: u16, refused: Option<Errno>) {
        match begin(address, port) {
            Ok((socket, true)) => self.reply(client, &Reply::Connected, &[socket.as_fd()]),
            Ok((socket, false)) => self.connecting.push(Connecting { client, port, socket, refused, over: false }),
            Err(errno) => self.connect_refused(client, port, refused, errno),
        }
    }

    pub(super) fn connect_reported(&mut self, index: usize) {
        let connecting = &mut self.connecting[index];
        connecting.over = true;
        let (client, port, before) = (connecting.client, connecting.port, connecting.refused);
        let result = rustix::net::sockopt::socket_error(&connecting.socket).and_then(|result| result);
        match result.and_then(|()| rustix::io::fcntl_dupfd_cloexec(&connecting.socket, 3)) {
            Ok(socket) => self.reply(client, &Reply::Connected, &[socket.as_fd()]),
            Err(errno) => self.connect_refused(client, port, before, errno),
        }
    }

    /// Nobody listens on 127.0.0.1; perhaps on ::1. The answer tells of the first.
    fn connect_refused(&mut self, client: ClientId, port: u16, before: Option<Errno>, refused: Errno) {
        let Some(first) = before else {
            return self.try_connect(client, IpAddr::V6(Ipv6Addr::LOCALHOST), port, Some(refused));
        };
        let message = format!("dial tcp4 127.0.0.1:{port}: connect: {}", errno_text(first));
        self.reply(client, &Reply::Failed { message }, &[]);
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
