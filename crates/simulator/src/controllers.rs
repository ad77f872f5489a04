//! The controllers' loops in virtual time: replica sets, the health of nodes, eviction by taints, lost Pods.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use podlab_client::cache::Key;
use podlab_controllers::node_lifecycle::{Heard, silenced, taints};
use podlab_controllers::objects::{controller_of, node_of, node_ready};
use podlab_controllers::{pod_gc, replica_set, taint_eviction};

use crate::event::{Change, Request};
use crate::objects::node_name;

#[derive(Default)]
pub(crate) struct Controllers {
    pub(crate) alive: bool,
    pub(crate) life: u64,
    pub(crate) stream: u64,
    pub(crate) sets: Vec<Arc<ReplicaSet>>,
    pods: BTreeMap<Key, Arc<Pod>>,
    by_set: Vec<BTreeSet<Key>>,
    by_node: BTreeMap<String, BTreeSet<Key>>,
    nodes: BTreeMap<usize, (u64, Arc<Node>)>,
    leases: BTreeMap<usize, Timestamp>,
    heard: BTreeMap<usize, Heard>,
    /// Requests of each set that were not answered: its next turn waits for them.
    under_way: Vec<usize>,
    waiting: BTreeSet<usize>,
    missing: BTreeMap<String, Duration>,
    /// The newest revision that was heard of by watch: an answer that is older says nothing new.
    horizon: u64,
    /// Pods may be there that nobody ends.
    orphans: bool,
    collected: Duration,
}

impl Controllers {
    pub(crate) fn new(sets: &[Arc<ReplicaSet>]) -> Self {
        let mut controllers = Controllers { alive: true, sets: sets.to_vec(), ..Controllers::default() };
        controllers.forget();
        controllers
    }

    /// Forgets everything, as a new process does.
    pub(crate) fn forget(&mut self) {
        let (sets, life, stream, alive) = (std::mem::take(&mut self.sets), self.life, self.stream, self.alive);
        let count = sets.len();
        *self = Controllers { sets, life, stream, alive, orphans: true, ..Controllers::default() };
        self.by_set = vec![BTreeSet::new(); count];
        self.under_way = vec![0; count];
        self.waiting = (0..count).collect();
    }

    /// The Pods it knows of.
    pub(crate) fn known(&self) -> Vec<Arc<Pod>> {
        self.pods.values().cloned().collect()
    }

    pub(crate) fn heard(&mut self, change: &Change) {
        match change {
            Change::Pod { revision, pod, gone } => {
                self.horizon = self.horizon.max(*revision);
                self.put(pod, *gone);
            }
            Change::Node { revision, node, index } => {
                self.horizon = self.horizon.max(*revision);
                self.nodes.insert(*index, (*revision, Arc::clone(node)));
            }
            Change::Lease { node, time } => drop(self.leases.insert(*node, *time)),
        }
    }

    fn put(&mut self, pod: &Arc<Pod>, gone: bool) {
        let key = Key::of(pod.as_ref());
        let before = if gone { self.pods.remove(&key) } else { self.pods.insert(key.clone(), Arc::clone(pod)) };
        if let Some(node) = before.as_deref().and_then(node_of).filter(|_| gone)
            && let Some(pods) = self.by_node.get_mut(node)
        {
            pods.remove(&key);
        }
        if let Some(node) = node_of(pod).filter(|_| !gone) {
            self.by_node.entry(node.to_owned()).or_default().insert(key.clone());
        }
        self.orphans |= pod.metadata.deletion_timestamp.is_some() && node_of(pod).is_none();
        let Some(set) = set_of(pod, self.sets.len()) else { return };
        if gone {
            self.by_set[set].remove(&key);
        } else {
            self.by_set[set].insert(key);
        }
        self.waiting.insert(set);
    }

    /// Somebody changed how many Pods a set asks for.
    pub(crate) fn scaled(&mut self, set: usize, new: Arc<ReplicaSet>) {
        self.sets[set] = new;
        self.waiting.insert(set);
    }

    /// An answer to what a set asked for.
    pub(crate) fn answered(&mut self, request: &Request, change: Option<&Change>) {
        let set = match request {
            Request::Create { set } => Some(*set),
            Request::Delete { pod, .. } => pod.name.rsplit_once('-').and_then(|(set, _)| number(set, self.sets.len())),
            _ => None,
        };
        if let Some(Change::Pod { revision, pod, gone }) = change.filter(|_| set.is_some())
            && *revision > self.horizon
        {
            self.put(pod, *gone);
        }
        if let Some(set) = set {
            self.under_way[set] = self.under_way[set].saturating_sub(1);
            self.waiting.insert(set);
        }
    }

    /// What the replica sets have to do.
    pub(crate) fn turn(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        for set in std::mem::take(&mut self.waiting) {
            if self.under_way[set] > 0 {
                // Its answers bring it back.
                continue;
            }
            let pods: Vec<Arc<Pod>> = self.by_set[set].iter().filter_map(|key| self.pods.get(key).cloned()).collect();
            let plan = replica_set::plan(&self.sets[set], &pods);
            let before = requests.len();
            requests.extend((0..plan.create).map(|_| Request::Create { set }));
            for key in plan.delete {
                let Some(uid) = self.pods.get(&key).and_then(|pod| pod.metadata.uid.clone()) else { continue };
                requests.push(Request::Delete { pod: key, uid, grace: None });
            }
            self.under_way[set] = requests.len() - before;
        }
        requests
    }

    /// What is looked at every few seconds.
    pub(crate) fn look(&mut self, elapsed: Duration, now: Timestamp) -> Vec<Request> {
        let mut requests = Vec::new();
        let all_lost = self.nodes.values().all(|(_, node)| node_ready(node) != "True");
        for (index, (revision, node)) in &self.nodes {
            let lease = self.leases.get(index).map(|time| {
                let spec = LeaseSpec { renew_time: Some(MicroTime(*time)), ..LeaseSpec::default() };
                Lease { spec: Some(spec), ..Lease::default() }
            });
            let heard = Heard::update(self.heard.get(index), node, lease.as_ref(), elapsed);
            let silent = heard.is_silent(elapsed);
            self.heard.insert(*index, heard);
            let mut judged = node.as_ref().clone();
            let changed = if silent { silenced(node, now) } else { None };
            let is_changed = changed.is_some();
            if let Some(changed) = changed {
                let all = judged.status.get_or_insert_default().conditions.get_or_insert_default();
                all.retain(|condition| changed.iter().all(|new| new.type_ != condition.type_));
                all.extend(changed);
            }
            let tainted = taints(&judged, all_lost, now);
            if is_changed || tainted.is_some() {
                let conditions = judged.status.and_then(|status| status.conditions).unwrap_or_default();
                let old = node.spec.as_ref().and_then(|spec| spec.taints.clone());
                let taints = tainted.or(old).unwrap_or_default();
                requests.push(Request::Judge { node: *index, revision: *revision, conditions, taints });
            }
            self.evict(*index, node, now, &mut requests);
        }
        if self.orphans && elapsed.saturating_sub(self.collected) >= Duration::from_secs(20) {
            self.collected = elapsed;
            requests.extend(self.collect(elapsed));
        }
        requests
    }

    fn evict(&self, index: usize, node: &Node, now: Timestamp, requests: &mut Vec<Request>) {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        if taints.iter().all(|taint| taint.effect != "NoExecute") {
            return;
        }
        let keys = self.by_node.get(&node_name(index)).into_iter().flatten();
        for pod in keys.filter_map(|key| self.pods.get(key)) {
            let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
            let due = taint_eviction::deadline(taints, tolerations, now).is_some_and(|deadline| deadline <= now);
            if due && pod.metadata.deletion_timestamp.is_none() {
                let uid = pod.metadata.uid.clone().unwrap_or_default();
                requests.push(Request::Delete { pod: Key::of(pod.as_ref()), uid, grace: None });
            }
        }
    }

    fn collect(&mut self, elapsed: Duration) -> Vec<Request> {
        let pods: Vec<Arc<Pod>> = self.pods.values().cloned().collect();
        let known: HashSet<String> = self.nodes.keys().map(|index| node_name(*index)).collect();
        let mut doomed = pod_gc::doomed(&pods, &known, &mut self.missing, elapsed);
        self.orphans = !doomed.is_empty() || !self.missing.is_empty();
        doomed.sort();
        let uid = |key: &Key| self.pods.get(key).and_then(|pod| pod.metadata.uid.clone()).unwrap_or_default();
        doomed.into_iter().map(|key| Request::Delete { uid: uid(&key), pod: key, grace: Some(0) }).collect()
    }
}

/// The number of the set that keeps a Pod.
fn set_of(pod: &Pod, sets: usize) -> Option<usize> {
    let owner = controller_of(&pod.metadata)?;
    number(&owner.name, sets)
}

fn number(name: &str, sets: usize) -> Option<usize> {
    let index = name.strip_prefix("set")?.parse::<usize>().ok()?.checked_sub(1)?;
    (index < sets).then_some(index)
}
