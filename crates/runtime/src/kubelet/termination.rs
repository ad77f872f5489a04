//! The end of a Pod: ask, wait, kill, take apart, tell.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::containers::kill_when_due;
use super::decide::{Action, Decision, StopReason};
use super::observed::{Observed, Task};
use super::spec::{self, Role};

/// Why the Pod ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Somebody deleted it: nothing of it stays.
    Deleted,
    /// It is done, or has failed: its directories, logs and status stay until somebody deletes it.
    Finished,
}

/// Whether the Pod is to end.
pub(super) fn wanted(pod: &Pod, seen: &Observed, now: Timestamp, decision: &mut Decision) -> Option<Ending> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some(Ending::Deleted);
    }
    if let Some(deadline) = deadline(pod)
        && seen.memory.failed.is_none()
        && deadline > now
    {
        decision.wake_at(deadline);
    }
    let over = seen.memory.failed.is_some() || deadline_exceeded(pod, now) || finished(pod, seen);
    (over || was_told_finished(pod)).then_some(Ending::Finished)
}

/// The API server already has a final phase: whatever this kubelet finds, the Pod does not run again.
fn was_told_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// When `activeDeadlineSeconds` is over.
fn deadline(pod: &Pod) -> Option<Timestamp> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    let start = pod.status.as_ref()?.start_time.as_ref()?.0;
    start.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// Whether the Pod has had all the time it may have.
pub(super) fn deadline_exceeded(pod: &Pod, now: Timestamp) -> bool {
    deadline(pod).is_some_and(|deadline| deadline <= now)
}

/// Whether no container runs or will run again: the phase is then Succeeded or Failed.
pub(super) fn finished(pod: &Pod, seen: &Observed) -> bool {
    if spec::init_containers(pod)
        .any(|(role, container)| role == Role::Init && failed_for_good(pod, seen, &container.name))
    {
        return true;
    }
    let mut any = false;
    for (_, container) in spec::containers(pod) {
        let Some(end) = seen.latest(pod, &container.name).and_then(|latest| latest.end) else { return false };
        if spec::restarts(pod, end.exit.code) {
            return false;
        }
        any = true;
    }
    any
}

fn failed_for_good(pod: &Pod, seen: &Observed, container: &str) -> bool {
    !spec::restarts_init(pod)
        && seen.latest(pod, container).and_then(|latest| latest.end).is_some_and(|end| end.exit.code != 0)
}

/// One step towards the end.
pub(super) fn decide(pod: &Pod, seen: &Observed, ending: Ending, now: Timestamp, decision: &mut Decision) {
    // What is being started is waited for: ending it half way would leave it to nobody.
    let starting = seen.memory.tasks.iter().any(|task| matches!(task, Task::Sandbox | Task::Volumes | Task::Start(_)));
    if starting {
        return;
    }
    let running: Vec<(String, String)> = seen.running().map(|(name, id)| (name.to_owned(), id.to_owned())).collect();
    if !running.is_empty() {
        for (name, id) in &running {
            stop(pod, seen, (name, id), now, decision, &running);
        }
        return;
    }
    if seen.alive() {
        if !seen.busy(&Task::Sandbox) {
            decision.act(Action::StopSandbox);
        }
        return;
    }
    if ending == Ending::Finished || seen.busy(&Task::Confirm) {
        return;
    }
    if seen.sandbox.is_some() {
        decision.act(Action::RemoveSandbox);
    } else {
        decision.act(Action::ConfirmDeletion);
    }
}

/// Ordinary containers are asked to end all at once; sidecars after them, the last one first.
fn stop(
    pod: &Pod,
    seen: &Observed,
    (name, id): (&str, &str),
    now: Timestamp,
    decision: &mut Decision,
    running: &[(String, String)],
) {
    if let Some(kill_at) = seen.memory.running.get(id).and_then(|memory| memory.kill_at) {
        kill_when_due(name, id, kill_at, seen, now, decision);
        return;
    }
    if seen.busy(&Task::Stop(id.to_owned())) {
        return;
    }
    let order: Vec<(Role, &str)> =
        spec::all_containers(pod).map(|(role, container)| (role, container.name.as_str())).collect();
    let position = order.iter().position(|(_, other)| *other == name);
    let is_sidecar = position.is_some_and(|position| order[position].0 == Role::Sidecar);
    let waits_for_others = is_sidecar
        && order
            .iter()
            .skip(position.map_or(0, |position| position + 1))
            .any(|(_, later)| running.iter().any(|(other, _)| other == later));
    if !waits_for_others {
        decision.act(Action::Stop { container: name.to_owned(), id: id.to_owned(), why: StopReason::PodEnds });
    }
}
