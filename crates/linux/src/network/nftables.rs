//! Speaking nf_tables(7): rules for packets, changed in transactions.
//!
//! A transaction is a batch of messages of which the kernel takes all or none (linux/netfilter/nf_tables.h gives the
//! numbers; an attribute is a length, a kind and a value, in which numbers are big-endian). A rule is a row of small
//! machine words: load a field into a register, compare it, act. What is written here reads in a shell on the node as
//! `nft list ruleset`.

use std::net::Ipv4Addr;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;

/// The subsystem of nfnetlink that this is.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// Messages.
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const DELETE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const DELETE_SET: u16 = 11;
/// Flags of a message (netlink(7)).
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;

/// The registers in use: an address or whatever is compared, and a port.
const VALUE: u32 = 1;
const PORT: u32 = 2;
const VERDICT: u32 = 0;
/// Verdicts: let it pass; go to that chain and come back; and do not come back.
const ACCEPT: u32 = 1;
const JUMP: i32 = -3;
const GOTO: i32 = -4;

/// What passes a base chain: the hooks of netfilter, by their numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hook {
    Prerouting = 0,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

/// Protocols with ports, by their numbers (RFC 790 and its successors).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp = 6,
    Udp = 17,
    Sctp = 132,
}

/// A transaction on one table of family IPv4.
pub(super) struct Transaction {
    table: String,
    bytes: Vec<u8>,
    sequence: u32,
    /// Where the last message begins.
    last: usize,
}

impl Transaction {
    pub(super) fn on(table: &str) -> Self {
        let mut transaction = Self { table: table.to_owned(), bytes: Vec::new(), sequence: 0, last: 0 };
        transaction.raw(BATCH_BEGIN, REQUEST, 0, SUBSYSTEM, &[]);
        transaction
    }

    /// Makes the table, whether it is there or not.
    pub(super) fn table(&mut self) {
        self.message(NEW_TABLE, CREATE, &Attributes::default().text(1, &self.table));
    }

    pub(super) fn delete_table(&mut self) {
        self.message(DELETE_TABLE, 0, &Attributes::default().text(1, &self.table));
    }

    /// A chain that packets pass at a hook; `kind` is `nat` or `filter`.
    pub(super) fn base_chain(&mut self, name: &str, kind: &str, hook: Hook, priority: i32) {
        let at = Attributes::default().number(1, hook as u32).number(2, priority.cast_unsigned());
        let chain = Attributes::default().text(1, &self.table).text(3, name).nest(4, &at).text(7, kind);
        self.message(NEW_CHAIN, CREATE, &chain);
    }

    /// A chain that rules go to.
    pub(super) fn chain(&mut self, name: &str) {
        self.message(NEW_CHAIN, CREATE, &Attributes::default().text(1, &self.table).text(3, name));
    }

    pub(super) fn delete_chain(&mut self, name: &str) {
        self.message(DELETE_CHAIN, 0, &Attributes::default().text(1, &self.table).text(3, name));
    }

    pub(super) fn rule(&mut self, chain: &str, rule: &Rule) {
        let message = Attributes::default().text(1, &self.table).text(2, chain).nest(4, &rule.expressions);
        self.message(NEW_RULE, CREATE | APPEND, &message);
    }

    /// Removes the rules of all chains.
    pub(super) fn delete_rules(&mut self) {
        self.message(DELETE_RULE, 0, &Attributes::default().text(1, &self.table));
    }

    /// A set of addresses that rules add to, and that forgets each after `seconds`.
    pub(super) fn addresses(&mut self, name: &str, seconds: u32, size: u32) {
        const TIMEOUT: u32 = 0x10;
        const ADDED_BY_RULES: u32 = 0x20;
        /// What `nft` calls the type; the kernel only keeps it.
        const IPV4_ADDRESS: u32 = 7;
        self.sequence += 1;
        let set = Attributes::default()
            .text(1, &self.table)
            .text(2, name)
            .number(3, TIMEOUT | ADDED_BY_RULES)
            .number(4, IPV4_ADDRESS)
            .number(5, 4)
            .nest(9, &Attributes::default().number(1, size))
            .number(10, self.sequence)
            .value(11, &(u64::from(seconds) * 1000).to_be_bytes());
        self.message(NEW_SET, CREATE, &set);
    }

    pub(super) fn delete_set(&mut self, name: &str) {
        self.message(DELETE_SET, 0, &Attributes::default().text(1, &self.table).text(2, name));
    }

    fn message(&mut self, kind: u16, flags: u16, attributes: &Attributes) {
        const IPV4: u8 = 2;
        self.raw(SUBSYSTEM << 8 | kind, REQUEST | flags, IPV4, 0, &attributes.0);
    }

    fn raw(&mut self, kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]) {
        self.sequence += 1;
        self.last = self.bytes.len();
        let length = 16 + 4 + attributes.len() as u32;
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(attributes);
    }

    /// Has the kernel take it, in the network namespace that `line` was opened in.
    pub(super) fn commit(mut self, line: &Line) -> Result<(), Errno> {
        // The last message is answered whatever happens; others only when something is wrong with them.
        let flags = u16::from_ne_bytes([self.bytes[self.last + 6], self.bytes[self.last + 7]]) | ACKNOWLEDGE;
        self.bytes[self.last + 6..self.last + 8].copy_from_slice(&flags.to_ne_bytes());
        let awaited = self.sequence;
        self.raw(BATCH_END, REQUEST, 0, SUBSYSTEM, &[]);
        line.ask(&self.bytes, awaited)
    }
}

/// A rule under construction: what is said first is done first.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    expressions: Attributes,
}

/// Where the fields of an IPv4 header lie.
const SOURCE_ADDRESS: u32 = 12;
const DESTINATION_ADDRESS: u32 = 16;

impl Rule {
    pub(super) fn to(self, address: Ipv4Addr) -> Self {
        self.header(DESTINATION_ADDRESS).equals(&address.octets())
    }

    pub(super) fn within(self, block: super::Block) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(block.prefix)).unwrap_or(0);
        let network = u32::from(block.address) & mask;
        let masked = Attributes::default()
            .number(1, VALUE)
            .number(2, VALUE)
            .number(3, 4)
            .nest(4, &Attributes::default().value(1, &mask.to_be_bytes()))
            .nest(5, &Attributes::default().value(1, &[0; 4]));
        self.header(DESTINATION_ADDRESS).expression("bitwise", &masked).equals(&network.to_be_bytes())
    }

    pub(super) fn from(self, address: Ipv4Addr) -> Self {
        self.header(SOURCE_ADDRESS).equals(&address.octets())
    }

    /// TCP, UDP and SCTP have the destination's port at the same place.
    pub(super) fn at_port(self, protocol: Protocol, port: u16) -> Self {
        const TRANSPORT_HEADER: u32 = 2;
        let field = Attributes::default().number(1, VALUE).number(2, TRANSPORT_HEADER).number(3, 2).number(4, 2);
        self.of_protocol(protocol).expression("payload", &field).equals(&port.to_be_bytes())
    }

    pub(super) fn source_is_in(self, set: &str) -> Self {
        self.header(SOURCE_ADDRESS).expression("lookup", &Attributes::default().text(1, set).number(2, VALUE))
    }

    /// Puts the source into a set, or makes its time there begin anew.
    pub(super) fn remember_source(self, set: &str) -> Self {
        const UPDATE: u32 = 1;
        let update = Attributes::default().text(1, set).number(3, UPDATE).number(4, VALUE);
        self.header(SOURCE_ADDRESS).expression("dynset", &update)
    }

    /// True for one connection in `of`, by lot.
    pub(super) fn one_in(self, of: u32) -> Self {
        const RANDOM: u32 = 1;
        let lot = Attributes::default().number(1, VALUE).number(2, of).number(3, RANDOM);
        self.expression("numgen", &lot).equals(&0_u32.to_ne_bytes())
    }

    pub(super) fn mark(self, mark: u32) -> Self {
        let load = Attributes::default().number(1, VALUE).nest(2, &Attributes::default().value(1, &mark.to_ne_bytes()));
        self.expression("immediate", &load).expression("meta", &Attributes::default().number(2, MARK).number(3, VALUE))
    }

    pub(super) fn with_mark(self, mark: u32) -> Self {
        self.expression("meta", &Attributes::default().number(1, VALUE).number(2, MARK)).equals(&mark.to_ne_bytes())
    }

    pub(super) fn jump(self, chain: &str) -> Self {
        self.verdict(JUMP, chain)
    }

    pub(super) fn goto(self, chain: &str) -> Self {
        self.verdict(GOTO, chain)
    }

    /// Lets the packet pass this hook.
    pub(super) fn accept(self) -> Self {
        self.decide(&Attributes::default().number(1, ACCEPT))
    }

    fn verdict(self, code: i32, chain: &str) -> Self {
        self.decide(&Attributes::default().number(1, code.cast_unsigned()).text(2, chain))
    }

    fn decide(self, verdict: &Attributes) -> Self {
        let load = Attributes::default().number(1, VERDICT).nest(2, &Attributes::default().nest(2, verdict));
        self.expression("immediate", &load)
    }

    /// Sends the connection elsewhere.
    pub(super) fn translate(self, address: Ipv4Addr, port: u16) -> Self {
        const DESTINATION: u32 = 1;
        const IPV4: u32 = 2;
        let load = |register, bytes: &[u8]| {
            Attributes::default().number(1, register).nest(2, &Attributes::default().value(1, bytes))
        };
        let nat = Attributes::default().number(1, DESTINATION).number(2, IPV4).number(3, VALUE).number(5, PORT);
        self.expression("immediate", &load(VALUE, &address.octets()))
            .expression("immediate", &load(PORT, &port.to_be_bytes()))
            .expression("nat", &nat)
    }

    /// Makes this node the connection's source.
    pub(super) fn masquerade(self) -> Self {
        self.expression("masq", &Attributes::default())
    }

    /// Answers that the port is closed, as TCP says it. An ICMP message may come while the socket that connects is
    /// still locked, and is then taken for a passing trouble.
    pub(super) fn reset(self) -> Self {
        const TCP_RESET: u32 = 1;
        self.of_protocol(Protocol::Tcp).expression("reject", &Attributes::default().number(1, TCP_RESET))
    }

    /// Answers that the port is closed.
    pub(super) fn reject(self) -> Self {
        const ICMP_UNREACHABLE: u32 = 0;
        const PORT_UNREACHABLE: u8 = 3;
        let how = Attributes::default().number(1, ICMP_UNREACHABLE).value(2, &[PORT_UNREACHABLE]);
        self.expression("reject", &how)
    }

    fn of_protocol(self, protocol: Protocol) -> Self {
        const LAYER_4_PROTOCOL: u32 = 16;
        let load = Attributes::default().number(1, VALUE).number(2, LAYER_4_PROTOCOL);
        self.expression("meta", &load).equals(&[protocol as u8])
    }

    fn header(self, offset: u32) -> Self {
        const NETWORK_HEADER: u32 = 1;
        let field = Attributes::default().number(1, VALUE).number(2, NETWORK_HEADER).number(3, offset).number(4, 4);
        self.expression("payload", &field)
    }

    fn equals(self, bytes: &[u8]) -> Self {
        const EQUAL: u32 = 0;
        let data = Attributes::default().value(1, bytes);
        self.expression("cmp", &Attributes::default().number(1, VALUE).number(2, EQUAL).nest(3, &data))
    }

    fn expression(self, name: &str, data: &Attributes) -> Self {
        let expression = Attributes::default().text(1, name).nest(2, data);
        Self { expressions: self.expressions.nest(1, &expression) }
    }
}

/// The key of `meta` that is a packet's mark.
const MARK: u32 = 3;

/// Attributes of netlink, one after the other.
#[derive(Clone, Debug, Default)]
struct Attributes(Vec<u8>);

impl Attributes {
    fn value(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn number(self, kind: u16, number: u32) -> Self {
        self.value(kind, &number.to_be_bytes())
    }

    fn text(self, kind: u16, text: &str) -> Self {
        self.value(kind, &[text.as_bytes(), &[0]].concat())
    }

    fn nest(self, kind: u16, inner: &Self) -> Self {
        self.value(NESTED | kind, &inner.0)
    }
}

/// A line to nf_tables. It stays in the network namespace in which it was opened.
pub(super) struct Line {
    socket: Socket,
}

impl Line {
    pub(super) fn open() -> Result<Self, Errno> {
        let open = || {
            let socket = Socket::new(NETLINK_NETFILTER)?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // A batch goes in one piece. Who may change rules may also have as large a buffer as that takes.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(&socket, SEND_BUFFER);
            Ok(Self { socket })
        };
        open().map_err(|error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// Sends a batch, and waits for the answer to the message with this number or for the first refusal.
    fn ask(&self, batch: &[u8], awaited: u32) -> Result<(), Errno> {
        const ERROR: u16 = 2;
        let from_io = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        self.drain();
        self.socket.send(batch, 0).map_err(from_io)?;
        loop {
            let (answer, _) = self.socket.recv_from_full().map_err(from_io)?;
            let mut rest = answer.as_slice();
            while let Some((head, body)) = rest.split_at_checked(16) {
                let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
                let kind = u16::from_ne_bytes([head[4], head[5]]);
                let sequence = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]);
                if let (ERROR, Some(code)) = (kind, body.first_chunk::<4>()) {
                    match i32::from_ne_bytes(*code) {
                        0 if sequence == awaited => return Ok(()),
                        0 => {}
                        code => return Err(Errno::from_raw_os_error(-code)),
                    }
                }
                rest = rest.get(length.next_multiple_of(4).max(16)..).unwrap_or_default();
            }
        }
    }

    /// Forgets the answers to an earlier batch: after its first refusal there may be more.
    fn drain(&self) {
        let mut space = [0_u8; 4096];
        let _ = self.socket.set_non_blocking(true);
        while rustix::net::recv(&self.socket, &mut space, rustix::net::RecvFlags::empty()).is_ok() {}
        let _ = self.socket.set_non_blocking(false);
    }
}

/// Enough for some ten thousand rules.
const SEND_BUFFER: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_their_lengths_are_not() {
        let attributes = Attributes::default().text(1, "nat").nest(2, &Attributes::default().value(3, &[7]));
        assert_eq!(attributes.0[..8], [8, 0, 1, 0, b'n', b'a', b't', 0]);
        assert_eq!(attributes.0[8..], [12, 0, 2, 0x80, 5, 0, 3, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn a_batch_has_a_begin_and_numbers_its_messages() {
        let mut transaction = Transaction::on("podlab");
        transaction.table();
        let kind = |at: usize| u16::from_ne_bytes([transaction.bytes[at + 4], transaction.bytes[at + 5]]);
        assert_eq!((kind(0), kind(20)), (BATCH_BEGIN, SUBSYSTEM << 8 | NEW_TABLE));
        assert_eq!(transaction.bytes[20..24], (20 + 12_u32).to_ne_bytes());
        assert_eq!((transaction.last, transaction.sequence), (20, 2));
    }
}
