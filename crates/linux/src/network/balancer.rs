//! Addresses that stand for others: a connection to an *entrance* is sent to one of the members of its pool.
//!
//! The rules lie in one table of the node's network namespace, in the way a `kube-proxy` in nftables mode lays them:
//!
//! ```text
//! prerouting, output ─ jump entrances ─┬─ to 10.96.7.7 tcp 80 ── goto pool ─┬─ one in 3 ── member 10.244.0.5:8080
//!                                      │                                    ├─ one in 2 ── member 10.244.1.2:8080
//!                                      └─ …                                 └─ else ────── member 10.244.1.3:8080
//! forward ────────── to 10.96.0.0/12 still? Nobody is there: refused
//! output ─────────── the same for the node's own connections, which end at a closed port
//! postrouting ────── marked? The node becomes the source, so that the answers come back this way
//! ```
//!
//! A member that keeps its clients has a set of their addresses; those come first. A whole pool changes in one
//! transaction: no packet ever meets half of it. A connection keeps the member that it was given.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::nftables::{Hook, Line, Rule, Transaction};
use super::{Block, NODE_BLOCK, Protocol};
use crate::error::{During, Refusal};

/// The name of the table.
const TABLE: &str = "podlab";
/// The mark of connections whose source becomes the node.
const MASQUERADE: u32 = 0x4000;
/// Clients that a member keeps; more of them are sent anywhere.
const KEPT_CLIENTS: u32 = 65535;
/// Where the node's own connections to nobody are sent: a rule that refuses does not reach the node itself on every
/// kernel, and nobody serves `tcpmux`.
const CLOSED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
/// Priorities (nft(8)): `dstnat`, `filter` and `srcnat`.
const BEFORE_ROUTING: i32 = -100;
const FILTER: i32 = 0;
const AFTER_ROUTING: i32 = 100;

/// Members that share the connections to some addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Names its chains, so that the rules can be read: at most [`NAME_LIMIT`] bytes, and no other pool's.
    pub name: String,
    pub protocol: Protocol,
    pub entrances: Vec<Entrance>,
    pub members: Vec<SocketAddrV4>,
    /// How many seconds a member keeps a client that does not come back.
    pub affinity: Option<u32>,
}

/// An address and port that leads to a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entrance {
    pub address: Ipv4Addr,
    pub port: u16,
    /// The node becomes the source: for connections from outside, whose answers would not pass it otherwise.
    pub masquerade: bool,
}

/// The kernel's limit for names is 255 bytes; a member adds its address.
pub const NAME_LIMIT: usize = 200;

/// What keeps the rules of one network namespace.
pub struct Balancer {
    line: Line,
    /// What the kernel was told last; `None` while that is not known.
    told: Option<Told>,
}

#[derive(Debug, Default)]
struct Told {
    chains: Vec<String>,
    /// The sets of clients with their seconds.
    sets: BTreeMap<String, u32>,
}

impl Balancer {
    /// A balancer for this process's network namespace.
    pub fn open() -> Result<Self, Refusal> {
        Ok(Self { line: Line::open().during("open", "netfilter socket")?, told: None })
    }

    /// Makes these the pools, all at once. Whatever else goes to an address in `range` is refused.
    pub fn apply(&mut self, range: Block, pools: &[Pool]) -> Result<(), Refusal> {
        // Taken out: unless all goes well, what the kernel has is not known, and all is written anew next time.
        let before = self.told.take();
        let mut transaction = Transaction::on(TABLE);
        transaction.table();
        match &before {
            Some(told) => {
                transaction.delete_rules();
                told.chains.iter().for_each(|chain| transaction.delete_chain(chain));
            }
            None => {
                transaction.delete_table();
                transaction.table();
                base(&mut transaction);
            }
        }
        let kept = before.map(|told| told.sets).unwrap_or_default();
        let told = lay(&mut transaction, range, pools, &kept);
        transaction.commit(&self.line).during("change", "packet rules")?;
        self.told = Some(told);
        Ok(())
    }
}

fn base(transaction: &mut Transaction) {
    transaction.chain("entrances");
    transaction.base_chain("prerouting", "nat", Hook::Prerouting, BEFORE_ROUTING);
    transaction.base_chain("output", "nat", Hook::Output, BEFORE_ROUTING);
    transaction.base_chain("postrouting", "nat", Hook::Postrouting, AFTER_ROUTING);
    transaction.base_chain("filter-forward", "filter", Hook::Forward, FILTER);
}

fn lay(transaction: &mut Transaction, range: Block, pools: &[Pool], kept: &BTreeMap<String, u32>) -> Told {
    let mut told = Told::default();
    for chain in ["prerouting", "output"] {
        transaction.rule(chain, &Rule::default().jump("entrances"));
    }
    // The nodes' own addresses may lie in the range; nobody may give one of them away.
    for chain in ["output", "filter-forward"] {
        transaction.rule(chain, &Rule::default().within(NODE_BLOCK).accept());
    }
    transaction.rule("output", &Rule::default().within(range).translate(*CLOSED.ip(), CLOSED.port()));
    transaction.rule("postrouting", &Rule::default().with_mark(MASQUERADE).masquerade());
    transaction.rule("filter-forward", &Rule::default().within(range).reset());
    transaction.rule("filter-forward", &Rule::default().within(range).reject());
    for pool in pools.iter().filter(|pool| !pool.members.is_empty()) {
        lay_pool(transaction, pool, kept, &mut told);
    }
    for (set, _) in kept.iter().filter(|(name, seconds)| told.sets.get(*name) != Some(seconds)) {
        // One whose time has changed is made again below its old name: rules and chains are gone already.
        if !told.sets.contains_key(set) {
            transaction.delete_set(set);
        }
    }
    told
}

fn lay_pool(transaction: &mut Transaction, pool: &Pool, kept: &BTreeMap<String, u32>, told: &mut Told) {
    let chain = format!("pool-{}", pool.name);
    let members: Vec<_> = pool.members.iter().map(|member| (member, format!("{}-{member}", pool.name))).collect();
    for (member, name) in &members {
        transaction.chain(name);
        let set = format!("clients-{name}");
        let mut rule = Rule::default();
        if let Some(seconds) = pool.affinity {
            if kept.get(&set) != Some(&seconds) {
                if kept.contains_key(&set) {
                    transaction.delete_set(&set);
                }
                transaction.addresses(&set, seconds, KEPT_CLIENTS);
            }
            rule = rule.remember_source(&set);
            told.sets.insert(set, seconds);
        }
        // One that reaches itself by the shared address must not see its own address as the client's.
        transaction.rule(name, &Rule::default().from(*member.ip()).mark(MASQUERADE));
        transaction.rule(name, &rule.translate(*member.ip(), member.port()));
        told.chains.push(name.clone());
    }
    transaction.chain(&chain);
    if pool.affinity.is_some() {
        for (_, name) in &members {
            transaction.rule(&chain, &Rule::default().source_is_in(&format!("clients-{name}")).goto(name));
        }
    }
    for (index, (_, name)) in members.iter().enumerate() {
        let rule = match members.len() - index {
            1 => Rule::default(),
            left => Rule::default().one_in(u32::try_from(left).unwrap_or(u32::MAX)),
        };
        transaction.rule(&chain, &rule.goto(name));
    }
    for entrance in &pool.entrances {
        let rule = || Rule::default().to(entrance.address).at_port(pool.protocol, entrance.port);
        if entrance.masquerade {
            transaction.rule("entrances", &rule().mark(MASQUERADE));
        }
        transaction.rule("entrances", &rule().goto(&chain));
    }
    // Before the chains that it goes to: a chain that a rule leads to cannot be deleted, and rules go first anyway.
    told.chains.push(chain);
}
