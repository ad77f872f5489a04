//! What the scheduler knows of the cluster: a small extract of each node and Pod, changed as they change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod, PodSpec, Taint};
use k8s_openapi::api::storage::v1::StorageClass;
use podlab_api::quantity::Quantity;

use super::groups::Groups;
use super::resources::Resources;
use super::selector::Labels;
use super::topology::{Topologies, Topology};

/// A port of the node that a container takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    pub port: i32,
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: String,
    /// `0.0.0.0` is all addresses.
    pub address: String,
}

impl HostPort {
    /// Whether two containers cannot have both.
    #[must_use]
    pub fn conflicts(&self, other: &HostPort) -> bool {
        const ALL: &str = "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address || self.address == ALL || other.address == ALL)
    }
}

/// What counts of a Pod once it is on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodInfo {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub labels: Labels,
    pub requests: Resources,
    /// With something for containers that request nothing; see [`Resources::scored`].
    pub scored: Resources,
    pub ports: Vec<HostPort>,
    /// The claims it uses, by name.
    pub claims: Vec<String>,
    /// Being deleted: still takes its resources, but does not count for spreading.
    pub terminating: bool,
}

impl PodInfo {
    /// The extract of a Pod.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        PodInfo {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            labels: metadata.labels.clone().unwrap_or_default(),
            requests: Resources::of_pod(pod),
            scored: Resources::scored(pod),
            ports: pod.spec.as_ref().map(host_ports).unwrap_or_default(),
            claims: pod.spec.as_ref().map(claims).unwrap_or_default(),
            terminating: metadata.deletion_timestamp.is_some(),
        }
    }
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars =
        spec.init_containers.iter().flatten().filter(|container| container.restart_policy.as_deref() == Some("Always"));
    spec.containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            let taken = port.host_port.filter(|port| *port > 0)?;
            Some(HostPort {
                port: taken,
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                address: port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned()),
            })
        })
        .collect()
}

fn claims(spec: &PodSpec) -> Vec<String> {
    spec.volumes
        .iter()
        .flatten()
        .filter_map(|volume| volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone()))
        .collect()
}

/// A Pod that is to be placed.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    pub info: PodInfo,
    pub spec: PodSpec,
    /// False for `preemptionPolicy: Never`; only the text of a failure depends on it.
    pub may_preempt: bool,
    /// The labels by which the Services and controllers of this Pod select its likes: those are spread.
    pub siblings: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>,
}

impl Incoming {
    /// A Pod, with nothing known of its likes.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let may_preempt = spec.preemption_policy.as_deref() != Some("Never");
        Incoming { info: PodInfo::of(pod), spec, may_preempt, siblings: Vec::new() }
    }
}

/// What counts of a node, and the Pods on it.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    pub name: String,
    /// Its place among [`Snapshot::nodes`].
    pub position: usize,
    pub labels: Labels,
    pub taints: Vec<Taint>,
    /// Cordoned.
    pub unschedulable: bool,
    pub allocatable: Resources,
    /// How many Pods it takes.
    pub max_pods: i64,
    /// Size in bytes of each image it has, by every name of it.
    pub images: BTreeMap<String, i64>,
    /// The sums over its Pods.
    pub requested: Resources,
    pub scored: Resources,
    pods: HashMap<(String, String), Arc<PodInfo>>,
}

impl NodeInfo {
    /// The extract of a node, without Pods.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let spec = node.spec.as_ref();
        let status = node.status.as_ref();
        let allocatable = status.and_then(|status| status.allocatable.as_ref().or(status.capacity.as_ref()));
        let max_pods = allocatable
            .and_then(|list| list.get("pods"))
            .and_then(|quantity| Quantity::parse(&quantity.0).ok())
            .map_or(0, |quantity| quantity.value());
        let images = status
            .and_then(|status| status.images.as_ref())
            .into_iter()
            .flatten()
            .flat_map(|image| {
                let size = image.size_bytes.unwrap_or_default();
                image.names.iter().flatten().map(move |name| (name.clone(), size))
            })
            .collect();
        NodeInfo {
            name: node.metadata.name.clone().unwrap_or_default(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.and_then(|spec| spec.taints.clone()).unwrap_or_default(),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or_default(),
            allocatable: Resources::from_list(allocatable),
            max_pods,
            images,
            ..NodeInfo::default()
        }
    }

    /// The Pods on it, in no order.
    pub fn pods(&self) -> impl ExactSizeIterator<Item = &PodInfo> {
        self.pods.values().map(AsRef::as_ref)
    }

    fn add(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        self.scored.add(&pod.scored);
        self.pods.insert((pod.namespace.clone(), pod.name.clone()), pod);
    }

    fn remove(&mut self, key: &(String, String)) {
        if let Some(pod) = self.pods.remove(key) {
            self.requested.subtract(&pod.requests);
            self.scored.subtract(&pod.scored);
        }
    }
}

/// The cluster as the scheduler sees it. Changed in place, one object at a time, so that a decision costs no copy of it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    nodes: Vec<NodeInfo>,
    index: HashMap<String, usize>,
    /// Where each placed Pod is, also one whose node is not known (yet, or any more).
    placed: HashMap<(String, String), (String, Arc<PodInfo>)>,
    groups: Groups,
    topologies: Topologies,
    /// How many nodes have each image, by every name of it.
    images: HashMap<String, usize>,
    /// By namespace and name.
    pub claims: HashMap<(String, String), Arc<PersistentVolumeClaim>>,
    pub volumes: BTreeMap<String, Arc<PersistentVolume>>,
    pub classes: BTreeMap<String, Arc<StorageClass>>,
}

impl Snapshot {
    /// All nodes, in the order in which they came.
    #[must_use]
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// A node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.index.get(name).map(|at| &self.nodes[*at])
    }

    /// Pods that are alike, counted by node.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Whether a Pod that has a place uses a claim.
    #[must_use]
    pub fn is_claim_used(&self, namespace: &str, claim: &str) -> bool {
        let uses = |pod: &PodInfo| pod.namespace == namespace && pod.claims.iter().any(|known| known == claim);
        self.placed.values().any(|(_, pod)| uses(pod))
    }

    /// Which value of a label each node has. `None` when no node has the label.
    #[must_use]
    pub fn topology(&self, key: &str) -> Option<&Topology> {
        self.topologies.get(key)
    }

    /// How many nodes have each image.
    #[must_use]
    pub fn images(&self) -> &HashMap<String, usize> {
        &self.images
    }

    fn count_images(&mut self, images: &BTreeMap<String, i64>, added: bool) {
        for name in images.keys() {
            let count = self.images.entry(name.clone()).or_default();
            *count = if added { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.images.remove(name);
            }
        }
    }

    /// A node came, or changed.
    pub fn set_node(&mut self, node: &Node) {
        let info = NodeInfo::of(node);
        match self.index.get(&info.name) {
            Some(at) => self.change_node(*at, info),
            None => self.add_node(info),
        }
    }

    fn change_node(&mut self, position: usize, mut info: NodeInfo) {
        let old = &mut self.nodes[position];
        info.position = position;
        info.requested = std::mem::take(&mut old.requested);
        info.scored = std::mem::take(&mut old.scored);
        info.pods = std::mem::take(&mut old.pods);
        let old = std::mem::replace(old, info);
        // Mostly it is a new status alone, and that changes none of these.
        if self.nodes[position].labels != old.labels {
            self.topologies.set(position, &self.nodes[position].labels);
        }
        if self.nodes[position].images != old.images {
            let images = self.nodes[position].images.clone();
            self.count_images(&old.images, false);
            self.count_images(&images, true);
        }
    }

    fn add_node(&mut self, mut info: NodeInfo) {
        info.position = self.nodes.len();
        self.topologies.set(info.position, &info.labels);
        self.count_images(&info.images, true);
        for (node, pod) in self.placed.values() {
            if *node == info.name {
                self.groups.add(pod, info.position);
                info.add(pod.clone());
            }
        }
        self.index.insert(info.name.clone(), info.position);
        self.nodes.push(info);
    }

    /// A node is gone.
    pub fn remove_node(&mut self, name: &str) {
        let Some(position) = self.index.remove(name) else { return };
        let gone = self.nodes.remove(position);
        self.count_images(&gone.images, false);
        self.topologies.remove(position);
        self.groups.remove_node(position);
        for moved in &mut self.nodes[position..] {
            moved.position -= 1;
            self.index.insert(moved.name.clone(), moved.position);
        }
    }

    /// A Pod is on a node, or is about to be.
    pub fn place(&mut self, info: PodInfo, node: &str) {
        let key = (info.namespace.clone(), info.name.clone());
        self.remove_pod(&key);
        let info = Arc::new(info);
        if let Some(position) = self.index.get(node) {
            self.nodes[*position].add(info.clone());
            self.groups.add(&info, *position);
        }
        self.placed.insert(key, (node.to_owned(), info));
    }

    /// A Pod (namespace and name) ended or is gone. Returns whether it had a place.
    pub fn remove_pod(&mut self, key: &(String, String)) -> bool {
        let Some((node, info)) = self.placed.remove(key) else { return false };
        if let Some(position) = self.index.get(&node) {
            self.groups.remove(&info, *position);
            self.nodes[*position].remove(key);
        }
        true
    }

    /// Whether a Pod has a place, and where.
    #[must_use]
    pub fn placement(&self, key: &(String, String)) -> Option<&str> {
        self.placed.get(key).map(|(node, _)| node.as_str())
    }
}
