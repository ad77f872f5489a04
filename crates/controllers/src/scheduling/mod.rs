//! The scheduler's loop: keeps the snapshot, takes Pods from the queue, asks [`podlab_runtime::scheduler::schedule`], and binds.
//!
//! A Pod that was given a node takes its place in the snapshot at once, before the API has it, so that the next decision
//! counts it; should binding fail, it loses the place again. Many bindings are under way at a time.

mod volumes;

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{
    Binding, Node, ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod, PodCondition, Service,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time as Stamp};
use podlab_client::Object;
use podlab_client::cache::{Change, Changes, Key};
use podlab_client::events::{EventType, Occurrence, Recorder, reference};
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, Error, ListOptions, Patch};
use podlab_runtime::scheduler::filters::{Step, steps};
use podlab_runtime::scheduler::queue::Queue;
use podlab_runtime::scheduler::{Diagnosis, Incoming, NodeInfo, PodInfo, Snapshot, schedule, siblings};
use serde_json::json;

use crate::context::Time;
use crate::objects::{has_ended, node_of};
use volumes::{Outcome, Waiting};

/// Who we are: Pods name their scheduler.
const NAME: &str = "default-scheduler";
/// How many bindings may be under way.
const MAX_BINDINGS: usize = 64;
/// What the real scheduler says of volumes that were not bound in time.
const OUT_OF_TIME: &str = "running PreBind plugin \"VolumeBinding\": binding volumes: context deadline exceeded";

/// What became of a binding, or of the report that there is none.
enum Done {
    Bound(Key, Result<(), Error>),
    /// What a Pod's volumes need was written.
    Volumes(Key, Result<(), Error>),
    Reported(Key, Result<(), Error>),
}

/// What the loop hears of.
struct Watched {
    pods: Changes<Pod>,
    nodes: Changes<Node>,
    claims: Changes<PersistentVolumeClaim>,
    volumes: Changes<PersistentVolume>,
    classes: Changes<StorageClass>,
}

/// The loop's state.
struct Scheduler {
    client: Client,
    time: Time,
    recorder: Recorder,
    pods: Cache<Pod>,
    services: Cache<Service>,
    sets: Cache<ReplicaSet>,
    snapshot: Snapshot,
    queue: Queue,
    /// Given a node that the API does not have yet.
    assumed: HashSet<Key>,
    /// Those of them whose claims are to be bound first.
    waiting: Waiting,
    claims: Cache<PersistentVolumeClaim>,
    volumes: Cache<PersistentVolume>,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Where the next search begins; see [`schedule`].
    start: usize,
}

/// Runs the scheduler.
pub async fn run(client: Client, host: String, time: Time) {
    let instance = format!("{NAME}-{host}");
    let (recorder, record) = Recorder::new_series(client.clone(), NAME, &instance, time.stamps(), Sleeper::wall());
    let pods = Cache::<Pod>::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
    let nodes = Cache::<Node>::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
    // Without all Pods a node looks emptier than it is.
    let claims = Cache::<PersistentVolumeClaim>::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
    let volumes = Cache::<PersistentVolume>::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
    let classes = Cache::<StorageClass>::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
    // By them it is known which Pods are of one application.
    let services = Cache::<Service>::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
    let sets = Cache::<ReplicaSet>::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
    tokio::join!(pods.synced(), nodes.synced(), claims.synced(), volumes.synced(), classes.synced());
    tokio::join!(services.synced(), sets.synced());
    let watched = Watched {
        pods: pods.changes(),
        nodes: nodes.changes(),
        claims: claims.changes(),
        volumes: volumes.changes(),
        classes: classes.changes(),
    };
    let scheduler = Scheduler {
        client,
        time,
        recorder,
        pods,
        services,
        sets,
        snapshot: Snapshot::default(),
        queue: Queue::default(),
        assumed: HashSet::new(),
        waiting: Waiting::default(),
        claims,
        volumes,
        under_way: FuturesUnordered::new(),
        start: 0,
    };
    tokio::join!(scheduler.run(watched), record);
}

impl Scheduler {
    async fn run(mut self, mut watched: Watched) {
        let Watched { pods, nodes, claims, volumes, classes } = &mut watched;
        loop {
            classes.take().into_iter().for_each(|change| self.class_changed(change));
            nodes.take().iter().for_each(|change| self.node_changed(change));
            claims.take().into_iter().for_each(|change| self.claim_changed(change));
            volumes.take().into_iter().for_each(|change| self.volume_changed(change));
            pods.take().iter().for_each(|change| self.pod_changed(change));
            self.bind_those_that_waited();
            if self.under_way.len() < MAX_BINDINGS
                && let Some(key) = self.queue.pop(self.time.elapsed())
            {
                self.try_one(&key);
                continue;
            }
            let due = if self.under_way.len() < MAX_BINDINGS { self.queue.due() } else { None };
            let due = due.into_iter().chain(self.waiting.due()).min();
            tokio::select! {
                changes = nodes.next() => changes.iter().for_each(|change| self.node_changed(change)),
                changes = pods.next() => changes.iter().for_each(|change| self.pod_changed(change)),
                changes = claims.next() => changes.into_iter().for_each(|change| self.claim_changed(change)),
                changes = classes.next() => changes.into_iter().for_each(|change| self.class_changed(change)),
                changes = volumes.next() => changes.into_iter().for_each(|change| self.volume_changed(change)),
                Some(done) = self.under_way.next() => self.done(done),
                () = self.time.sleep_until(due) => {}
            }
        }
    }

    fn node_changed(&mut self, change: &Change<Node>) {
        match &change.new {
            Some(node) => {
                let helps = change.old.as_ref().is_none_or(|old| offers_other_things(old, node));
                self.snapshot.set_node(node);
                if helps {
                    self.queue.wake();
                }
            }
            None => self.snapshot.remove_node(&change.key.name),
        }
    }

    fn claim_changed(&mut self, change: Change<PersistentVolumeClaim>) {
        let key = (change.key.namespace, change.key.name);
        match change.new {
            Some(claim) => drop(self.snapshot.claims.insert(key, claim)),
            None => drop(self.snapshot.claims.remove(&key)),
        }
        self.waiting.assume(&mut self.snapshot);
        self.queue.wake();
    }

    fn volume_changed(&mut self, change: Change<PersistentVolume>) {
        match change.new {
            Some(volume) => drop(self.snapshot.volumes.insert(change.key.name, volume)),
            None => drop(self.snapshot.volumes.remove(&change.key.name)),
        }
        self.waiting.assume(&mut self.snapshot);
        self.queue.wake();
    }

    fn class_changed(&mut self, change: Change<StorageClass>) {
        match change.new {
            Some(class) => drop(self.snapshot.classes.insert(change.key.name, class)),
            None => drop(self.snapshot.classes.remove(&change.key.name)),
        }
        self.queue.wake();
    }

    fn pod_changed(&mut self, change: &Change<Pod>) {
        let key = &change.key;
        let Some(pod) = change.new.as_deref() else {
            self.queue.remove(key);
            self.assumed.remove(key);
            self.stop_waiting(key);
            self.free(key);
            return;
        };
        let replaced = change.old.as_ref().is_some_and(|old| old.uid() != pod.uid());
        if replaced {
            self.queue.remove(key);
            self.assumed.remove(key);
            self.stop_waiting(key);
            self.free(key);
        }
        let spec = pod.spec.as_ref();
        if has_ended(pod) {
            self.queue.remove(key);
            self.free(key);
        } else if let Some(node) = node_of(pod) {
            self.queue.remove(key);
            self.assumed.remove(key);
            self.snapshot.place(PodInfo::of(pod), node);
        } else if pod.metadata.deletion_timestamp.is_some() {
            self.queue.remove(key);
        } else if is_ours(pod) && !self.assumed.contains(key) {
            // A new status, such as the one we write, makes a Pod no easier to place.
            let changed = replaced
                || change
                    .old
                    .as_ref()
                    .is_none_or(|old| old.spec != pod.spec || old.metadata.labels != pod.metadata.labels);
            if changed {
                let priority = spec.and_then(|spec| spec.priority).unwrap_or_default();
                self.queue.add(key.clone(), priority, self.time.elapsed());
            }
        }
    }

    /// A Pod no longer takes its place: others may fit now.
    fn free(&mut self, key: &Key) {
        if self.snapshot.remove_pod(&(key.namespace.clone(), key.name.clone())) {
            self.queue.wake();
        }
    }

    fn try_one(&mut self, key: &Key) {
        let Some(pod) = self.pods.get_key(key) else {
            self.queue.remove(key);
            return;
        };
        let mut incoming = Incoming::of(&pod);
        incoming.siblings = self.siblings(&incoming);
        match schedule(&self.snapshot, &incoming, self.start) {
            Ok(placement) => {
                self.start = (self.start + placement.examined) % self.snapshot.nodes().len().max(1);
                let steps = steps(&incoming, &self.snapshot, &placement.node);
                self.snapshot.place(incoming.info, &placement.node);
                self.assumed.insert(key.clone());
                if steps.is_empty() {
                    self.bind(key.clone(), &pod, placement.node);
                } else {
                    self.bind_volumes(key.clone(), pod, placement.node, steps);
                }
            }
            Err(diagnosis) => {
                self.queue.failed(key, self.time.elapsed());
                self.report(key.clone(), &pod, &diagnosis);
            }
        }
    }

    /// Asked for only where the Pod does not say itself how it is to be spread.
    fn siblings(&self, incoming: &Incoming) -> Vec<LabelSelector> {
        if incoming.spec.topology_spread_constraints.as_ref().is_some_and(|own| !own.is_empty()) {
            return Vec::new();
        }
        let services = self.services.in_namespace(&incoming.info.namespace);
        let sets = self.sets.in_namespace(&incoming.info.namespace);
        let services = services.iter().filter_map(|service| service.spec.as_ref()?.selector.as_ref());
        let sets = sets.iter().filter_map(|set| Some(&set.spec.as_ref()?.selector));
        siblings::of(&incoming.info.labels, services, sets)
    }

    fn bind_volumes(&mut self, key: Key, pod: Arc<Pod>, node: String, steps: Vec<Step>) {
        let client = self.client.clone();
        let writing = (key.clone(), node.clone(), steps.clone());
        self.waiting.add(key, pod, node, steps, self.time.elapsed(), &mut self.snapshot);
        self.under_way.push(Box::pin(async move {
            let (key, node, steps) = writing;
            let result = volumes::write(&client, &steps, &node).await;
            Done::Volumes(key, result)
        }));
    }

    /// Binds the Pods whose claims are bound by now, and tries those again whose claims were not in time.
    fn bind_those_that_waited(&mut self) {
        for (key, outcome) in self.waiting.take(&self.snapshot, self.time.elapsed()) {
            match outcome {
                Outcome::Bound(pod, node) => self.bind(key, &pod, node),
                Outcome::Failed(pod) => {
                    self.recorder.record(Occurrence {
                        object: reference(pod.as_ref()),
                        related: None,
                        event_type: EventType::Warning,
                        reason: "FailedScheduling".to_owned(),
                        action: "Scheduling".to_owned(),
                        message: OUT_OF_TIME.to_owned(),
                    });
                    self.give_up(&key);
                }
            }
        }
    }

    /// A Pod whose claims were being bound is gone, or they cannot be: what was only decided is taken back.
    fn stop_waiting(&mut self, key: &Key) {
        for step in self.waiting.remove(key) {
            match step {
                Step::Bind { volume, .. } => {
                    if let Some(volume) = self.volumes.get(None, volume.name()) {
                        self.snapshot.volumes.insert(volume.name().to_owned(), volume);
                    }
                }
                Step::Provision { claim } => {
                    let name = Key::of(claim.as_ref());
                    if let Some(claim) = self.claims.get_key(&name) {
                        self.snapshot.claims.insert((name.namespace, name.name), claim);
                    }
                }
            }
        }
    }

    /// A Pod that has a place loses it, and is tried again after its back-off.
    fn give_up(&mut self, key: &Key) {
        // Unless the watch has meanwhile shown it bound, or gone.
        if self.assumed.remove(key) {
            self.free(key);
            self.queue.retry(key, self.time.elapsed());
        }
    }

    fn bind(&mut self, key: Key, pod: &Pod, node: String) {
        let client = self.client.clone();
        let recorder = self.recorder.clone();
        let occurrence = Occurrence {
            object: reference(pod),
            related: None,
            event_type: EventType::Normal,
            reason: "Scheduled".to_owned(),
            action: "Binding".to_owned(),
            message: format!("Successfully assigned {key} to {node}"),
        };
        let binding = Binding {
            metadata: ObjectMeta {
                name: Some(key.name.clone()),
                namespace: Some(key.namespace.clone()),
                uid: pod.metadata.uid.clone(),
                ..ObjectMeta::default()
            },
            target: ObjectReference { kind: Some("Node".to_owned()), name: Some(node), ..ObjectReference::default() },
        };
        // The node may begin before the answer is here, and what it tells comes after this.
        let time = recorder.now();
        self.under_way.push(Box::pin(async move {
            let result: Result<serde_json::Value, Error> =
                client.create_subresource::<Pod, _, _>(key.namespace.as_str(), &key.name, "binding", &binding).await;
            if result.is_ok() {
                recorder.record_of(time, occurrence);
            }
            Done::Bound(key, result.map(drop))
        }));
    }

    /// Tells the Pod's owner why it waits: an event, and the condition PodScheduled.
    fn report(&mut self, key: Key, pod: &Pod, diagnosis: &Diagnosis) {
        let message = diagnosis.to_string();
        self.recorder.record(Occurrence {
            object: reference(pod),
            related: None,
            event_type: EventType::Warning,
            reason: "FailedScheduling".to_owned(),
            action: "Scheduling".to_owned(),
            message: message.clone(),
        });
        let Some(condition) = unscheduled(pod, message, self.time.now()) else { return };
        let client = self.client.clone();
        self.under_way.push(Box::pin(async move {
            let patch = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
            let result = client.patch::<Pod>(key.namespace.as_str(), &key.name, &patch, Some("status")).await.map(drop);
            Done::Reported(key, result)
        }));
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Bound(_, Ok(())) => {}
            Done::Bound(key, Err(error)) => {
                tracing::debug!(%key, %error, "not bound");
                self.give_up(&key);
            }
            // Whether the claims are bound, the watch tells.
            Done::Volumes(_, Ok(())) => {}
            Done::Volumes(key, Err(error)) => {
                tracing::debug!(%key, %error, "its volumes are not bound");
                self.stop_waiting(&key);
                self.give_up(&key);
            }
            // The event has told it already, and the next attempt will say it again.
            Done::Reported(key, result) => {
                if let Err(error) = result {
                    tracing::debug!(%key, %error, "the condition PodScheduled was not written");
                }
            }
        }
    }
}

/// Whether a node that changed may take Pods that it did not take before.
fn offers_other_things(old: &Node, new: &Node) -> bool {
    let (old, new) = (NodeInfo::of(old), NodeInfo::of(new));
    old.allocatable != new.allocatable
        || old.max_pods != new.max_pods
        || old.labels != new.labels
        || old.taints != new.taints
        || old.unschedulable != new.unschedulable
}

fn is_ours(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let scheduler = spec.and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or(NAME);
    let gated = spec.and_then(|spec| spec.scheduling_gates.as_ref()).is_some_and(|gates| !gates.is_empty());
    scheduler == NAME && !gated
}

/// The condition that says that a Pod has no node; `None` when it says so already.
fn unscheduled(pod: &Pod, message: String, now: jiff::Timestamp) -> Option<PodCondition> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let old = conditions.iter().find(|condition| condition.type_ == "PodScheduled");
    let same = |condition: &PodCondition| {
        condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
            && condition.message.as_deref() == Some(message.as_str())
    };
    if old.is_some_and(same) {
        return None;
    }
    let since = old.filter(|condition| condition.status == "False").and_then(|old| old.last_transition_time.clone());
    Some(PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some(message),
        last_transition_time: since.or(Some(Stamp(now))),
        ..PodCondition::default()
    })
}
