//! What the kubelet knows about a Pod besides the Pod itself: what the backend has, and what it remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::backend::{ContainerId, Exit, Image, PodState};
use crate::probes::{Kind, ProbeState};

/// The first wait of a back-off, and the longest (MaxContainerBackOff of pkg/kubelet/kubelet.go).
const FIRST_BACK_OFF: Duration = Duration::from_secs(10);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);

/// A back-off that was not used for twice its longest wait starts over.
const BACK_OFF_FORGOTTEN: Duration = Duration::from_secs(600);

/// How long a volume that cannot be set up, doubling from the first to the last (exponentialbackoff of
/// pkg/util/goroutinemap).
const FIRST_VOLUME_RETRY: Duration = Duration::from_millis(500);
const LONGEST_VOLUME_RETRY: Duration = Duration::from_secs(122);

/// How often the files of ConfigMaps and Secrets are compared with their objects when nothing else happens.
const VOLUME_REFRESH: Duration = Duration::from_secs(60);

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub sandbox: Option<PodState>,
    pub memory: Memory,
}

/// What only this process knows. A restarted kubelet begins with an empty one, and may repeat what does no harm.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Under way now.
    pub tasks: BTreeSet<Task>,
    pub volumes: Volumes,
    /// A sandbox that could not be made is tried again then.
    pub sandbox_retry: Option<Timestamp>,
    /// Starts that came to nothing: they count as attempts, though the backend has no container of them.
    pub failed_starts: Vec<FailedStart>,
    /// Why a container is not even tried now.
    pub held_up: BTreeMap<String, HeldUp>,
    pub back_offs: BTreeMap<BackOffKey, BackOff>,
    pub running: BTreeMap<ContainerId, RunningMemory>,
    /// What each container was started from, for its status.
    pub images: BTreeMap<String, Image>,
    /// The Pod failed as a whole, and why: `DeadlineExceeded`, `Evicted`.
    pub failed: Option<(String, String)>,
}

/// Something under way, so that it is not begun twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    Volumes,
    Sandbox,
    Start(String),
    PostStart(ContainerId),
    Stop(ContainerId),
    Kill(ContainerId),
    Probe(ContainerId, Kind),
    Confirm,
}

/// How far the volumes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volumes {
    /// All were set up at least once.
    pub ready: bool,
    /// Some could not be; the wait before the next try.
    pub failing: Option<Duration>,
    /// When to try, or to compare, again. `None`: now.
    pub next: Option<Timestamp>,
}

/// A start that failed after the configuration was complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedStart {
    pub container: String,
    pub attempt: u32,
    pub id: ContainerId,
    /// Of the waiting state that follows: `RunContainerError`, `CreateContainerError`.
    pub waiting: String,
    /// Of the terminated state: `StartError`, `ContainerCannotRun`.
    pub reason: String,
    pub message: String,
    pub at: Timestamp,
}

/// A container that cannot be started yet: its image or its configuration is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUp {
    /// `ErrImagePull`, `CreateContainerConfigError` …
    pub reason: String,
    pub message: String,
    pub since: Timestamp,
    pub until: Timestamp,
}

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackOffKey {
    /// The next start of a container.
    Restart(String),
    /// The next pull for a container.
    Image(String),
}

/// A wait that doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    pub delay: Duration,
    pub updated: Timestamp,
}

/// What is remembered of a running container.
#[derive(Clone, Debug, Default)]
pub struct RunningMemory {
    pub probes: BTreeMap<Kind, ProbeState>,
    /// `None` until the hook was run, or where there is none.
    pub post_started: bool,
    /// The container was asked to end, and is killed then.
    pub kill_at: Option<Timestamp>,
    /// A probe has failed for good; the container is to be stopped.
    pub condemned: Option<Kind>,
}

/// One start of a container, however much of it is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub attempt: u32,
    pub id: ContainerId,
    pub started_at: Option<Timestamp>,
    pub end: Option<End>,
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub exit: Exit,
    pub reason: String,
}

impl Observed {
    /// Whether the namespaces are there.
    pub fn alive(&self) -> bool {
        self.sandbox.as_ref().is_some_and(|sandbox| sandbox.alive)
    }

    /// Whether something is under way already.
    pub fn busy(&self, task: &Task) -> bool {
        self.memory.tasks.contains(task)
    }

    /// The starts of a container that are known of, the newest last. Where nothing is left of the newest, the status
    /// that the API server has still tells of it: that is how a Pod's count of restarts survives a reboot.
    pub fn instances(&self, pod: &Pod, container: &str) -> Vec<Instance> {
        let mut instances: Vec<Instance> = Vec::new();
        for state in self.sandbox.iter().flat_map(|sandbox| &sandbox.containers).filter(|state| state.name == container)
        {
            let end = state.exit.clone().map(|exit| End { reason: reason(&exit).to_owned(), exit });
            let started_at = Some(state.started_at);
            instances.push(Instance { attempt: state.attempt, id: state.id.clone(), started_at, end });
        }
        for failed in self.memory.failed_starts.iter().filter(|failed| failed.container == container) {
            instances.push(failed.instance());
        }
        if let Some(told) = told_instance(pod, container)
            && instances.iter().all(|instance| instance.attempt < told.attempt)
        {
            instances.push(told);
        }
        instances.sort_by_key(|instance| instance.attempt);
        instances
    }

    /// The newest start of a container.
    pub fn latest(&self, pod: &Pod, container: &str) -> Option<Instance> {
        self.instances(pod, container).pop()
    }

    /// The containers that run now, by name and id.
    pub fn running(&self) -> impl Iterator<Item = (&str, &ContainerId)> {
        self.sandbox
            .iter()
            .filter(|sandbox| sandbox.alive)
            .flat_map(|sandbox| &sandbox.containers)
            .filter(|state| state.exit.is_none())
            .map(|state| (state.name.as_str(), &state.id))
    }
}

/// The words of a container runtime for how a process ended.
fn reason(exit: &Exit) -> &'static str {
    if exit.oom_killed {
        "OOMKilled"
    } else if exit.code == 0 {
        "Completed"
    } else {
        "Error"
    }
}

impl FailedStart {
    fn instance(&self) -> Instance {
        let exit =
            Exit { code: 128, signal: None, finished_at: self.at, oom_killed: false, message: self.message.clone() };
        let end = End { exit, reason: self.reason.clone() };
        Instance { attempt: self.attempt, id: self.id.clone(), started_at: None, end: Some(end) }
    }
}

/// The newest start that the status in the API speaks of.
fn told_instance(pod: &Pod, container: &str) -> Option<Instance> {
    let status = pod.status.as_ref()?;
    let told: &ContainerStatus = [&status.container_statuses, &status.init_container_statuses]
        .into_iter()
        .flatten()
        .flatten()
        .find(|status| status.name == container)?;
    let state = told.state.as_ref();
    let ended = state.and_then(|state| state.terminated.as_ref());
    let ended = ended.or_else(|| told.last_state.as_ref().and_then(|last| last.terminated.as_ref()));
    let running = state.and_then(|state| state.running.as_ref());
    let attempt = u32::try_from(told.restart_count).ok()?;
    let id = told.container_id.as_deref().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
    if let Some(running) = running {
        let started_at = running.started_at.as_ref().map(|time| time.0);
        // Whoever looks for it does not find it: the node went down under it.
        let exit = Exit {
            code: 137,
            signal: None,
            finished_at: started_at.unwrap_or_default(),
            oom_killed: false,
            message: "The container could not be located when the pod was terminated".to_owned(),
        };
        let end = Some(End { exit, reason: "ContainerStatusUnknown".to_owned() });
        return Some(Instance { attempt, id, started_at, end });
    }
    let ended = ended?;
    let exit = Exit {
        code: ended.exit_code,
        signal: ended.signal,
        finished_at: ended.finished_at.as_ref().map(|time| time.0).unwrap_or_default(),
        oom_killed: ended.reason.as_deref() == Some("OOMKilled"),
        message: ended.message.clone().unwrap_or_default(),
    };
    let end = Some(End { exit, reason: ended.reason.clone().unwrap_or_default() });
    let started_at = ended.started_at.as_ref().map(|time| time.0);
    Some(Instance { attempt, id, started_at, end })
}

impl Memory {
    pub(super) fn volumes_ready(&self) -> bool {
        self.volumes.ready
    }

    pub(super) fn volumes_due(&self, now: Timestamp) -> bool {
        self.volumes.next.is_none_or(|next| next <= now)
    }

    pub(super) fn volumes_retry(&self) -> Option<Timestamp> {
        self.volumes.next
    }

    /// All volumes are as the Pod asks for.
    pub fn volumes_done(&mut self, now: Timestamp) {
        self.volumes = Volumes { ready: true, failing: None, next: Some(later(now, VOLUME_REFRESH)) };
    }

    /// One could not be set up: try again, each time after twice the wait.
    pub fn volumes_failed(&mut self, now: Timestamp) {
        let delay = self.volumes.failing.map_or(FIRST_VOLUME_RETRY, |last| (last * 2).min(LONGEST_VOLUME_RETRY));
        self.volumes.failing = Some(delay);
        self.volumes.next = Some(later(now, delay));
    }

    /// Until when `key` has to wait after something that happened at `since`. The first time there is no wait.
    pub fn waits_until(&self, key: &BackOffKey, since: Timestamp) -> Option<Timestamp> {
        let back_off = self.back_offs.get(key)?;
        let forgotten = later(back_off.updated, BACK_OFF_FORGOTTEN) < since;
        (!forgotten).then(|| later(since, back_off.delay))
    }

    /// Lengthens the wait that the next failure meets.
    pub fn lengthen(&mut self, key: BackOffKey, since: Timestamp) -> Duration {
        let known = self.back_offs.get(&key).filter(|known| later(known.updated, BACK_OFF_FORGOTTEN) >= since);
        let delay = known.map_or(FIRST_BACK_OFF, |known| (known.delay * 2).min(LONGEST_BACK_OFF));
        self.back_offs.insert(key, BackOff { delay, updated: since });
        delay
    }

    /// Forgets what belonged to containers that are no more.
    pub(super) fn keep_only<'a>(&mut self, running: impl Iterator<Item = &'a ContainerId>) {
        let running: BTreeSet<&ContainerId> = running.collect();
        self.running.retain(|id, _| running.contains(id));
    }
}

/// `time` and a while, or the end of time.
pub(super) fn later(time: Timestamp, while_: Duration) -> Timestamp {
    time.checked_add(while_).unwrap_or(Timestamp::MAX)
}
