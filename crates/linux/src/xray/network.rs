//! A network namespace, as the files under `/proc/PID/net` show it to whoever may look at the process.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::processes::read;

/// A port that a process waits at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listening {
    pub port: u16,
    pub protocol: Protocol,
    pub address: IpAddr,
    /// `None`: the process that holds the Pod.
    pub container: Option<String>,
    /// On the node.
    pub pid: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// The own IPv4 addresses in the text of `net/fib_trie`, without loopback: the leaves that are `host LOCAL`.
pub(super) fn addresses(trie: &str) -> Vec<IpAddr> {
    let mut found: Vec<Ipv4Addr> = Vec::new();
    let mut leaf = None;
    for line in trie.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            leaf = address.trim().parse().ok();
        } else if line.contains("/32 host LOCAL") {
            found.extend(leaf.filter(|address: &Ipv4Addr| !address.is_loopback()));
        }
    }
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(IpAddr::from).collect()
}

/// The links in the text of `net/dev`: after two lines of headings, a line each.
pub(super) fn interfaces(text: &str) -> Vec<String> {
    text.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

/// The inodes of the sockets that a process has open.
pub(super) fn sockets(pid: i32) -> Vec<u64> {
    /// A process may have a million descriptors; its servers' are among the first.
    const LIMIT: usize = 4096;
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().take(LIMIT);
    let links = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

/// The ports that these sockets wait at, in the network namespace of a process.
pub(super) fn listening(pid: i32, sockets: &BTreeMap<u64, (Option<String>, i32)>) -> Vec<Listening> {
    let files = [("tcp", Protocol::Tcp), ("tcp6", Protocol::Tcp), ("udp", Protocol::Udp), ("udp6", Protocol::Udp)];
    let lines = files.into_iter().flat_map(|(file, protocol)| {
        let waiting: Vec<_> =
            read(pid, &format!("net/{file}")).lines().filter_map(|line| parse(line, protocol)).collect();
        waiting.into_iter().map(move |found| (protocol, found))
    });
    let mut found: Vec<_> = lines
        .filter_map(|(protocol, (address, port, inode))| {
            let (container, pid) = sockets.get(&inode)?.clone();
            Some(Listening { port, protocol, address, container, pid })
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Address, port and inode of a line of `net/tcp` or `net/udp`, when the socket waits for whoever comes.
fn parse(line: &str, protocol: Protocol) -> Option<(IpAddr, u16, u64)> {
    /// TCP_LISTEN, and for UDP, which knows no connections, TCP_CLOSE (include/net/tcp_states.h).
    const STATES: [(Protocol, &str); 2] = [(Protocol::Tcp, "0A"), (Protocol::Udp, "07")];
    let fields: Vec<_> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    if !STATES.contains(&(protocol, state)) {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some((self::address(address)?, u16::from_str_radix(port, 16).ok()?, inode.parse().ok()?))
}

/// An address as the kernel prints it there: each four bytes as one number of this machine's byte order.
fn address(text: &str) -> Option<IpAddr> {
    let words = text.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_the_local_leaves() {
        let trie = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.244.0.0/24 2 0 2
        |-- 10.244.0.5
           /32 host LOCAL
        |-- 10.244.0.255
           /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
Local:
        |-- 10.244.0.5
           /32 host LOCAL
";
        assert_eq!(addresses(trie), ["10.244.0.5".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn links_follow_the_headings() {
        let text = "Inter-|   Receive\n face |bytes\n    lo:     0 0\n  eth0:  1 2\n";
        assert_eq!(interfaces(text), ["lo", "eth0"]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_of_a_waiting_socket() {
        let line = |address: &str, state: &str| {
            format!("   0: {address}:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 4711 1 x")
        };
        let found = parse(&line("0100007F", "0A"), Protocol::Tcp);
        assert_eq!(found, Some((IpAddr::from([127, 0, 0, 1]), 8080, 4711)));
        let found = parse(&line("00000000000000000000000001000000", "0A"), Protocol::Tcp);
        assert_eq!(found.map(|(address, ..)| address), Some(IpAddr::from(Ipv6Addr::LOCALHOST)));
        assert_eq!(parse(&line("0100007F", "01"), Protocol::Tcp), None, "a connection");
        assert!(parse(&line("0100007F", "07"), Protocol::Udp).is_some());
        for broken in ["", "  sl  local_address rem_address   st", "0: XX:1 y 0A a b c d e 1"] {
            assert_eq!(parse(broken, Protocol::Tcp), None, "{broken}");
        }
    }
}
