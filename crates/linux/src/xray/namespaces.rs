//! Which namespaces processes are in: the links `/proc/PID/ns/KIND`, whose text is `KIND:[NUMBER]` (namespaces(7)).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{NODE, PAUSE};

/// What a namespace is an own view of. In the order in which they are listed: first what a Pod shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceKind {
    Net,
    Uts,
    Ipc,
    Pid,
    Mnt,
    Cgroup,
    User,
}

impl NamespaceKind {
    const ALL: [Self; 7] = [Self::Net, Self::Uts, Self::Ipc, Self::Pid, Self::Mnt, Self::Cgroup, Self::User];

    /// As it is called in `/proc/PID/ns`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::Pid => "pid",
            Self::Mnt => "mnt",
            Self::Cgroup => "cgroup",
            Self::User => "user",
        }
    }
}

/// A namespace, and who is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    pub kind: NamespaceKind,
    /// The kernel's number of it: the same number is the same namespace.
    pub id: u64,
    /// More than one container is in it, or a container and the node.
    pub shared: bool,
    /// `(node)`, `(pause)` and the containers' names.
    pub members: Vec<String>,
}

/// The namespaces a process is in.
pub(super) type Ids = BTreeMap<NamespaceKind, u64>;

/// Of a process; empty when it has ended.
pub(super) fn of(pid: i32) -> Ids {
    let id = |kind: NamespaceKind| {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/{}", kind.name())).ok()?;
        parse(link.to_str()?)
    };
    NamespaceKind::ALL.into_iter().filter_map(|kind| Some((kind, id(kind)?))).collect()
}

fn parse(link: &str) -> Option<u64> {
    link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}

/// One entry a namespace, with everybody who is in it. Those that only the node is in are left out.
pub(super) fn group(holders: &[(String, Ids)]) -> Vec<Namespace> {
    let mut found: Vec<Namespace> = Vec::new();
    for kind in NamespaceKind::ALL {
        for (name, ids) in holders {
            let Some(id) = ids.get(&kind) else { continue };
            match found.iter_mut().find(|known| known.kind == kind && known.id == *id) {
                Some(known) => known.members.push(name.clone()),
                None => found.push(Namespace { kind, id: *id, shared: false, members: vec![name.clone()] }),
            }
        }
    }
    found.retain(|namespace| namespace.members.iter().any(|name| name != NODE));
    for namespace in &mut found {
        let containers = namespace.members.iter().filter(|name| *name != NODE && *name != PAUSE).count();
        let with_node = namespace.members.first().is_some_and(|name| name == NODE);
        namespace.shared = containers > 1 || (containers == 1 && with_node);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(net: u64, pid: u64) -> Ids {
        Ids::from([(NamespaceKind::Net, net), (NamespaceKind::Pid, pid)])
    }

    fn groups(holders: &[(&str, Ids)]) -> Vec<String> {
        let holders: Vec<_> = holders.iter().map(|(name, ids)| ((*name).to_owned(), ids.clone())).collect();
        let text = |namespace: Namespace| {
            let shared = if namespace.shared { "shared" } else { "own" };
            format!("{} {} {shared} {}", namespace.kind.name(), namespace.id, namespace.members.join(","))
        };
        group(&holders).into_iter().map(text).collect()
    }

    #[test]
    fn a_number_is_listed_once_with_all_who_are_in_it() {
        let found = groups(&[(NODE, ids(1, 2)), (PAUSE, ids(3, 4)), ("web", ids(3, 5)), ("git", ids(3, 6))]);
        assert_eq!(
            found,
            ["net 3 shared (pause),web,git", "pid 4 own (pause)", "pid 5 own web", "pid 6 own git"],
            "the node's own are no part of the Pod"
        );
    }

    #[test]
    fn what_is_shared_with_the_node_is_shared() {
        let found = groups(&[(NODE, ids(1, 2)), (PAUSE, ids(1, 4)), ("web", ids(1, 5))]);
        assert_eq!(found, ["net 1 shared (node),(pause),web", "pid 4 own (pause)", "pid 5 own web"]);
    }

    #[test]
    fn the_links_of_this_process_are_read() {
        let own = of(std::process::id().cast_signed());
        assert_eq!(own.len(), NamespaceKind::ALL.len());
        assert_eq!(parse("net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(parse("net"), None);
    }
}
