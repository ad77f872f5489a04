//! A node without a kernel: Pods whose containers are little [programs of data](Program).
//!
//! It keeps the promises of [`Backend`] (idempotent calls, events, what is there survives the kubelet) and takes its
//! time from a [`Clock`], so that everything a kubelet decides can be tried in no time, and again in the same way.

mod program;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use podlab_images::registry::Credentials;
use podlab_linux::network::{Block, Pool};
use podlab_linux::xray::Xray;
use tokio::sync::mpsc;

use super::{
    Backend, BackendError, Collected, ContainerConfig, ContainerId, ContainerState, ContainerUsage, Event, ExecConfig,
    Exit, Image, ImageError, NamedImage, NetworkCheck, NodeFacts, NodeUsage, PodConfig, PodDisk, PodState, PodUid,
    PodUsage, ProbeOutcome, StartFailure, Stream, Streams, Volume, container_id,
};
use crate::clock::Clock;

pub use program::Program;

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
/// How many events wait for the kubelet before they count as lost.
const EVENTS: usize = 1024;

/// A node without a kernel. Clones are the same node.
pub struct Simulated<C> {
    shared: Arc<Shared<C>>,
}

impl<C> Clone for Simulated<C> {
    fn clone(&self) -> Self {
        Simulated { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<C> {
    facts: NodeFacts,
    clock: C,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What a registry would have.
    registry: BTreeMap<String, Stored>,
    /// What the node has.
    images: BTreeMap<String, Stored>,
    pods: BTreeMap<PodUid, SimulatedPod>,
    events: Option<mpsc::Sender<Event>>,
    /// How many Pods were made, for their addresses.
    made: u32,
    /// How often each container was really started: what must never be more than asked for.
    starts: BTreeMap<ContainerId, u32>,
}

#[derive(Clone)]
struct Stored {
    image: Image,
    program: Program,
}

struct SimulatedPod {
    state: PodState,
    programs: BTreeMap<ContainerId, Program>,
    volumes: BTreeMap<String, Volume>,
    configs: BTreeMap<ContainerId, ContainerConfig>,
}

impl<C: Clock + Clone> Simulated<C> {
    /// An empty node.
    #[must_use]
    pub fn new(facts: NodeFacts, clock: C) -> Self {
        Simulated { shared: Arc::new(Shared { facts, clock, state: Mutex::default() }) }
    }

    /// Puts an image into the node's store.
    pub fn store(&self, reference: &str, program: Program) {
        let stored = stored(reference, program);
        self.state().images.insert(reference.to_owned(), stored);
    }

    /// Puts an image where it can be pulled from.
    pub fn publish(&self, reference: &str, program: Program) {
        let stored = stored(reference, program);
        self.state().registry.insert(reference.to_owned(), stored);
    }

    /// A Pod's volume as it was last set up.
    #[must_use]
    pub fn volume(&self, pod: &PodUid, name: &str) -> Option<Volume> {
        self.state().pods.get(pod)?.volumes.get(name).cloned()
    }

    /// What a container was started from.
    #[must_use]
    pub fn config(&self, pod: &PodUid, container: &ContainerId) -> Option<ContainerConfig> {
        self.state().pods.get(pod)?.configs.get(container).cloned()
    }

    /// How often a container was started; more than once is a mistake.
    #[must_use]
    pub fn starts(&self, container: &ContainerId) -> u32 {
        self.state().starts.get(container).copied().unwrap_or_default()
    }

    /// Pulls the plug of a Pod: its supervisor is gone, and everything with it.
    pub fn kill_pod(&self, uid: &PodUid) {
        self.down(uid);
        self.tell(Event::PodDied { pod: uid.clone() });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kubelet may be gone, or slow; then it asks for everything anew.
    fn tell(&self, event: Event) {
        let mut state = self.state();
        if state.events.as_ref().is_some_and(|events| events.try_send(event).is_err()) {
            state.events = None;
        }
    }

    /// Ends a container of which nothing has been heard yet.
    fn end(&self, uid: &PodUid, id: &ContainerId, code: i32, signal: Option<i32>, oom_killed: bool) {
        let finished_at = self.shared.clock.now();
        let mut state = self.state();
        let Some(pod) = state.pods.get_mut(uid) else { return };
        let message = pod.programs.get(id).map(|program| program.message.clone()).unwrap_or_default();
        let Some(container) = pod.state.containers.iter_mut().find(|container| container.id == *id) else { return };
        if container.exit.is_some() {
            return;
        }
        let exit = Exit { code, signal, finished_at, oom_killed, message };
        container.exit = Some(exit.clone());
        drop(state);
        self.tell(Event::Exited { pod: uid.clone(), container: id.clone(), exit });
    }

    fn end_after(&self, uid: &PodUid, id: &ContainerId, after: Duration, code: i32, oom_killed: bool) {
        let (node, uid, id) = (self.clone(), uid.clone(), id.clone());
        let deadline = self.shared.clock.elapsed().saturating_add(after);
        tokio::spawn(async move {
            node.shared.clock.sleep_until(deadline).await;
            node.end(&uid, &id, code, None, oom_killed);
        });
    }

    fn down(&self, uid: &PodUid) {
        let now = self.shared.clock.now();
        let mut state = self.state();
        let Some(pod) = state.pods.get_mut(uid) else { return };
        pod.state.alive = false;
        for container in pod.state.containers.iter_mut().filter(|container| container.exit.is_none()) {
            let killed =
                Exit { code: 137, signal: Some(SIGKILL), finished_at: now, oom_killed: false, message: String::new() };
            container.exit = Some(killed);
        }
    }

    /// The program of a running container, and how long it has been running.
    fn running(&self, uid: &PodUid, id: Option<&ContainerId>) -> Option<(Program, Duration)> {
        let now = self.shared.clock.now();
        let state = self.state();
        let pod = state.pods.get(uid)?;
        let mut running = pod.state.containers.iter().filter(|container| container.exit.is_none());
        let container = running.find(|container| id.is_none_or(|id| container.id == *id))?;
        let age = Duration::try_from(now.duration_since(container.started_at)).unwrap_or_default();
        Some((pod.programs.get(&container.id)?.clone(), age))
    }
}

fn stored(reference: &str, program: Program) -> Stored {
    let digest = container_id(&reference.to_owned(), "image", 0);
    let repository = reference.split(':').next().unwrap_or_default();
    let image = Image {
        id: format!("sha256:{digest}"),
        repo_digest: format!("{repository}@sha256:{digest}"),
        size: 3_621_056,
        user: String::new(),
        stop_signal: None,
        built_in: true,
    };
    Stored { image, program }
}

impl<C: Clock + Clone> Backend for Simulated<C> {
    fn facts(&self) -> NodeFacts {
        self.shared.facts.clone()
    }

    async fn pods(&self) -> Result<Vec<PodState>, BackendError> {
        Ok(self.state().pods.values().map(|pod| pod.state.clone()).collect())
    }

    async fn remains(&self) -> Result<Vec<PodUid>, BackendError> {
        Ok(self.state().pods.keys().cloned().collect())
    }

    fn events(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(EVENTS);
        self.state().events = Some(sender);
        receiver
    }

    async fn create_pod(&self, pod: &PodConfig) -> Result<PodState, BackendError> {
        let created_at = self.shared.clock.now();
        let mut state = self.state();
        let made = state.made + 1;
        let known = state.pods.get(&pod.uid);
        if let Some(known) = known.filter(|known| known.state.alive) {
            return Ok(known.state.clone());
        }
        let ip = match pod.host_network {
            true => self.shared.facts.internal_ip.clone(),
            false => format!("10.244.{}.{}", made / 250, made % 250 + 2),
        };
        let containers = known.map(|known| known.state.containers.clone()).unwrap_or_default();
        let (uid, namespace, name) = (pod.uid.clone(), pod.namespace.clone(), pod.name.clone());
        let fresh = PodState { uid, namespace, name, ip, alive: true, created_at, containers };
        state.made = made;
        let entry = state.pods.entry(pod.uid.clone()).or_insert_with(|| SimulatedPod::of(fresh.clone()));
        entry.state = fresh.clone();
        Ok(fresh)
    }

    async fn stop_pod(&self, uid: &PodUid) -> Result<(), BackendError> {
        self.down(uid);
        Ok(())
    }

    async fn remove_pod(&self, uid: &PodUid) -> Result<(), BackendError> {
        self.state().pods.remove(uid);
        Ok(())
    }

    async fn set_up_volume(&self, uid: &PodUid, volume: &Volume) -> Result<(), BackendError> {
        let now = self.shared.clock.now();
        let mut state = self.state();
        // Volumes come before the namespaces, so this may be the first that is heard of the Pod.
        let pod = state.pods.entry(uid.clone()).or_insert_with(|| {
            let (uid, empty) = (uid.clone(), String::new);
            let (namespace, name, ip) = (empty(), empty(), empty());
            let containers = Vec::new();
            SimulatedPod::of(PodState { uid, namespace, name, ip, alive: false, created_at: now, containers })
        });
        pod.volumes.insert(volume.name.clone(), volume.clone());
        Ok(())
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, BackendError> {
        Ok(self.state().images.get(reference).map(|stored| stored.image.clone()))
    }

    async fn images(&self) -> Result<Vec<NamedImage>, BackendError> {
        let named = |(name, stored): (&String, &Stored)| NamedImage {
            names: vec![stored.image.repo_digest.clone(), name.clone()],
            size: stored.image.size,
        };
        Ok(self.state().images.iter().map(named).collect())
    }

    async fn pull(&self, reference: &str, _credentials: Option<Credentials>) -> Result<Image, BackendError> {
        let mut state = self.state();
        let found = state.registry.get(reference).or_else(|| state.images.get(reference)).cloned();
        let stored = found.ok_or_else(|| {
            BackendError::Image(ImageError::Pull(format!("failed to resolve reference \"{reference}\": not found")))
        })?;
        state.images.insert(reference.to_owned(), stored.clone());
        Ok(stored.image)
    }

    async fn start_container(&self, uid: &PodUid, container: &ContainerConfig) -> Result<ContainerId, BackendError> {
        let started_at = self.shared.clock.now();
        let id = container_id(uid, &container.name, container.attempt);
        let program = {
            let mut state = self.state();
            let program = state.images.values().find(|stored| stored.image.id == container.image_id);
            let program = program.map(|stored| stored.program.clone()).unwrap_or_default();
            let no_pod = || BackendError::NoSuchPod(uid.clone());
            let pod = state.pods.get_mut(uid).filter(|pod| pod.state.alive).ok_or_else(no_pod)?;
            if pod.state.containers.iter().any(|known| known.id == id) {
                return Ok(id);
            }
            if let Some(message) = program.start_error {
                return Err(BackendError::Start { reason: StartFailure::Start, message });
            }
            pod.state.containers.push(ContainerState {
                id: id.clone(),
                name: container.name.clone(),
                attempt: container.attempt,
                image_id: container.image_id.clone(),
                started_at,
                exit: None,
            });
            pod.programs.insert(id.clone(), program.clone());
            pod.configs.insert(id.clone(), container.clone());
            *state.starts.entry(id.clone()).or_default() += 1;
            program
        };
        if let Some((after, code)) = program.ends {
            self.end_after(uid, &id, after, code, program.out_of_memory);
        }
        Ok(id)
    }

    async fn signal(&self, uid: &PodUid, container: &ContainerId, signal: i32) -> Result<(), BackendError> {
        let Some((program, _)) = self.running(uid, Some(container)) else { return Ok(()) };
        match (signal, program.ends_on_term) {
            (SIGKILL, _) => self.end(uid, container, 128 + SIGKILL, Some(SIGKILL), false),
            (SIGTERM, Some((Duration::ZERO, code))) => self.end(uid, container, code, None, false),
            (SIGTERM, Some((after, code))) => self.end_after(uid, container, after, code, false),
            _ => {}
        }
        Ok(())
    }

    async fn remove_container(&self, uid: &PodUid, container: &ContainerId) -> Result<(), BackendError> {
        if let Some(pod) = self.state().pods.get_mut(uid) {
            pod.state.containers.retain(|known| known.id != *container || known.exit.is_none());
        }
        Ok(())
    }

    async fn exec_collect(
        &self,
        uid: &PodUid,
        container: &ContainerId,
        _command: &[String],
        _timeout: Duration,
        limit: usize,
    ) -> Result<Collected, BackendError> {
        let gone = || BackendError::NoSuchContainer { pod: uid.clone(), container: container.clone() };
        let (program, age) = self.running(uid, Some(container)).ok_or_else(gone)?;
        let unhealthy = program.is_unhealthy(age);
        let mut output = if unhealthy { program.complaint.into_bytes() } else { Vec::new() };
        let truncated = output.len() > limit;
        output.truncate(limit);
        Ok(Collected { code: i32::from(unhealthy), output, truncated, timed_out: false })
    }

    async fn exec(
        &self,
        uid: &PodUid,
        container: &ContainerId,
        _exec: ExecConfig,
        _streams: Streams,
    ) -> Result<i32, BackendError> {
        let gone = || BackendError::NoSuchContainer { pod: uid.clone(), container: container.clone() };
        let (program, age) = self.running(uid, Some(container)).ok_or_else(gone)?;
        Ok(i32::from(program.is_unhealthy(age)))
    }

    async fn attach(&self, _: &PodUid, _: &ContainerId, _: Streams) -> Result<(), BackendError> {
        Err(no_kernel("attaching to a program that does not exist"))
    }

    async fn connect(&self, _: &PodUid, _: u16) -> Result<Box<dyn Stream>, BackendError> {
        Err(no_kernel("connecting to a program that does not exist"))
    }

    async fn probe(&self, uid: &PodUid, _check: &NetworkCheck, _timeout: Duration) -> ProbeOutcome {
        match self.running(uid, None) {
            Some((program, age)) if program.is_unhealthy(age) => ProbeOutcome::Failure(program.complaint),
            Some(_) => ProbeOutcome::Success,
            None => ProbeOutcome::Failure("connect: connection refused".to_owned()),
        }
    }

    async fn xray(&self, _: &PodUid) -> Result<Xray, BackendError> {
        Err(no_kernel("looking at processes that do not exist"))
    }

    /// Simulated Pods have no network to share.
    async fn balance(&self, _: Block, _: &[Pool]) -> Result<(), BackendError> {
        Ok(())
    }

    async fn disk(&self, _: &PodUid) -> Result<PodDisk, BackendError> {
        Ok(PodDisk::default())
    }

    async fn memory(&self) -> Result<u64, BackendError> {
        Ok(self.usage().await?.memory)
    }

    async fn usage(&self) -> Result<NodeUsage, BackendError> {
        let state = self.state();
        let usage = |(uid, pod): (&PodUid, &SimulatedPod)| {
            let running = pod.state.containers.iter().filter(|container| container.exit.is_none());
            let containers = running.map(|container| ContainerUsage {
                name: container.name.clone(),
                started_at: container.started_at,
                cpu_nanoseconds: 0,
                memory: pod.programs.get(&container.id).map_or(0, |program| program.memory),
            });
            PodUsage { uid: uid.clone(), containers: containers.collect() }
        };
        let pods: Vec<PodUsage> = state.pods.iter().map(usage).collect();
        let memory = pods.iter().flat_map(|pod| &pod.containers).map(|container| container.memory).sum();
        Ok(NodeUsage { cpu_nanoseconds: 0, memory, pods })
    }

    async fn log(&self, _: &PodUid, _: &str, _: u32) -> Result<tokio::fs::File, BackendError> {
        Err(no_kernel("the log of a program that does not exist"))
    }

    async fn next_log(
        &self,
        _: &PodUid,
        _: &str,
        _: u32,
        _: &tokio::fs::File,
    ) -> Result<Option<tokio::fs::File>, BackendError> {
        Ok(None)
    }
}

impl SimulatedPod {
    fn of(state: PodState) -> Self {
        SimulatedPod { state, programs: BTreeMap::new(), volumes: BTreeMap::new(), configs: BTreeMap::new() }
    }
}

fn no_kernel(what: &str) -> BackendError {
    BackendError::Refused { what: what.to_owned(), why: "this node is simulated".to_owned() }
}
