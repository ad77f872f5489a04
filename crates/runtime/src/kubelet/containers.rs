//! Which containers to start, and when to start them again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::decide::{Action, Decision, StopReason};
use super::observed::{BackOffKey, Instance, Observed, Task};
use super::spec::{self, Role};
use crate::probes::{self, Kind};

/// Whether a stage is behind the Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    Waiting,
}

/// Init containers, one after the other: an ordinary one must have ended well, a sidecar must have started.
pub(super) fn initialize(pod: &Pod, seen: &Observed, now: Timestamp, decision: &mut Decision) -> Progress {
    let already_ran = spec::containers(pod).any(|(_, container)| seen.latest(pod, &container.name).is_some());
    for (role, container) in spec::init_containers(pod) {
        let latest = seen.latest(pod, &container.name);
        match role {
            // Once the others run, an init container is not run again: its work is done, even where nothing of it is left.
            Role::Init if already_ran => {}
            Role::Init => match &latest {
                Some(Instance { end: Some(end), .. }) if end.exit.code == 0 => {}
                Some(Instance { end: None, id, .. }) => {
                    look_after(container, id, seen, now, decision);
                    return Progress::Waiting;
                }
                Some(ended) if !spec::restarts_init(pod) => {
                    debug_assert!(ended.end.is_some(), "a running one is handled above");
                    return Progress::Waiting;
                }
                _ => {
                    start(pod, container, latest.as_ref(), seen, now, decision);
                    return Progress::Waiting;
                }
            },
            Role::Sidecar => {
                keep(pod, container, true, seen, now, decision);
                if !has_started(container, latest.as_ref(), seen) {
                    return Progress::Waiting;
                }
            }
            Role::Ordinary => {}
        }
    }
    Progress::Done
}

/// The ordinary containers, all at once.
pub(super) fn run(pod: &Pod, seen: &Observed, now: Timestamp, decision: &mut Decision) {
    for (_, container) in spec::containers(pod) {
        let latest = seen.latest(pod, &container.name);
        let end = latest.as_ref().and_then(|latest| latest.end.as_ref());
        let restart = end.is_none_or(|end| spec::restarts(pod, end.exit.code));
        keep(pod, container, restart, seen, now, decision);
    }
}

/// Keeps a container running: looks after it while it does, starts it when it does not and should.
fn keep(pod: &Pod, container: &Container, restart: bool, seen: &Observed, now: Timestamp, decision: &mut Decision) {
    match seen.latest(pod, &container.name) {
        Some(Instance { end: None, id, .. }) => look_after(container, &id, seen, now, decision),
        latest if latest.is_none() || restart => start(pod, container, latest.as_ref(), seen, now, decision),
        _ => {}
    }
}

/// Whether a sidecar is far enough along for the next container.
fn has_started(container: &Container, latest: Option<&Instance>, seen: &Observed) -> bool {
    let Some(Instance { end: None, id, .. }) = latest else { return false };
    started(container, id, seen)
}

/// Whether a running container has started: its startup probe has succeeded, or it has none.
pub(super) fn started(container: &Container, id: &str, seen: &Observed) -> bool {
    let memory = seen.memory.running.get(id);
    let hook_done = spec::post_start(container).is_none() || memory.is_some_and(|memory| memory.post_started);
    let probe_done = container.startup_probe.is_none()
        || memory.and_then(|memory| memory.probes.get(&Kind::Startup)).is_some_and(|probe| probe.result == Some(true));
    hook_done && probe_done
}

/// Starts a container, unless something says to wait.
fn start(
    pod: &Pod,
    container: &Container,
    latest: Option<&Instance>,
    seen: &Observed,
    now: Timestamp,
    decision: &mut Decision,
) {
    let name = &container.name;
    if seen.busy(&Task::Start(name.clone())) {
        return;
    }
    let held_up = seen.memory.held_up.get(name).map(|held_up| held_up.until);
    let after_end = latest
        .and_then(|latest| latest.end.as_ref())
        .and_then(|end| seen.memory.waits_until(&BackOffKey::Restart(name.clone()), end.exit.finished_at));
    if let Some(until) = held_up.max(after_end)
        && until > now
    {
        decision.wake_at(until);
        // The status changes its word for it in between.
        let failed_at = seen.memory.held_up.get(name).map(|held_up| held_up.since);
        let ended_at = latest.and_then(|latest| latest.end.as_ref()).map(|end| end.exit.finished_at);
        let word_changes =
            failed_at.or(ended_at).map(|since| super::observed::later(since, super::status::ERROR_SHOWN));
        if let Some(word_changes) = word_changes.filter(|time| *time > now) {
            decision.wake_at(word_changes);
        }
        return;
    }
    let attempt = latest.map_or(0, |latest| latest.attempt.saturating_add(1));
    let _ = pod;
    decision.act(Action::Start { container: name.clone(), attempt });
}

/// Probes and hooks of a running container, and its end where they ask for it.
fn look_after(container: &Container, id: &str, seen: &Observed, now: Timestamp, decision: &mut Decision) {
    let memory = seen.memory.running.get(id);
    if let Some(kill_at) = memory.and_then(|memory| memory.kill_at) {
        kill_when_due(&container.name, id, kill_at, seen, now, decision);
        return;
    }
    if seen.busy(&Task::Stop(id.to_owned())) {
        return;
    }
    if let Some(kind) = memory.and_then(|memory| memory.condemned) {
        let why = StopReason::Unhealthy(kind);
        decision.act(Action::Stop { container: container.name.clone(), id: id.to_owned(), why });
        return;
    }
    if spec::post_start(container).is_some() && !memory.is_some_and(|memory| memory.post_started) {
        if !seen.busy(&Task::PostStart(id.to_owned())) {
            decision.act(Action::PostStart { container: container.name.clone(), id: id.to_owned() });
        }
        return;
    }
    let is_started = started(container, id, seen);
    for kind in [Kind::Startup, Kind::Readiness, Kind::Liveness] {
        let Some(probe) = kind.of(container) else { continue };
        // Startup holds the others back, and is over once it has succeeded.
        if (kind == Kind::Startup) == is_started {
            continue;
        }
        let Some(state) = memory.and_then(|memory| memory.probes.get(&kind)) else { continue };
        let due = state.due(&probes::Timing::of(probe));
        if due > now {
            decision.wake_at(due);
        } else if !seen.busy(&Task::Probe(id.to_owned(), kind)) {
            decision.act(Action::Probe { container: container.name.clone(), id: id.to_owned(), kind });
        }
    }
}

/// SIGKILL for a container that has used up its grace.
pub(super) fn kill_when_due(
    container: &str,
    id: &str,
    kill_at: Timestamp,
    seen: &Observed,
    now: Timestamp,
    decision: &mut Decision,
) {
    if kill_at > now {
        decision.wake_at(kill_at);
    } else if !seen.busy(&Task::Kill(id.to_owned())) {
        decision.act(Action::Kill { container: container.to_owned(), id: id.to_owned() });
    }
}

/// How long a container has to end once it was asked to.
pub(super) fn grace(pod: &Pod, container: Option<&Container>, why: &StopReason) -> Duration {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
    let seconds = match why {
        StopReason::PodEnds => pod.metadata.deletion_grace_period_seconds.unwrap_or(of_pod),
        StopReason::Unhealthy(kind) => container
            .and_then(|container| kind.of(container))
            .and_then(|probe| probe.termination_grace_period_seconds)
            .unwrap_or(of_pod),
    };
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
