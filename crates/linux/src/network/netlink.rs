//! Asking the kernel for links, addresses and routes: rtnetlink(7), one request, one answer.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;

use crate::error::{During, Refusal};

/// A link by its number in its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(u32);

impl Link {
    /// `lo` is the first link of every network namespace.
    pub const LOOPBACK: Self = Self(1);
}

/// A line to the kernel. It stays in the network namespace in which it was opened, wherever its process goes.
pub struct Netlink {
    socket: Socket,
}

impl Netlink {
    /// Opens a line in this process's network namespace.
    pub fn open() -> Result<Self, Refusal> {
        let open = || {
            let socket = Socket::new(NETLINK_ROUTE)?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(Self { socket })
        };
        std::io::Result::during(open(), "open", "netlink socket")
    }

    /// The link of this name.
    pub fn find(&self, name: &str) -> Result<Link, Refusal> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.ask(RouteNetlinkMessage::GetLink(message), 0).during("find link", name)? {
            Some(RouteNetlinkMessage::NewLink(link)) => Ok(Link(link.header.index)),
            _ => Err(Errno::NODEV).during("find link", name),
        }
    }

    /// Makes a bridge: a switch that links can be plugged into.
    pub fn bridge(&self, name: &str) -> Result<Link, Refusal> {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
        ];
        self.ask(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL).during("create bridge", name)?;
        self.find(name)
    }

    /// Makes a cable of two links: the near end `name`, up and plugged into a bridge here; the far end `peer` in the
    /// network namespace `namespace`.
    pub fn veth(&self, name: &str, bridge: Link, peer: &str, namespace: BorrowedFd<'_>) -> Result<(), Refusal> {
        let mut far = LinkMessage::default();
        far.attributes = vec![LinkAttribute::IfName(peer.to_owned()), LinkAttribute::NetNsFd(namespace.as_raw_fd())];
        let mut near = LinkMessage::default();
        near.header.flags = LinkFlags::Up;
        near.header.change_mask = LinkFlags::Up;
        near.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Controller(bridge.0),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
            ]),
        ];
        self.ask(RouteNetlinkMessage::NewLink(near), NLM_F_CREATE | NLM_F_EXCL).during("create link", name).map(drop)
    }

    /// Lets a bridge send a packet back to where it came from, which a connection of a Pod to itself by way of a shared
    /// address needs on machines whose bridges apply packet rules (`br_netfilter`).
    pub fn hairpin(&self, port: &str) -> Result<(), Refusal> {
        let mut message = LinkMessage::default();
        message.header.index = self.find(port)?.0;
        message.attributes = vec![LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(true)])),
        ])];
        self.ask(RouteNetlinkMessage::NewLink(message), 0).during("set hairpin mode of", port).map(drop)
    }

    /// Switches a link on.
    pub fn up(&self, link: Link) -> Result<(), Refusal> {
        let mut message = LinkMessage::default();
        message.header.index = link.0;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.ask(RouteNetlinkMessage::SetLink(message), 0).during("switch on link", link.0).map(drop)
    }

    /// Removes the link of this name (and, with a cable, its other end). One that is not there is no error.
    pub fn remove(&self, name: &str) -> Result<(), Refusal> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.ask(RouteNetlinkMessage::DelLink(message), 0) {
            Ok(_) | Err(Errno::NODEV) => Ok(()),
            Err(errno) => Err(errno).during("remove link", name),
        }
    }

    /// Gives a link an address; what else is in its block is reached over the link.
    pub fn address(&self, link: Link, address: Ipv4Addr, prefix: u8) -> Result<(), Refusal> {
        self.add_address(link, address, prefix, None)
    }

    /// Gives a link an address, and no route to what else is in its block.
    pub fn address_alone(&self, link: Link, address: Ipv4Addr, prefix: u8) -> Result<(), Refusal> {
        self.add_address(link, address, prefix, Some(AddressFlags::Noprefixroute))
    }

    fn add_address(
        &self,
        link: Link,
        address: Ipv4Addr,
        prefix: u8,
        flags: Option<AddressFlags>,
    ) -> Result<(), Refusal> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = prefix;
        message.header.index = link.0;
        let broadcast = Ipv4Addr::from(u32::from(address) | u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0));
        message.attributes = vec![
            AddressAttribute::Local(IpAddr::V4(address)),
            AddressAttribute::Address(IpAddr::V4(address)),
            AddressAttribute::Broadcast(broadcast),
        ];
        message.attributes.extend(flags.map(AddressAttribute::Flags));
        self.ask(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
            .during("add address", format_args!("{address}/{prefix}"))
            .map(drop)
    }

    /// Makes one address known to be at the other end of a link.
    pub fn neighbour(&self, link: Link, address: Ipv4Addr) -> Result<(), Refusal> {
        let mut message = unicast(32, RouteScope::Link);
        message.attributes =
            vec![RouteAttribute::Destination(RouteAddress::Inet(address)), RouteAttribute::Oif(link.0)];
        self.add_route(message, format_args!("{address} on link {}", link.0))
    }

    /// Sends what goes to `destination` (all of it with prefix 0) to `gateway`. A route that is there is no error.
    pub fn route(&self, destination: super::Block, gateway: Ipv4Addr) -> Result<(), Refusal> {
        let mut message = unicast(destination.prefix, RouteScope::Universe);
        message.attributes = vec![RouteAttribute::Gateway(RouteAddress::Inet(gateway))];
        if destination.prefix > 0 {
            message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(destination.address)));
        }
        self.add_route(message, format_args!("{destination} via {gateway}"))
    }

    fn add_route(&self, message: RouteMessage, what: std::fmt::Arguments<'_>) -> Result<(), Refusal> {
        match self.ask(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL) {
            Ok(_) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno).during("add route to", what),
        }
    }

    /// Sends one request and reads its answer.
    fn ask(&self, request: RouteNetlinkMessage, flags: u16) -> Result<Option<RouteNetlinkMessage>, Errno> {
        let asked_for_data = matches!(request, RouteNetlinkMessage::GetLink(_));
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | flags | if asked_for_data { 0 } else { NLM_F_ACK };
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let from_io = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        self.socket.send(&bytes, 0).map_err(from_io)?;

        let (answer, _) = self.socket.recv_from_full().map_err(from_io)?;
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(|_| Errno::PROTO)?.payload {
            NetlinkPayload::Error(error) => match error.code {
                None => Ok(None),
                Some(code) => Err(Errno::from_raw_os_error(-code.get())),
            },
            NetlinkPayload::InnerMessage(message) => Ok(Some(message)),
            _ => Err(Errno::PROTO),
        }
    }
}

/// A route without its ends.
fn unicast(prefix: u8, scope: RouteScope) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = prefix;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = scope;
    message.header.kind = RouteType::Unicast;
    message
}
