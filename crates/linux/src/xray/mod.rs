//! What a Pod is, said by the kernel: its processes, the namespaces they are in, their cgroups, mounts and addresses.
//!
//! Nothing here is what somebody asked for. Everything is read from `/proc` and from the cgroups at the moment of the
//! question; what is known otherwise (which container is which, where a volume lies) only gives the names.

mod mounts;
mod namespaces;
mod network;
mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroups::{Settings, Tree, Usage};
use crate::paths::PodDirectory;
use crate::protocol::ContainerReport;
use crate::supervisor::record::PodRecord;
pub use mounts::{Kind, MountView};
pub use namespaces::{Namespace, NamespaceKind};
pub use network::{Listening, Protocol};
pub use processes::ProcessView;

/// The node, in lists of who is in a namespace. The parentheses keep it apart from any container's name.
pub const NODE: &str = "(node)";
/// The process that holds the Pod's namespaces: the supervisor, which Kubernetes calls the pause container.
pub const PAUSE: &str = "(pause)";

/// A Pod, seen through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xray {
    pub node: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub host_name: String,
    /// The Pod is in the node's network and has none of its own.
    pub host_network: bool,
    /// Of the network namespace, without loopback.
    pub addresses: Vec<IpAddr>,
    /// The links of the network namespace.
    pub interfaces: Vec<String>,
    pub namespaces: Vec<Namespace>,
    /// The one that holds the Pod first, then the containers' in the order of their starts.
    pub processes: Vec<ProcessView>,
    /// Ports that processes of the Pod wait at.
    pub listening: Vec<Listening>,
    /// The Pod's own first, then its containers'.
    pub cgroups: Vec<CgroupView>,
    pub mounts: Vec<MountView>,
}

/// A cgroup: what it may use and what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupView {
    /// `None`: the Pod's own, which bounds all of them together.
    pub container: Option<String>,
    /// Below the node's, the same on every layout.
    pub path: String,
    pub limits: Settings,
    pub use_now: Usage,
}

/// What is to be looked at, and what is known about it.
#[derive(Debug)]
pub struct Subject<'a> {
    pub node: &'a str,
    pub record: &'a PodRecord,
    pub directory: &'a PodDirectory,
    /// The node's cgroups.
    pub cgroups: &'a Tree,
    /// The supervisor's number in our pid namespace.
    pub supervisor: i32,
    /// Those that run.
    pub containers: &'a [ContainerReport],
    /// Where the files of each volume lie.
    pub volumes: &'a [(String, PathBuf)],
}

/// Looks at a Pod. To be called in the node's namespaces; what ends meanwhile is left out.
pub fn look(subject: &Subject<'_>) -> Xray {
    let Subject { record, supervisor, containers, .. } = *subject;
    let cgroup_path = |container: &ContainerReport| format!("{}/{}", record.spec.cgroup, container.id);
    let in_cgroup: BTreeMap<i32, usize> = containers
        .iter()
        .enumerate()
        .flat_map(|(index, container)| {
            let pids = subject.cgroups.cgroup(&cgroup_path(container)).processes();
            pids.into_iter().map(move |pid| (pid.as_raw_nonzero().get(), index))
        })
        .collect();
    // A host without cgroups for us: the root file system of each process tells, too.
    let by_root = |pid: i32| {
        let text = processes::read(pid, "mountinfo");
        containers.iter().position(|container| mounts::is_root_of(&text, &container.id))
    };
    let rows = processes::below(processes::all(), supervisor);
    let owners = processes::owners(&rows, supervisor, |pid| in_cgroup.get(&pid).copied().or_else(|| by_root(pid)));

    // The first process of each container, which the others came from.
    let first = |index: usize| {
        let mut own =
            rows.iter().zip(&owners).filter(|(row, owner)| **owner == Some(index) && row.parent == supervisor);
        own.next().map(|(row, _)| row.pid)
    };
    let firsts: Vec<(&ContainerReport, i32)> =
        containers.iter().enumerate().filter_map(|(index, known)| Some((known, first(index)?))).collect();

    let holders = [(NODE, 1), (PAUSE, supervisor)]
        .into_iter()
        .chain(firsts.iter().map(|(container, pid)| (container.name.as_str(), *pid)))
        .map(|(name, pid)| (name.to_owned(), namespaces::of(pid)))
        .collect::<Vec<_>>();
    let name_of = |owner: Option<usize>| owner.and_then(|index| containers.get(index)).map(|known| known.name.clone());
    let sockets: BTreeMap<u64, (Option<String>, i32)> = rows
        .iter()
        .zip(&owners)
        .flat_map(|(row, owner)| network::sockets(row.pid).into_iter().map(move |inode| (inode, (*owner, row.pid))))
        .map(|(inode, (owner, pid))| (inode, (name_of(owner), pid)))
        .collect();
    let own_cgroup = std::iter::once((None, record.spec.cgroup.clone()));
    let cgroups = own_cgroup.chain(containers.iter().map(|known| (Some(known.name.clone()), cgroup_path(known))));

    Xray {
        node: subject.node.to_owned(),
        namespace: record.spec.namespace.clone(),
        name: record.spec.name.clone(),
        uid: record.spec.uid.clone(),
        host_name: record.spec.hostname.clone(),
        host_network: record.spec.host_network,
        addresses: network::addresses(&processes::read(supervisor, "net/fib_trie")),
        interfaces: network::interfaces(&processes::read(supervisor, "net/dev")),
        namespaces: namespaces::group(&holders),
        processes: processes::describe(&rows, &owners, name_of),
        listening: network::listening(supervisor, &sockets),
        cgroups: cgroups
            .filter(|(_, path)| subject.cgroups.cgroup(path).exists())
            .map(|(container, path)| {
                let cgroup = subject.cgroups.cgroup(&path);
                CgroupView { container, path, limits: cgroup.settings(), use_now: cgroup.usage() }
            })
            .collect(),
        mounts: look_at_mounts(subject, &firsts),
    }
}

fn look_at_mounts(subject: &Subject<'_>, firsts: &[(&ContainerReport, i32)]) -> Vec<MountView> {
    let node = mounts::parse(&processes::read(1, "mountinfo"));
    let places = mounts::Places::find(&node, subject.directory, subject.volumes);
    let containers: Vec<_> = firsts
        .iter()
        .map(|(container, pid)| (container.name.as_str(), mounts::parse(&processes::read(*pid, "mountinfo"))))
        .collect();
    mounts::describe(&places, &containers)
}

/// The names of the containers that run, each once.
impl Xray {
    pub fn containers(&self) -> BTreeSet<&str> {
        self.processes.iter().filter_map(|process| process.container.as_deref()).collect()
    }
}
