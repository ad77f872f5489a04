//! The kubelet as a whole: which Pods are on this node, a loop for each, and the node's own heartbeat.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use podlab_client::cache::{Change, Changes};
use podlab_client::events::Recorder;
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, ListOptions, Object};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::admission;
use super::config::Names;
use super::decide::Ending;
use super::effects::Effects;
use super::eviction;
use super::follow::{Followed, Source};
use super::local_storage;
use super::node;
use super::table::Table;
use super::worker::{Input, Worker};
use crate::backend::{Backend, BackendError, Event, PodState, PodUid};
use crate::clock::Clock;
use crate::server::{self, KnownPods};
use crate::services;

/// The address of the cluster's DNS service, and the names it answers for.
const CLUSTER_DNS: &str = "10.96.0.10";
const CLUSTER_DOMAIN: &str = "cluster.local";
/// How often the node's memory is looked at, and how long it must have been enough before that is said
/// (pkg/kubelet/eviction: monitoringInterval, and `evictionPressureTransitionPeriod`).
const LOOK: Duration = Duration::from_secs(10);
const RELIEF: Duration = Duration::from_secs(300);

/// What a kubelet is started with.
#[derive(Debug)]
pub struct KubeletConfig {
    /// Where the node's HTTP is answered.
    pub listener: UnixListener,
    /// The text of the node's own `/etc/resolv.conf`.
    pub resolv_conf: String,
}

/// Why a kubelet ended.
#[derive(Debug, thiserror::Error)]
pub enum KubeletError {
    /// The node's HTTP could no longer be served.
    #[error("the node's HTTP: {0}")]
    Server(#[source] std::io::Error),
    /// The node did not say which Pods it has.
    #[error("cannot list the Pods of the node: {0}")]
    Pods(#[from] BackendError),
}

/// Runs a kubelet. Dropping the future ends it; the Pods go on.
///
/// # Errors
/// When it cannot begin. Once it runs, it goes on whatever happens.
pub async fn run<B: Backend, C: Clock>(
    config: KubeletConfig,
    backend: Arc<B>,
    clock: Arc<C>,
    client: Client,
) -> Result<(), KubeletError> {
    let facts = backend.facts();
    let table = Arc::new(Table::default());
    // Ended with this future, whatever ends it.
    let mut tasks = JoinSet::new();
    let served = server::serve(config.listener, Arc::clone(&backend), Arc::clone(&clock), Arc::clone(&table) as _);
    let pressure = watch::Sender::new(false);
    tasks.spawn(node::keep(Arc::clone(&backend), Arc::clone(&clock), client.clone(), pressure.subscribe()));

    let now = {
        let clock = Arc::clone(&clock);
        Arc::new(move || clock.now())
    };
    let (recorder, write_events) = Recorder::new(client.clone(), "kubelet", &facts.name, now, Sleeper::wall());
    tasks.spawn(write_events);

    let mine = ListOptions::default().fields(format!("spec.nodeName={}", facts.name));
    let pods = Cache::<Pod>::spawn(client.clone(), None, mine, Sleeper::wall());
    let services = Cache::<Service>::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
    let own = ListOptions::default().fields(format!("metadata.name={}", facts.name));
    let nodes = Cache::<Node>::spawn(client.clone(), None, own, Sleeper::wall());
    tasks.spawn(services::keep(Arc::clone(&backend), services.clone(), client.clone()));
    pods.synced().await;
    services.synced().await;
    nodes.synced().await;

    let events = backend.events();
    let found = backend.pods().await?;
    let names =
        Names { dns: CLUSTER_DNS.to_owned(), domain: CLUSTER_DOMAIN.to_owned(), node_resolv_conf: config.resolv_conf };
    let (followed, mut sources) = Followed::new(client.clone(), Sleeper::wall());
    let effects = Effects { backend, clock, client, services, names, facts };
    let mut kubelet = Kubelet {
        effects: Arc::new(effects),
        recorder,
        table,
        found: found.into_iter().map(|state| (state.uid.clone(), state)).collect(),
        workers: HashMap::new(),
        rejected: HashSet::new(),
        memory: Memory { pressure, since: None },
        measured: JoinSet::new(),
        nodes,
        running: JoinSet::new(),
        pods,
        followed,
    };
    // Every Pod has its loop before anything is waited for: one that is deleted during the sweep is told of to its loop.
    let mut changes = kubelet.pods.changes();
    changes.take().into_iter().for_each(|change| kubelet.changed(change));
    kubelet.sweep().await;
    tokio::select! {
        served = served => served.map_err(KubeletError::Server),
        () = kubelet.run(changes, events, &mut sources) => Ok(()),
    }
}

struct Kubelet<B, C> {
    effects: Arc<Effects<B, C>>,
    recorder: Recorder,
    table: Arc<Table>,
    /// What the node had when the kubelet started, until somebody takes it.
    found: BTreeMap<PodUid, PodState>,
    workers: HashMap<PodUid, Handle>,
    /// The Pods that the node did not take.
    rejected: HashSet<PodUid>,
    memory: Memory,
    /// A look at what the Pods keep on the disk: one at a time, beside everything else.
    measured: JoinSet<Vec<(PodUid, Ending)>>,
    /// This node, as the server has it.
    nodes: Cache<Node>,
    running: JoinSet<PodUid>,
    pods: Cache<Pod>,
    /// What the Pods with a loop refer to.
    followed: Followed,
}

/// What is known of the node's memory.
struct Memory {
    /// Whether there is too little of it.
    pressure: watch::Sender<bool>,
    /// When there was last too little.
    since: Option<Duration>,
}

/// The way to a Pod's loop.
struct Handle {
    namespace: String,
    inbox: mpsc::UnboundedSender<Input>,
}

impl<B: Backend, C: Clock> Kubelet<B, C> {
    /// Removes what the node has of Pods that no longer exist: they were deleted while no kubelet was there.
    async fn sweep(&mut self) {
        // What the Pods that exist had was taken by their loops.
        self.found.clear();
        let known: HashSet<PodUid> = self.workers.keys().cloned().collect();
        let backend = &self.effects.backend;
        let remains = backend.remains().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the node does not say what is left of its Pods");
            Vec::new()
        });
        for uid in remains.into_iter().filter(|uid| !known.contains(uid)) {
            let swept = match backend.stop_pod(&uid).await {
                Ok(()) => backend.remove_pod(&uid).await,
                Err(error) => Err(error),
            };
            if let Err(error) = swept {
                tracing::warn!(%error, uid, "a Pod that was deleted could not be removed");
            }
        }
    }

    async fn run(
        &mut self,
        mut changes: Changes<Pod>,
        mut events: mpsc::Receiver<Event>,
        sources: &mut mpsc::UnboundedReceiver<Source>,
    ) {
        let clock = Arc::clone(&self.effects.clock);
        let mut look_at = clock.elapsed() + LOOK;
        loop {
            tokio::select! {
                () = clock.sleep_until(look_at) => {
                    self.look_at_memory().await;
                    self.look_at_disks();
                    look_at = clock.elapsed() + LOOK;
                }
                changed = changes.next() => changed.into_iter().for_each(|change| self.changed(change)),
                event = events.recv() => match event {
                    Some(event) => self.happened(event),
                    None => events = self.resync().await,
                },
                Some(ended) = self.running.join_next() => match ended {
                    Ok(uid) => self.ended(&uid),
                    Err(error) => tracing::error!(%error, "a Pod's loop did not end well"),
                },
                Some(Ok(endings)) = self.measured.join_next() => {
                    endings.into_iter().for_each(|(uid, ending)| self.send(&uid, Input::End(ending)));
                }
                Some(source) = sources.recv() => self.source_changed(&source),
            }
        }
    }

    fn changed(&mut self, change: Change<Pod>) {
        // A namesake may have taken the place of another Pod.
        if let Some(old) = change.old.filter(|old| change.new.as_ref().is_none_or(|new| new.uid() != old.uid())) {
            self.send(old.uid(), Input::Gone);
        }
        let Some(pod) = change.new else { return };
        if self.workers.contains_key(pod.uid()) {
            return self.send(pod.uid(), Input::Pod(Arc::clone(&pod)));
        }
        let uid = pod.uid().to_owned();
        let (inbox, receiver) = mpsc::unbounded_channel();
        let namespace = pod.namespace().unwrap_or_default().to_owned();
        let (effects, table) = (Arc::clone(&self.effects), Arc::clone(&self.table));
        let state = self.found.remove(&uid);
        let rejected = if state.is_none() { self.reject(&pod) } else { None };
        self.followed.add(&uid, &pod);
        let worker = Worker::new(effects, self.recorder.clone(), table, receiver, pod, state.as_ref(), rejected);
        self.workers.insert(uid.clone(), Handle { namespace, inbox });
        self.running.spawn(async move {
            worker.run().await;
            uid
        });
    }

    /// Evicts a Pod when the node is short of memory. One at a time: the next look shows whether that was enough.
    async fn look_at_memory(&mut self) {
        let (backend, capacity) = (&self.effects.backend, self.effects.facts.memory);
        let now = self.effects.clock.elapsed();
        let used = backend.memory().await.unwrap_or_default();
        if !eviction::is_short(capacity, used) {
            if self.memory.since.is_none_or(|since| now.saturating_sub(since) >= RELIEF) {
                self.memory.pressure.send_if_modified(std::mem::take);
            }
            return;
        }
        self.memory.since = Some(now);
        self.memory.pressure.send_if_modified(|pressure| !std::mem::replace(pressure, true));
        let usage = match backend.usage().await {
            Ok(usage) => usage,
            Err(error) => return tracing::warn!(%error, "the node does not say what its Pods use"),
        };
        let all = self.table.all();
        // One that ends already gives its memory back without being told.
        let may_go = |pod: &&Arc<Pod>| pod.metadata.deletion_timestamp.is_none() && !has_ended(pod);
        let candidates = all.iter().filter(may_go).filter_map(|pod| {
            let used = usage.pods.iter().find(|used| used.uid == pod.uid())?;
            Some((&**pod, used))
        });
        if let Some((pod, ending)) = eviction::choose(capacity.saturating_sub(used), candidates) {
            self.send(pod.uid(), Input::End(ending));
        }
    }

    /// Measures the Pods that may keep no more than so much on the disk; those that keep more are evicted.
    fn look_at_disks(&mut self) {
        let running = |pod: &Arc<Pod>| pod.metadata.deletion_timestamp.is_none() && !has_ended(pod);
        let mut limited = self.table.all();
        limited.retain(|pod| running(pod) && local_storage::is_limited(pod));
        // The last look takes long when there are many files.
        if limited.is_empty() || !self.measured.is_empty() {
            return;
        }
        let backend = Arc::clone(&self.effects.backend);
        self.measured.spawn(async move {
            let mut endings = Vec::new();
            for pod in limited {
                match backend.disk(&pod.uid().to_owned()).await {
                    Ok(disk) => {
                        let ending = local_storage::judge(&pod, &disk);
                        endings.extend(ending.map(|ending| (pod.uid().to_owned(), ending)));
                    }
                    Err(error) => tracing::warn!(%error, uid = pod.uid(), "what a Pod keeps on the disk is not known"),
                }
            }
            endings
        });
    }

    /// Why a Pod that is new on this node cannot stay, if it cannot.
    fn reject(&mut self, pod: &Pod) -> Option<Ending> {
        let status = pod.status.as_ref();
        // It was taken before, by this kubelet or the one before it.
        let known = status.is_some_and(|status| status.container_statuses.is_some()) || has_ended(pod);
        if known || pod.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let name = &self.effects.facts.name;
        let node = self.nodes.get(None, name);
        let node = node.unwrap_or_else(|| Arc::new(node::object(&self.effects.facts, self.effects.clock.now())));
        let taken = |other: &Arc<Pod>| {
            let newest = self.table.pod(other.namespace().unwrap_or_default(), other.name());
            let newest = newest.filter(|newest| newest.uid() == other.uid()).unwrap_or_else(|| Arc::clone(other));
            let here = self.workers.contains_key(other.uid()) && !self.rejected.contains(other.uid());
            here && other.uid() != pod.uid() && !has_ended(&newest)
        };
        let others: Vec<_> = self.pods.all().into_iter().filter(taken).collect();
        let pressure = *self.memory.pressure.borrow();
        let refused = admission::admit(&node, others.iter().map(AsRef::as_ref), pod)
            .and_then(|()| admission::admit_under_pressure(pressure, pod))
            .err()?;
        self.rejected.insert(pod.uid().to_owned());
        Some(refused)
    }

    fn happened(&mut self, event: Event) {
        let (Event::Exited { pod, .. } | Event::PodDied { pod }) = &event;
        self.send(&pod.clone(), Input::Node(event));
    }

    fn ended(&mut self, uid: &PodUid) {
        self.workers.remove(uid);
        self.followed.remove(uid);
        self.rejected.remove(uid);
    }

    /// Events were lost: every loop is told what there is.
    async fn resync(&mut self) -> mpsc::Receiver<Event> {
        let events = self.effects.backend.events();
        match self.effects.backend.pods().await {
            Ok(states) => {
                let mut states: HashMap<_, _> = states.into_iter().map(|state| (state.uid.clone(), state)).collect();
                for (uid, handle) in &self.workers {
                    let _ = handle.inbox.send(Input::Resync(states.remove(uid)));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the node does not say which Pods it has");
                self.effects.clock.sleep(super::decide::RETRY).await;
            }
        }
        events
    }

    fn source_changed(&self, source: &Source) {
        for handle in self.workers.values().filter(|handle| handle.namespace == source.namespace) {
            let _ = handle.inbox.send(Input::Source(source.kind, source.name.clone()));
        }
    }

    /// A loop that has ended takes nothing any more, and need not.
    fn send(&self, uid: &str, input: Input) {
        if let Some(handle) = self.workers.get(uid) {
            let _ = handle.inbox.send(input);
        }
    }
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
