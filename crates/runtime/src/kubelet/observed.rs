//! What the kubelet knows of one of its Pods, besides the spec.
//!
//! It changes in three ways only: an action begins ([`Observed::begin`]), an action ends ([`Observed::finish`]), and
//! something happens on the node ([`Observed::exited`], [`Observed::died`]). Each says which events to write about it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

use super::decide::{Action, Ending, StopReason};
use super::restart::BackOff;
use super::{events, members};
use crate::backend::{self, ContainerId, Exit, Image, PodState};
use crate::probes::{Kind, Prober, Timing};

mod images;
mod progress;
mod runs;

pub(super) use images::full_name;
pub use progress::Done;

/// Everything the kubelet knows of a Pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The Pod's namespaces and network, once they were made.
    pub sandbox: Option<Sandbox>,
    /// When the namespaces may be tried to be made again.
    pub sandbox_retry: Option<Timestamp>,
    pub volumes: BTreeMap<String, VolumeRecord>,
    pub containers: BTreeMap<String, ContainerRecord>,
    /// Why and since when the Pod is on its way out.
    pub ending: Option<(Ending, Timestamp)>,
    /// Reason and message of a Pod that the kubelet ended.
    pub failure: Option<(String, String)>,
    /// The node did not take the Pod: its status says nothing about containers.
    pub rejected: bool,
    /// The namespaces were taken down for good.
    pub stopped: bool,
    /// Directories and logs were removed.
    pub removed: bool,
    /// The object is gone from the API server.
    pub forgotten: bool,
    /// Actions under way.
    pub busy: BTreeSet<Action>,
    /// Actions that failed and when to try them again.
    pub retries: BTreeMap<Action, Timestamp>,
    /// Containers that ended before their start was reported.
    early_exits: BTreeMap<ContainerId, Exit>,
}

/// A Pod's namespaces and network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    pub ip: String,
    pub alive: bool,
}

/// How far a volume is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeRecord {
    pub ready: bool,
    /// Its sources changed since it was set up.
    pub stale: bool,
    pub failures: u32,
    pub retry_at: Option<Timestamp>,
    /// A token in it gets old then.
    pub renew_at: Option<Timestamp>,
}

/// What is known of a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerRecord {
    /// The newest run, running or ended.
    pub run: Option<Run>,
    /// The run before it.
    pub previous: Option<Run>,
    /// The start under way, and when it began.
    pub starting: Option<(u32, Timestamp)>,
    pub image: ImageRecord,
    pub image_back_off: BackOff,
    pub back_off: BackOff,
    /// Why it is not running, when there is more to say than that it ended.
    pub waiting: Option<Waiting>,
    pub probes: BTreeMap<Kind, Prober>,
    pub post_start: Hook,
    pub stop: Option<Stop>,
    /// The attempts of runs before the previous one, of which something is left on the node.
    pub obsolete: BTreeSet<u32>,
}

/// One run of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub id: ContainerId,
    /// How many runs there were before.
    pub attempt: u32,
    /// The image's full name, as the status shows it.
    pub image: String,
    /// The image's digest, as the status shows it.
    pub image_id: String,
    pub started_at: Timestamp,
    pub exit: Option<Exit>,
    /// Why it ended, where that does not follow from the exit.
    pub reason: Option<&'static str>,
    /// It belongs to namespaces that are gone: for init containers, it does not count.
    pub stale: bool,
    /// It had to end because the spec has another image now: the next run is a new container, whatever the policy says.
    pub replaced: bool,
    /// The kubelet ended it, because a probe failed.
    pub probed: bool,
}

impl Run {
    /// Whether it is running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.exit.is_none()
    }
}

/// What is known of a container's image for the start that comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ImageRecord {
    /// Nothing yet.
    #[default]
    Unknown,
    /// The node's store does not have it.
    Absent,
    /// It is in the store.
    Ready(Image),
    /// It could not be brought into the store. The text is the runtime's.
    Failed { message: String, at: Timestamp },
}

/// Why a container waits, as its status says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub reason: &'static str,
    pub message: String,
    pub since: Timestamp,
    /// When the event about it was last written.
    pub told: Timestamp,
}

/// How far a hook is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hook {
    /// There is none, or its time has not come.
    #[default]
    None,
    /// It is to be run.
    Due,
    Done,
    /// It did not work: the container has to go.
    Failed,
}

/// A running container that was asked to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub reason: StopReason,
    pub since: Timestamp,
    /// In seconds, the preStop hook included.
    pub grace: i64,
    pub pre_stop: Hook,
    /// When the signal was sent that asks it to end.
    pub asked: Option<Timestamp>,
    /// The signal that does not ask was sent.
    pub killed: bool,
}

impl Observed {
    /// What is known when a kubelet starts: what the node has of the Pod, and what the API server was last told.
    #[must_use]
    pub fn restore(pod: &Pod, state: Option<&PodState>) -> Self {
        let mut observed = Observed::default();
        if let Some(state) = state {
            observed.sandbox = Some(Sandbox { ip: state.ip.clone(), alive: state.alive });
            if state.alive {
                // They are there, since the Pod runs; but what they are made from may have changed meanwhile.
                let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
                let there = VolumeRecord { ready: true, stale: true, ..VolumeRecord::default() };
                observed.volumes = volumes.map(|volume| (volume.name.clone(), there.clone())).collect();
            }
        }
        for member in members::all(pod) {
            let record = restore_container(pod, state, &member);
            observed.containers.insert(member.spec.name.clone(), record);
        }
        let told = pod.status.as_ref();
        let phase = told.and_then(|told| told.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) {
            // Whatever the containers look like now: a Pod that has ended does not begin again.
            observed.ending = Some((Ending::Finished, Timestamp::UNIX_EPOCH));
            observed.failure = told.and_then(|told| {
                let reason = told.reason.clone()?;
                Some((reason, told.message.clone().unwrap_or_default()))
            });
            observed.rejected = told.is_some_and(|told| told.container_statuses.is_none());
        }
        observed
    }

    /// The record of a container; an empty one for a container that was never looked at.
    #[must_use]
    pub fn container(&self, name: &str) -> &ContainerRecord {
        static EMPTY: std::sync::LazyLock<ContainerRecord> = std::sync::LazyLock::new(ContainerRecord::default);
        self.containers.get(name).unwrap_or(&EMPTY)
    }

    /// Whether the Pod's namespaces are there.
    #[must_use]
    pub fn has_sandbox(&self) -> bool {
        self.sandbox.as_ref().is_some_and(|sandbox| sandbox.alive)
    }

    /// Whether the namespaces are being taken down for good, or were: that they go is no news then.
    #[must_use]
    pub fn is_taken_down(&self) -> bool {
        self.stopped || self.busy.contains(&Action::StopPod)
    }

    /// Whether any of the Pod's processes may be there: running, or being started.
    #[must_use]
    pub fn anything_runs(&self) -> bool {
        self.containers.values().any(|record| record.is_running() || record.starting.is_some())
    }
}

impl ContainerRecord {
    /// Whether it runs now.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.run.as_ref().is_some_and(Run::is_running)
    }

    /// How the newest run ended.
    #[must_use]
    pub fn exit(&self) -> Option<&Exit> {
        self.run.as_ref().and_then(|run| run.exit.as_ref())
    }

    /// The end that the wait before the next start counts from; `None` when nothing is to be waited for.
    ///
    /// A real kubelet kills a container whose probe failed and starts it again in one go. So it is the end before that
    /// one it looks at (`doBackOff` in pkg/kubelet/kuberuntime/kuberuntime_manager.go), and only if that was not long
    /// ago, does it look again later.
    #[must_use]
    pub fn trouble(&self) -> Option<Timestamp> {
        let run = self.run.as_ref()?;
        let ended = run.exit.as_ref()?.finished_at;
        if !run.probed {
            return Some(ended);
        }
        let before = self.previous.as_ref()?.exit.as_ref()?.finished_at;
        let waits = self.back_off.until(before).is_some_and(|until| until > ended);
        Some(if waits { ended } else { before })
    }

    /// Whether the newest run, of the present namespaces, ended well.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !run.stale && run.exit.as_ref().is_some_and(|exit| exit.code == 0))
    }

    /// Whether it has come up: runs, its postStart hook is done and its startup probe, if any, succeeded.
    #[must_use]
    pub fn has_started(&self) -> bool {
        use crate::probes::Verdict::Success;
        self.is_running()
            && matches!(self.post_start, Hook::None | Hook::Done)
            && self.probes.get(&Kind::Startup).is_none_or(|prober| prober.verdict() == Success)
    }

    /// Whether it may get requests.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        use crate::probes::Verdict::Success;
        self.has_started() && self.probes.get(&Kind::Readiness).is_none_or(|prober| prober.verdict() == Success)
    }

    /// The number of the run that comes next.
    #[must_use]
    pub fn next_attempt(&self) -> u32 {
        self.run.as_ref().map_or(0, |run| run.attempt.saturating_add(1))
    }
}

/// The probers of a container that started at `started`.
pub(super) fn probers(container: &k8s_openapi::api::core::v1::Container, started: Timestamp) -> BTreeMap<Kind, Prober> {
    Kind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind, Prober::new(kind, Timing::from(kind.of(container)?), started))))
        .collect()
}

fn restore_container(pod: &Pod, state: Option<&PodState>, member: &members::Member<'_>) -> ContainerRecord {
    let name = &member.spec.name;
    let told = told_status(pod, name);
    let mut runs: BTreeMap<u32, Run> = told.map(|told| told_runs(pod, told)).unwrap_or_default();
    let alive = state.is_some_and(|state| state.alive);
    for found in state.iter().flat_map(|state| &state.containers).filter(|found| found.name == *name) {
        let known = runs.get(&found.attempt);
        let run = Run {
            id: found.id.clone(),
            attempt: found.attempt,
            image: known.or_else(|| runs.values().next()).map(|run| run.image.clone()).unwrap_or_default(),
            image_id: known.or_else(|| runs.values().next()).map(|run| run.image_id.clone()).unwrap_or_default(),
            started_at: found.started_at,
            exit: found.exit.clone(),
            reason: None,
            stale: !alive,
            replaced: false,
            probed: false,
        };
        runs.insert(found.attempt, run);
    }
    let mut newest = runs.into_values().rev();
    let mut run = newest.next();
    if let Some(run) = run.as_mut().filter(|run| run.exit.is_none() && !is_there(state, &run.id)) {
        // It was running when the kubelet last looked, and nothing is left that could say how it ended.
        run.exit = Some(lost(run.started_at));
        run.reason = Some("Unknown");
        run.stale = true;
    }
    let running = run.as_ref().filter(|run| run.is_running()).map(|run| run.started_at);
    ContainerRecord {
        probes: running.map(|started| probers(&member.spec, started)).unwrap_or_default(),
        post_start: if running.is_some() { Hook::Done } else { Hook::None },
        previous: newest.next(),
        obsolete: newest.map(|run| run.attempt).collect(),
        run,
        ..ContainerRecord::default()
    }
}

fn is_there(state: Option<&PodState>, id: &ContainerId) -> bool {
    state.is_some_and(|state| state.alive && state.containers.iter().any(|found| found.id == *id))
}

/// The end of a run that nobody saw.
fn lost(finished_at: Timestamp) -> Exit {
    Exit { code: 255, signal: None, finished_at, oom_killed: false, message: String::new() }
}

fn told_status<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses]
        .into_iter()
        .flatten()
        .flatten()
        .find(|told| told.name == name)
}

/// The runs that a status tells of, by attempt.
fn told_runs(pod: &Pod, told: &ContainerStatus) -> BTreeMap<u32, Run> {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let restarts = u32::try_from(told.restart_count).unwrap_or_default();
    let state = |id: Option<&String>, started_at, exit| {
        let id = id?.rsplit('/').next()?.to_owned();
        let attempt = [restarts, restarts.saturating_sub(1)]
            .into_iter()
            .find(|attempt| backend::container_id(&uid, &told.name, *attempt) == id)?;
        let (image, image_id) = (told.image.clone(), told.image_id.clone());
        Some((
            attempt,
            Run {
                id,
                attempt,
                image,
                image_id,
                started_at,
                exit,
                reason: None,
                stale: false,
                replaced: false,
                probed: false,
            },
        ))
    };
    let ended = |ended: Option<&ContainerStateTerminated>| {
        let ended = ended?;
        let time = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
            time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
        };
        let exit = Exit {
            code: ended.exit_code,
            signal: ended.signal,
            finished_at: time(&ended.finished_at),
            oom_killed: ended.reason.as_deref() == Some("OOMKilled"),
            message: ended.message.clone().unwrap_or_default(),
        };
        let (attempt, mut run) = state(ended.container_id.as_ref(), time(&ended.started_at), Some(exit))?;
        run.reason = (ended.reason.as_deref() == Some("StartError")).then_some("StartError");
        Some((attempt, run))
    };
    let running = told.state.as_ref().and_then(|state| state.running.as_ref()).and_then(|running| {
        let started = running.started_at.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        state(told.container_id.as_ref(), started, None)
    });
    let last = told.last_state.as_ref().and_then(|state| ended(state.terminated.as_ref()));
    let now = told.state.as_ref().and_then(|state| ended(state.terminated.as_ref()));
    last.into_iter().chain(now).chain(running).collect()
}

/// The event of an action about a container.
fn about(pod: &Pod, name: &str, event: events::Event) -> events::Told {
    events::Told { field_path: members::find(pod, name).map(|member| member.field_path()), event }
}
