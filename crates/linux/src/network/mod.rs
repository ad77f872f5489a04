//! Links, addresses and routes.
//!
//! Three layers of the same few parts. In the fabric's network namespace the bridge `podlab0` connects the nodes; in
//! a node's the bridge `cni0` connects its Pods; a pair of virtual Ethernet links ([`Netlink::veth`]) is the cable
//! from a bridge into the namespace below it, where its end is called `eth0`. Nothing of the host's own network is
//! touched.
//!
//! ```text
//! fabric   podlab0 10.99.0.254/24 ──┬── node1            ──┬── node2
//! node              eth0 10.99.0.1/24, cni0 10.244.0.1/24  eth0 10.99.0.2/24, cni0 10.244.1.1/24
//! Pod                        eth0 10.244.0.2/24 …                  eth0 10.244.1.2/24 …
//! ```

mod balancer;
mod netlink;
mod nftables;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use balancer::{Balancer, Entrance, NAME_LIMIT, Pool};
pub use netlink::{Link, Netlink};
pub use nftables::Protocol;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use crate::error::{During, Refusal};
use crate::rootfs::Mount;

/// A block of addresses: `10.244.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub address: Ipv4Addr,
    pub prefix: u8,
}

impl std::fmt::Display for Block {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

/// The addresses of the node with this index (from 1).
pub fn node_address(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, index)
}

/// The block a node's Pods get their addresses from, wide enough for so many. Its first is the node's own, on the bridge.
pub fn pod_block(index: u8, pods: u32) -> Block {
    let before = u32::from(index.saturating_sub(1));
    let (first, prefix) = if pods <= USUAL_BLOCK_PODS { (POD_BLOCKS, PREFIX) } else { (WIDE_POD_BLOCKS, WIDE_PREFIX) };
    Block { address: Ipv4Addr::from(u32::from(first) + (before << (32 - prefix))), prefix }
}

/// The addresses of nodes.
pub const NODE_BLOCK: Block = Block { address: Ipv4Addr::new(10, 99, 0, 0), prefix: PREFIX };

/// The fabric's own address between the nodes.
pub const FABRIC_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 254);

/// The bridge between the nodes.
pub const FABRIC_BRIDGE: &str = "podlab0";

/// The bridge between a node's Pods.
pub const POD_BRIDGE: &str = "cni0";

const PREFIX: u8 = 24;

/// Where the blocks of nodes' Pods begin, and how many Pods one has addresses for: not the block's own, not the
/// bridge's, not that for broadcasts.
const POD_BLOCKS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 0);
const USUAL_BLOCK_PODS: u32 = 253;

/// The same for nodes that take more. A bridge has at most 1,023 ports (`BR_MAX_PORTS`), so a wider one is of no use.
const WIDE_POD_BLOCKS: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
const WIDE_PREFIX: u8 = 22;

/// The most Pods that a node can be told to take.
pub const MOST_PODS: u32 = 1000;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Makes the network between the nodes, in this process's network namespace.
pub fn set_up_fabric() -> Result<(), Refusal> {
    let netlink = Netlink::open()?;
    netlink.up(Link::LOOPBACK)?;
    let bridge = netlink.bridge(FABRIC_BRIDGE)?;
    netlink.address(bridge, FABRIC_ADDRESS, PREFIX)?;
    netlink.up(bridge)?;
    forward()
}

/// Lays a cable from the fabric's bridge into a node's namespace and makes that node's Pods reachable from here.
pub fn connect_node(index: u8, node_namespace: BorrowedFd<'_>) -> Result<(), Refusal> {
    let netlink = Netlink::open()?;
    let bridge = netlink.find(FABRIC_BRIDGE)?;
    let cable = format!("node{index}");
    // The kernel takes a namespace down at its leisure: the cable of a node that has just ended may still be there.
    netlink.remove(&cable)?;
    netlink.veth(&cable, bridge, "eth0", node_namespace)
}

/// Routes to a node's Pods, from the fabric or from another node. The node's end of the cable must be up.
pub fn route_to_pods(block: Block, node: Ipv4Addr) -> Result<(), Refusal> {
    Netlink::open()?.route(block, node)
}

/// A socket that all nodes and Pods reach at a port of [`FABRIC_ADDRESS`]. To be called in the fabric.
pub fn listen_for_nodes(port: u16) -> Result<OwnedFd, Refusal> {
    let address = SocketAddrV4::new(FABRIC_ADDRESS, port);
    let socket = socket_to_nodes()?;
    // Connections of the last one that listened may linger.
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true).during("share", address)?;
    rustix::net::bind(&socket, &address).during("bind", address)?;
    rustix::net::listen(&socket, BACKLOG).during("listen on", address)?;
    Ok(socket)
}

/// A TCP socket in this process's network namespace, for use in an event loop. Whoever it is given to speaks from here.
pub fn socket_to_nodes() -> Result<OwnedFd, Refusal> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).during("make", "socket")
}

/// Makes a node's own network, in this process's network namespace, once its end of the cable is there.
pub fn set_up_node(index: u8, block: Block) -> Result<(), Refusal> {
    let netlink = Netlink::open()?;
    netlink.up(Link::LOOPBACK)?;
    let cable = netlink.find("eth0")?;
    netlink.address(cable, node_address(index), PREFIX)?;
    netlink.up(cable)?;
    // The fabric knows the way to every other node's Pods.
    netlink.route(Block { address: Ipv4Addr::UNSPECIFIED, prefix: 0 }, FABRIC_ADDRESS)?;

    let bridge = netlink.bridge(POD_BRIDGE)?;
    netlink.address(bridge, first(block), block.prefix)?;
    netlink.up(bridge)?;
    forward()?;
    // Pods reach their neighbours through the node (see `set_up_pod`); it must not tell them of the shorter way.
    for interface in ["all", POD_BRIDGE] {
        configure(&format!("sys/net/ipv4/conf/{interface}/send_redirects"), "0")?;
    }
    Ok(())
}

// ANCHOR: pod
/// Makes a Pod's network: `node` was opened in the node's network namespace, this process is in the Pod's.
///
/// The node's end of the cable is named after the address's place in the block (in a `/24` the last byte), so that
/// `ip link` on the node reads like the list of its Pods. Everything goes by way of the node, to the Pods on the same bridge too: an answer to a
/// connection that the node has sent elsewhere ([`Balancer`]) has to pass the node again.
pub fn set_up_pod(node: &Netlink, block: Block, address: Ipv4Addr) -> Result<(), Refusal> {
    let namespace = open_own_namespace()?;
    let bridge = node.find(POD_BRIDGE)?;
    let name = format!("veth{}", u32::from(address) - u32::from(block.address));
    node.veth(&name, bridge, "eth0", std::os::fd::AsFd::as_fd(&namespace))?;
    node.hairpin(&name)?;

    let pod = Netlink::open()?;
    pod.up(Link::LOOPBACK)?;
    let cable = pod.find("eth0")?;
    pod.address_alone(cable, address, block.prefix)?;
    pod.up(cable)?;
    pod.neighbour(cable, first(block))?;
    pod.route(Block { address: Ipv4Addr::UNSPECIFIED, prefix: 0 }, first(block))
}
// ANCHOR_END: pod

/// The first usable address of a block: the bridge's.
pub fn first(block: Block) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(block.address) + 1)
}

/// The next address for a Pod after `last`, in rising order and round again at the end; `None` when all are taken.
/// Rising order keeps an address from meaning another Pod a moment after its own is gone.
pub fn next_address(block: Block, last: Option<Ipv4Addr>, taken: impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
    let base = u32::from(block.address);
    let size = 1_u32.checked_shl(32 - u32::from(block.prefix)).unwrap_or(u32::MAX);
    // Not the network's own, not the bridge's, not the broadcast address.
    let (low, high) = (base + 2, base + size - 2);
    let last = last.map(u32::from).filter(|last| (low..=high).contains(last)).unwrap_or(low - 1);
    (last + 1..=high).chain(low..=last).map(Ipv4Addr::from).find(|address| !taken(*address))
}

/// A descriptor of this process's network namespace.
pub fn open_own_namespace() -> Result<OwnedFd, Refusal> {
    use rustix::fs::{Mode, OFlags};
    let path = "/proc/self/ns/net";
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).during("open", path)
}

/// Packets may pass through this network namespace (the setting belongs to the namespace of who writes it).
fn forward() -> Result<(), Refusal> {
    configure("sys/net/ipv4/ip_forward", "1")
}

/// Writes a setting below `/proc`.
fn configure(setting: &str, value: &str) -> Result<(), Refusal> {
    use rustix::fs::{Mode, OFlags};
    let proc = "/proc";
    let write = |proc: BorrowedFd<'_>| {
        let file = rustix::fs::openat(proc, setting, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, value.as_bytes()).map(drop)
    };
    let shown = rustix::fs::open(proc, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).during("open", proc)?;
    let written = match write(shown.as_fd()) {
        // In a container `/proc/sys` is write-protected: a mount. Another view of the same files is not.
        Err(Errno::ROFS) => match Mount::new("proc", &[], MountAttrFlags::empty()) {
            Ok(own) => write(own.as_fd()),
            Err(_) => Err(Errno::ROFS),
        },
        other => other,
    };
    written.during("write", format_args!("{proc}/{setting}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_many_pods_has_a_wide_block() {
        let text = |index, pods| pod_block(index, pods).to_string();
        assert_eq!([text(1, 110), text(2, 253), text(250, 1)], ["10.244.0.0/24", "10.244.1.0/24", "10.244.249.0/24"]);
        assert_eq!(
            [text(1, 254), text(2, 500), text(250, 1000)],
            ["10.128.0.0/22", "10.128.4.0/22", "10.131.228.0/22"]
        );
        for pods in [USUAL_BLOCK_PODS, MOST_PODS] {
            let mut given = std::collections::BTreeSet::new();
            while given.len() < pods as usize {
                let next = next_address(pod_block(1, pods), given.last().copied(), |address| given.contains(&address));
                assert!(given.insert(next.unwrap()));
            }
        }
    }

    #[test]
    fn addresses_rise_and_come_round() {
        let block = pod_block(2, 110);
        let of = |last| Ipv4Addr::new(10, 244, 1, last);
        assert_eq!(first(block), of(1));
        assert_eq!(next_address(block, None, |_| false), Some(of(2)));
        assert_eq!(next_address(block, Some(of(2)), |_| false), Some(of(3)));
        assert_eq!(next_address(block, Some(of(254)), |address| address == of(2)), Some(of(3)));
        assert_eq!(next_address(block, Some(of(9)), |address| address != of(9)), Some(of(9)));
        assert_eq!(next_address(block, Some(of(9)), |_| true), None);
        // An address of another block says nothing about this one.
        assert_eq!(next_address(block, Some(Ipv4Addr::new(10, 0, 0, 9)), |_| false), Some(of(2)));
    }
}
