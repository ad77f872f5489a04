//! What the API server is told about a Pod: phase, conditions, and a status for each container.
//!
//! Pure: the same observation always makes the same status, so it is written only when it has changed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    HostIP, Pod, PodCondition, PodIP, PodStatus, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::containers::started;
use super::observed::{BackOffKey, End, Instance, Observed, later};
use super::spec::{self, Role};
use super::{resources, termination};
use crate::backend::NodeFacts;
use crate::probes::Kind;

/// How long the status names the failure itself (`ErrImagePull`) before it names the wait that follows
/// (`ImagePullBackOff`). A real kubelet changes the word with its next look at the Pod.
pub(super) const ERROR_SHOWN: Duration = Duration::from_secs(2);

/// How the ids of this runtime begin in a status.
const RUNTIME: &str = "podlab://";

/// The status of a Pod as it is now.
pub fn status(pod: &Pod, seen: &Observed, node: &NodeFacts, now: Timestamp) -> PodStatus {
    let old = pod.status.clone().unwrap_or_default();
    let init: Vec<ContainerStatus> =
        spec::init_containers(pod).map(|(role, container)| of_container(pod, seen, role, container, now)).collect();
    let ordinary: Vec<ContainerStatus> =
        spec::containers(pod).map(|(role, container)| of_container(pod, seen, role, container, now)).collect();
    let initialized = is_initialized(pod, seen);
    let (phase, failed) = phase(pod, seen, &old, initialized, now);
    let address = seen.sandbox.as_ref().map(|sandbox| sandbox.ip.clone()).filter(|ip| !ip.is_empty());
    let address = address.or_else(|| old.pod_ip.clone());
    let conditions = conditions(pod, seen, &old, &phase, initialized, &ordinary, now);
    let host = Some(node.internal_ip.clone());
    PodStatus {
        phase: Some(phase),
        conditions: Some(conditions),
        reason: failed.as_ref().map(|(reason, _)| reason.clone()),
        message: failed.map(|(_, message)| message),
        host_ip: host.clone(),
        host_ips: host.map(|ip| vec![HostIP { ip }]),
        pod_ips: address.clone().map(|ip| vec![PodIP { ip }]),
        pod_ip: address,
        start_time: old.start_time.or(Some(Time(whole_seconds(now)))),
        init_container_statuses: (!init.is_empty()).then_some(init),
        container_statuses: Some(ordinary),
        qos_class: Some(resources::qos_class(pod).to_owned()),
        ..old
    }
}

/// The phase, and the reason of a Pod that failed as a whole.
fn phase(
    pod: &Pod,
    seen: &Observed,
    old: &PodStatus,
    initialized: bool,
    now: Timestamp,
) -> (String, Option<(String, String)>) {
    // A final phase is final.
    if let Some(done @ ("Succeeded" | "Failed")) = old.phase.as_deref() {
        return (done.to_owned(), old.reason.clone().map(|reason| (reason, old.message.clone().unwrap_or_default())));
    }
    let still_running = seen.running().next().is_some();
    if let Some(failed) = &seen.memory.failed {
        return ("Failed".to_owned(), Some(failed.clone()));
    }
    if termination::deadline_exceeded(pod, now) && pod.metadata.deletion_timestamp.is_none() {
        let message = "Pod was active on the node longer than the specified deadline".to_owned();
        return ("Failed".to_owned(), Some(("DeadlineExceeded".to_owned(), message)));
    }
    if !still_running && ended_for_good(pod, seen) {
        let all_well = spec::containers(pod).all(|(_, container)| {
            seen.latest(pod, &container.name).and_then(|latest| latest.end).is_some_and(|end| end.exit.code == 0)
        });
        return (if all_well { "Succeeded" } else { "Failed" }.to_owned(), None);
    }
    let any_started = spec::containers(pod).any(|(_, container)| seen.latest(pod, &container.name).is_some());
    let all_started = spec::containers(pod).all(|(_, container)| seen.latest(pod, &container.name).is_some());
    let running = initialized && any_started && (all_started || old.phase.as_deref() == Some("Running"));
    (if running { "Running" } else { "Pending" }.to_owned(), None)
}

/// Whether no container runs again: by the policy, or because the Pod is being deleted and all have ended.
fn ended_for_good(pod: &Pod, seen: &Observed) -> bool {
    let all_ended = || {
        spec::containers(pod)
            .all(|(_, container)| seen.latest(pod, &container.name).is_some_and(|latest| latest.end.is_some()))
    };
    termination::finished(pod, seen) || (pod.metadata.deletion_timestamp.is_some() && all_ended())
}

/// Whether all init containers have done their work.
fn is_initialized(pod: &Pod, seen: &Observed) -> bool {
    if spec::containers(pod).any(|(_, container)| seen.latest(pod, &container.name).is_some()) {
        return true;
    }
    spec::init_containers(pod).all(|(role, container)| {
        let latest = seen.latest(pod, &container.name);
        match (role, latest) {
            (Role::Sidecar, Some(Instance { end: None, id, .. })) => started(container, &id, seen),
            (_, Some(Instance { end: Some(end), .. })) => role == Role::Init && end.exit.code == 0,
            _ => false,
        }
    })
}

fn of_container(pod: &Pod, seen: &Observed, role: Role, container: &Container, now: Timestamp) -> ContainerStatus {
    let instances = seen.instances(pod, &container.name);
    let latest = instances.last();
    let is_running = latest.is_some_and(|latest| latest.end.is_none());
    let waiting = if is_running { None } else { waiting(pod, seen, role, container, latest, now) };
    // A container that waits for its next start has nothing to show but how it ended.
    let (state, last) = match (latest, waiting) {
        (Some(latest), None) => (state(latest), instances.iter().rev().nth(1).map(state)),
        (Some(latest), Some(waiting)) => (wait(waiting), Some(state(latest))),
        (None, waiting) => (wait(waiting.unwrap_or_else(|| creating(pod, seen, role))), None),
    };
    let is_started = is_running && latest.is_some_and(|latest| started(container, &latest.id, seen));
    let image = seen.memory.images.get(&container.name);
    let told = told(pod, &container.name);
    ContainerStatus {
        name: container.name.clone(),
        container_id: latest.map(|latest| format!("{RUNTIME}{}", latest.id)),
        image: container.image.clone().unwrap_or_default(),
        image_id: image
            .map(|image| image.repo_digest.clone())
            .or_else(|| told.map(|told| told.image_id.clone()))
            .unwrap_or_default(),
        ready: ready(role, container, latest, is_started, seen),
        started: Some(is_started),
        restart_count: latest.map_or(0, |latest| i32::try_from(latest.attempt).unwrap_or(i32::MAX)),
        state: Some(state),
        last_state: Some(last.unwrap_or_default()),
        volume_mounts: volume_mounts(container),
        ..ContainerStatus::default()
    }
}

fn told<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    [&status.container_statuses, &status.init_container_statuses]
        .into_iter()
        .flatten()
        .flatten()
        .find(|status| status.name == container)
}

/// An init container is ready when it has ended well, all others when their readiness probe says so.
fn ready(role: Role, container: &Container, latest: Option<&Instance>, is_started: bool, seen: &Observed) -> bool {
    let Some(latest) = latest else { return false };
    match &latest.end {
        Some(end) => role == Role::Init && end.exit.code == 0,
        None if role == Role::Init => false,
        None => {
            let probed = seen.memory.running.get(&latest.id).and_then(|memory| memory.probes.get(&Kind::Readiness));
            let passes = container.readiness_probe.is_none() || probed.is_some_and(|probe| probe.result == Some(true));
            is_started && passes
        }
    }
}

/// Why a container that does not run waits, when it waits for something of its own. `None`: it has ended, and that is
/// what there is to say.
fn waiting(
    pod: &Pod,
    seen: &Observed,
    role: Role,
    container: &Container,
    latest: Option<&Instance>,
    now: Timestamp,
) -> Option<ContainerStateWaiting> {
    let name = &container.name;
    if let Some(held_up) = seen.memory.held_up.get(name) {
        let in_back_off = later(held_up.since, ERROR_SHOWN) <= now;
        let (reason, message) = match held_up.reason.as_str() {
            "ErrImagePull" if in_back_off => {
                let image = container.image.as_deref().unwrap_or_default();
                ("ImagePullBackOff", format!("Back-off pulling image \"{image}\": ErrImagePull: {}", held_up.message))
            }
            reason => (reason, held_up.message.clone()),
        };
        return Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message: Some(message) });
    }
    let latest = latest?;
    let end = latest.end.as_ref()?;
    let over = pod.metadata.deletion_timestamp.is_some()
        || seen.memory.failed.is_some()
        || match role {
            Role::Init => end.exit.code == 0 || !spec::restarts_init(pod),
            Role::Sidecar => termination::finished(pod, seen),
            Role::Ordinary => !spec::restarts(pod, end.exit.code),
        };
    if over {
        return None;
    }
    let failed = seen.memory.failed_starts.iter().find(|failed| failed.id == latest.id);
    let until = seen.memory.waits_until(&BackOffKey::Restart(name.clone()), end.exit.finished_at);
    if let Some(failed) = failed
        && later(failed.at, ERROR_SHOWN) > now
    {
        return Some(ContainerStateWaiting {
            reason: Some(failed.waiting.clone()),
            message: Some(failed.message.clone()),
        });
    }
    if until.is_some_and(|until| until > now) && later(end.exit.finished_at, ERROR_SHOWN) <= now {
        let delay = seen.memory.back_offs.get(&BackOffKey::Restart(name.clone())).map_or(0, |off| off.delay.as_secs());
        return Some(ContainerStateWaiting {
            reason: Some("CrashLoopBackOff".to_owned()),
            message: Some(back_off_message(pod, name, delay)),
        });
    }
    None
}

/// `back-off 20s restarting failed container=main pod=crash_default(uid)`; whole minutes are written as Go writes them.
fn back_off_message(pod: &Pod, container: &str, seconds: u64) -> String {
    let delay = match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    };
    format!("back-off {delay} restarting failed container={container} pod={}", full_name(pod))
}

/// `name_namespace(uid)`, as the kubelet's texts name a Pod.
pub(super) fn full_name(pod: &Pod) -> String {
    let metadata = &pod.metadata;
    format!(
        "{}_{}({})",
        metadata.name.as_deref().unwrap_or_default(),
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.uid.as_deref().unwrap_or_default()
    )
}

/// The reason of a container that was never started and has nothing against it.
fn creating(pod: &Pod, seen: &Observed, role: Role) -> ContainerStateWaiting {
    let init = spec::init_containers(pod).next().is_some();
    let reason = if init && !(role == Role::Ordinary && is_initialized(pod, seen)) {
        "PodInitializing"
    } else {
        "ContainerCreating"
    };
    ContainerStateWaiting { reason: Some(reason.to_owned()), message: None }
}

fn wait(waiting: ContainerStateWaiting) -> ContainerState {
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn state(instance: &Instance) -> ContainerState {
    let started_at = instance.started_at.unwrap_or_default();
    match &instance.end {
        None => ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(Time(whole_seconds(started_at))) }),
            ..ContainerState::default()
        },
        Some(End { exit, reason }) => ContainerState {
            terminated: Some(ContainerStateTerminated {
                container_id: Some(format!("{RUNTIME}{}", instance.id)),
                exit_code: exit.code,
                signal: None,
                reason: Some(reason.clone()),
                message: Some(exit.message.clone()).filter(|message| !message.is_empty()),
                started_at: Some(Time(whole_seconds(started_at))),
                finished_at: Some(Time(whole_seconds(exit.finished_at))),
            }),
            ..ContainerState::default()
        },
    }
}

fn volume_mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref()?;
    let of_mount = |mount: &k8s_openapi::api::core::v1::VolumeMount| VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only.filter(|read_only| *read_only),
        recursive_read_only: mount
            .read_only
            .filter(|read_only| *read_only)
            .map(|_| mount.recursive_read_only.clone().unwrap_or_else(|| "Disabled".to_owned())),
    };
    Some(mounts.iter().map(of_mount).collect())
}

/// The five conditions, in the order of a real kubelet's status.
fn conditions(
    pod: &Pod,
    seen: &Observed,
    old: &PodStatus,
    phase: &str,
    initialized: bool,
    ordinary: &[ContainerStatus],
    now: Timestamp,
) -> Vec<PodCondition> {
    let mut conditions = Conditions { old: old.conditions.iter().flatten().cloned().collect(), new: Vec::new(), now };
    let sandbox = seen.alive();
    conditions.set("PodReadyToStartContainers", sandbox, None);
    let (succeeded, failed) = (phase == "Succeeded", phase == "Failed");
    let incomplete: Vec<&str> = spec::init_containers(pod)
        .filter(|(role, container)| !init_complete(pod, seen, *role, container))
        .map(|(_, container)| container.name.as_str())
        .collect();
    let not_initialized =
        ("ContainersNotInitialized", format!("containers with incomplete status: [{}]", incomplete.join(" ")));
    conditions.set_because(
        "Initialized",
        initialized || succeeded,
        not_initialized,
        succeeded.then_some("PodCompleted"),
    );
    let unready: Vec<&str> =
        ordinary.iter().filter(|status| !status.ready).map(|status| status.name.as_str()).collect();
    let unready_text = ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")));
    let final_reason = if succeeded {
        Some("PodCompleted")
    } else if failed {
        Some("PodFailed")
    } else {
        None
    };
    let ready = unready.is_empty() && final_reason.is_none() && !ordinary.is_empty();
    let gates_open = gates_missing(pod, old);
    match (&gates_open, ready) {
        (Some(text), true) => {
            conditions.set("Ready", false, Some(("ReadinessGatesNotReady", text.clone())));
        }
        _ => conditions.set_because("Ready", ready, unready_text.clone(), final_reason),
    }
    conditions.set_because("ContainersReady", ready, unready_text, final_reason);
    conditions.set("PodScheduled", true, None);
    conditions.finish()
}

fn init_complete(pod: &Pod, seen: &Observed, role: Role, container: &Container) -> bool {
    match (role, seen.latest(pod, &container.name)) {
        (Role::Sidecar, Some(Instance { end: None, id, .. })) => started(container, &id, seen),
        (_, Some(Instance { end: Some(end), .. })) => end.exit.code == 0,
        _ => false,
    }
}

/// The text for readiness gates whose condition is not true yet.
fn gates_missing(pod: &Pod, old: &PodStatus) -> Option<String> {
    let gates = pod.spec.as_ref()?.readiness_gates.as_ref()?;
    let known: BTreeMap<&str, &str> = old
        .conditions
        .iter()
        .flatten()
        .map(|condition| (condition.type_.as_str(), condition.status.as_str()))
        .collect();
    let texts: Vec<String> = gates
        .iter()
        .filter_map(|gate| match known.get(gate.condition_type.as_str()) {
            Some(&"True") => None,
            Some(status) => Some(format!(
                "the status of pod readiness gate \"{}\" is not \"True\", but {status}",
                gate.condition_type
            )),
            None => Some(format!(
                "corresponding condition of pod readiness gate \"{}\" does not exist.",
                gate.condition_type
            )),
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// Conditions keep the time of their last change, and others' conditions stay as they are.
struct Conditions {
    old: Vec<PodCondition>,
    new: Vec<PodCondition>,
    now: Timestamp,
}

impl Conditions {
    fn set_because(&mut self, kind: &str, holds: bool, otherwise: (&str, String), final_reason: Option<&str>) {
        match final_reason {
            Some(reason) => self.set(kind, holds, Some((reason, String::new()))),
            None if holds => self.set(kind, true, None),
            None => self.set(kind, false, Some(otherwise)),
        }
    }

    fn set(&mut self, kind: &str, holds: bool, why: Option<(&str, String)>) {
        let status = if holds { "True" } else { "False" };
        let position = self.old.iter().position(|condition| condition.type_ == kind);
        let old = position.map(|position| self.old.remove(position));
        let since = old
            .as_ref()
            .filter(|old| old.status == status)
            .and_then(|old| old.last_transition_time.clone())
            .unwrap_or_else(|| Time(whole_seconds(self.now)));
        let (reason, message) = why.map_or((None, None), |(reason, message)| {
            (Some(reason.to_owned()), Some(message).filter(|message| !message.is_empty()))
        });
        self.new.push(PodCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            last_transition_time: Some(since),
            reason,
            message,
            ..PodCondition::default()
        });
    }

    fn finish(mut self) -> Vec<PodCondition> {
        self.new.append(&mut self.old);
        self.new
    }
}

/// Times in objects have no fractions of a second.
pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
