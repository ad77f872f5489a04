//! The scheduler's loop in virtual time, around the real queue, snapshot and decision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use podlab_client::cache::Key;
use podlab_controllers::objects::{has_ended, node_of};
use podlab_runtime::scheduler::queue::Queue;
use podlab_runtime::scheduler::scores::{self, Score};
use podlab_runtime::scheduler::{Incoming, NodeInfo, PodInfo, Snapshot, schedule_by};

use crate::Strategy;
use crate::event::{Change, Request};

/// How many bindings may be under way.
const MAX_BINDINGS: usize = 64;

pub(crate) struct Scheduler {
    pub(crate) alive: bool,
    pub(crate) life: u64,
    pub(crate) stream: u64,
    snapshot: Snapshot,
    queue: Queue,
    pods: BTreeMap<Key, Arc<Pod>>,
    /// Given a node that the API does not show yet.
    assumed: BTreeMap<Key, String>,
    under_way: usize,
    start: usize,
    scores: Vec<Score>,
}

impl Scheduler {
    pub(crate) fn new(strategy: Strategy) -> Self {
        let scores = match strategy {
            Strategy::Spread => scores::ALL.to_vec(),
            Strategy::Pack => scores::packing(),
        };
        Scheduler {
            alive: true,
            life: 0,
            stream: 0,
            snapshot: Snapshot::default(),
            queue: Queue::default(),
            pods: BTreeMap::new(),
            assumed: BTreeMap::new(),
            under_way: 0,
            start: 0,
            scores,
        }
    }

    /// Forgets everything, as a new process does.
    pub(crate) fn forget(&mut self) {
        self.snapshot = Snapshot::default();
        self.queue = Queue::default();
        self.pods.clear();
        self.assumed.clear();
        (self.under_way, self.start) = (0, 0);
    }

    /// The Pods it knows of.
    pub(crate) fn known(&self) -> Vec<Arc<Pod>> {
        self.pods.values().cloned().collect()
    }

    pub(crate) fn heard(&mut self, change: &Change, now: Duration) {
        match change {
            Change::Node { node, .. } => {
                let info = NodeInfo::of(node);
                let helps = self.snapshot.node(&info.name).is_none_or(|old| {
                    old.allocatable != info.allocatable || old.taints != info.taints || old.labels != info.labels
                });
                self.snapshot.set_node(node);
                if helps {
                    self.queue.wake();
                }
            }
            Change::Pod { pod, gone, .. } => self.heard_pod(pod, *gone, now),
            Change::Lease { .. } => {}
        }
    }

    fn heard_pod(&mut self, pod: &Arc<Pod>, gone: bool, now: Duration) {
        let key = Key::of(pod.as_ref());
        let known = if gone { self.pods.remove(&key) } else { self.pods.insert(key.clone(), Arc::clone(pod)) };
        if gone || has_ended(pod) {
            self.queue.remove(&key);
            if gone {
                self.assumed.remove(&key);
            }
            self.free(&key);
        } else if let Some(node) = node_of(pod) {
            self.queue.remove(&key);
            self.assumed.remove(&key);
            let before = known.as_ref().is_some_and(|known| {
                node_of(known).is_some() && known.metadata.deletion_timestamp == pod.metadata.deletion_timestamp
            });
            // A new status changes nothing about the place.
            if !before {
                self.snapshot.place(PodInfo::of(pod), node);
            }
        } else if pod.metadata.deletion_timestamp.is_some() {
            self.queue.remove(&key);
        } else if known.is_none() && !self.assumed.contains_key(&key) {
            self.queue.add(key, 0, now);
        }
    }

    fn free(&mut self, key: &Key) {
        if self.snapshot.remove_pod(&(key.namespace.clone(), key.name.clone())) {
            self.queue.wake();
        }
    }

    /// Decides about all that wait and may be tried now.
    pub(crate) fn turn(&mut self, now: Duration) -> Vec<Request> {
        let mut bindings = Vec::new();
        while self.under_way < MAX_BINDINGS {
            let Some(key) = self.queue.pop(now) else { break };
            let Some(pod) = self.pods.get(&key) else {
                self.queue.remove(&key);
                continue;
            };
            let incoming = Incoming::of(pod);
            match schedule_by(&self.scores, &self.snapshot, &incoming, self.start) {
                Ok(placement) => {
                    self.start = (self.start + placement.examined) % self.snapshot.nodes().len().max(1);
                    let uid = incoming.info.uid.clone();
                    self.snapshot.place(incoming.info, &placement.node);
                    self.assumed.insert(key.clone(), placement.node.clone());
                    self.under_way += 1;
                    bindings.push(Request::Bind { pod: key, uid, node: placement.node });
                }
                Err(_) => self.queue.failed(&key, now),
            }
        }
        bindings
    }

    /// A binding was answered.
    pub(crate) fn bound(&mut self, key: &Key, done: bool, now: Duration) {
        self.under_way = self.under_way.saturating_sub(1);
        // Unless the watch has meanwhile shown it bound, or gone.
        if !done && self.assumed.remove(key).is_some() {
            self.free(key);
            self.queue.retry(key, now);
        }
    }

    /// When there is something to do as far as time alone decides.
    pub(crate) fn due(&self) -> Option<Duration> {
        if self.under_way < MAX_BINDINGS { self.queue.due() } else { None }
    }
}
