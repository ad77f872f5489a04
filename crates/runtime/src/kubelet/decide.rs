//! What to do next about a Pod: the heart of the node.
//!
//! [`decide`] looks at what is wanted (the Pod), at what is there ([`Observed`]) and at the time, and says what to do
//! now and when to look again. It does nothing itself and remembers nothing, so it can be asked again after every
//! event, by a kubelet that was just restarted, or in a simulation. The order of the stages is the order of a Pod's
//! life:
//!
//! 1. end what has to end ([`super::termination`]);
//! 2. volumes, then the namespaces;
//! 3. init containers one after the other, sidecars among them, then all others ([`super::containers`]);
//! 4. look after what runs: probes and restarts.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::containers::{self, Progress};
use super::observed::{Observed, Task};
use super::termination;
use crate::backend::ContainerId;
use crate::probes::Kind;

/// One thing to do. Each may be asked for twice: doing it again does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Bring all volumes into the state that the Pod asks for.
    SetUpVolumes,
    /// Make the Pod's namespaces, cgroup and network.
    CreateSandbox,
    /// Get the image, resolve the configuration, start.
    Start { container: String, attempt: u32 },
    /// Run the container's `postStart` hook; a failure ends the container.
    PostStart { container: String, id: ContainerId },
    /// Run the `preStop` hook, then ask the container to end.
    Stop { container: String, id: ContainerId, why: StopReason },
    /// The grace period is over.
    Kill { container: String, id: ContainerId },
    /// One attempt of a probe.
    Probe { container: String, id: ContainerId, kind: Kind },
    /// End the supervisor and the network; directories and logs stay.
    StopSandbox,
    /// Remove directories, volumes, logs.
    RemoveSandbox,
    /// Tell the API server that the Pod is gone from here.
    ConfirmDeletion,
}

/// Why a container is stopped; decides the event's text, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The Pod ends: it is deleted, has failed its deadline, or is done.
    PodEnds,
    /// A probe has failed often enough; the policy decides what comes after.
    Unhealthy(Kind),
}

/// What to do, and when to look again if nothing happens before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub actions: Vec<Action>,
    pub wake: Option<Timestamp>,
}

impl Decision {
    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Looks again at `time`, or earlier.
    pub(super) fn wake_at(&mut self, time: Timestamp) {
        self.wake = Some(self.wake.map_or(time, |wake| wake.min(time)));
    }
}

/// What to do now about `pod`.
pub fn decide(pod: &Pod, seen: &Observed, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    if let Some(end) = termination::wanted(pod, seen, now, &mut decision) {
        termination::decide(pod, seen, end, now, &mut decision);
        return decision;
    }
    if !ready_for_containers(seen, now, &mut decision) {
        return decision;
    }
    if containers::initialize(pod, seen, now, &mut decision) == Progress::Done {
        containers::run(pod, seen, now, &mut decision);
    }
    decision
}

/// Volumes come before the namespaces: a Pod whose volumes cannot be had gets no address.
fn ready_for_containers(seen: &Observed, now: Timestamp, decision: &mut Decision) -> bool {
    if seen.memory.volumes_due(now) && !seen.busy(&Task::Volumes) {
        decision.act(Action::SetUpVolumes);
    }
    if let Some(retry) = seen.memory.volumes_retry() {
        decision.wake_at(retry);
    }
    if !seen.memory.volumes_ready() {
        return false;
    }
    if seen.alive() {
        return true;
    }
    let due = seen.memory.sandbox_retry;
    if due.is_some_and(|due| due > now) {
        due.into_iter().for_each(|due| decision.wake_at(due));
    } else if !seen.busy(&Task::Sandbox) {
        decision.act(Action::CreateSandbox);
    }
    false
}
