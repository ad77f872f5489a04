//! What to do next about a Pod: a pure function of its spec, of what is known about it, and of the time.
//!
//! A Pod goes through stages, and each is a file here. A stage either lets the Pod pass on to the next, or holds it
//! until something has happened. All stages are looked at anew each time, so it does not matter what happened in
//! between, or whether this is the same kubelet that decided last: the decision is always the next step from here.

use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::events::{self, Event};
use super::observed::Observed;
use crate::probes::Kind;

pub mod cleanup;
pub mod containers;
pub mod deadline;
pub mod hooks;
pub mod images;
pub mod init;
pub mod probes;
pub mod replacement;
pub mod sandbox;
pub mod termination;
pub mod tidy;
pub mod volumes;

/// How long after an unexpected failure something is tried again.
pub const RETRY: Duration = Duration::from_secs(1);

/// Something to do, or to note.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Note that the Pod is on its way out.
    End(Ending),
    SetUpVolume {
        volume: String,
    },
    CreatePod,
    /// Look the image up in the node's store.
    FindImage {
        container: String,
    },
    PullImage {
        container: String,
    },
    /// Note that the image is not tried again for a while.
    WaitForImage {
        container: String,
    },
    Start {
        container: String,
        attempt: u32,
    },
    /// Note that the container is not started again for a while.
    WaitForRestart {
        container: String,
    },
    PostStart {
        container: String,
    },
    Probe {
        container: String,
        kind: Kind,
    },
    /// Note that the container has to end, within so many seconds.
    Stop {
        container: String,
        reason: StopReason,
        grace: i64,
    },
    PreStop {
        container: String,
    },
    /// Send the signal that asks a container to end.
    Ask {
        container: String,
    },
    /// Send SIGKILL.
    Kill {
        container: String,
    },
    /// Remove what is left of an earlier run.
    Forget {
        container: String,
        attempt: u32,
    },
    /// Take the Pod's namespaces down.
    StopPod,
    /// Remove the Pod's directories and logs.
    RemovePod,
    /// Tell the API server that nothing is left of the Pod.
    DeleteObject,
}

impl Action {
    /// Whether something is to be done; false for what is only noted.
    #[must_use]
    pub fn is_effect(&self) -> bool {
        !matches!(
            self,
            Action::End(_) | Action::WaitForImage { .. } | Action::WaitForRestart { .. } | Action::Stop { .. }
        )
    }
}

/// Why a running container has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// The Pod ends.
    Ending,
    Liveness,
    Startup,
    PostStart,
    /// The spec has another image now.
    Changed,
}

/// Why a Pod is on its way out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Its containers are done and none is to be started again.
    Finished,
    /// Somebody deleted the object; so many seconds are left.
    Deleted { grace: i64 },
    /// The kubelet ended it: phase Failed, with this reason and message.
    Failed { reason: &'static str, message: String, grace: Option<i64> },
    /// It does not fit on this node, and nothing of it was ever made.
    Rejected { reason: &'static str, message: String },
}

impl Ending {
    /// The event that tells of it.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        match self {
            Ending::Failed { reason: "DeadlineExceeded", message, .. } => Some(events::deadline_exceeded(message)),
            Ending::Failed { reason: "Evicted", message, .. } => Some(events::evicted(message)),
            Ending::Rejected { reason, message } => Some(events::rejected(reason, message)),
            Ending::Finished | Ending::Deleted { .. } | Ending::Failed { .. } => None,
        }
    }
}

/// What to do now, and when to look again if nothing happens before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub actions: Vec<Action>,
    pub wake_at: Option<Timestamp>,
}

/// Decides what to do next about a Pod.
#[must_use]
pub fn decide(pod: &Pod, observed: &Observed, now: Timestamp) -> Decision {
    let mut plan = Plan { pod, observed, now, decision: Decision::default() };
    // Whether the last stage was reached makes no difference to what has been decided.
    let _ = stages(&mut plan);
    plan.decision
}

/// A Pod's life, in order. A stage that breaks holds the Pod there.
fn stages(plan: &mut Plan<'_>) -> ControlFlow<()> {
    deadline::decide(plan);
    termination::decide(plan)?;
    volumes::decide(plan)?;
    sandbox::decide(plan)?;
    tidy::decide(plan);
    hooks::decide(plan);
    replacement::decide(plan);
    probes::decide(plan);
    init::decide(plan)?;
    containers::decide(plan)
}

/// A decision in the making.
struct Plan<'a> {
    pod: &'a Pod,
    observed: &'a Observed,
    now: Timestamp,
    decision: Decision,
}

impl Plan<'_> {
    /// Adds an action, unless it is under way already or failed so recently that it has to wait.
    fn act(&mut self, action: Action) {
        if self.observed.busy.contains(&action) {
            return;
        }
        match self.observed.retries.get(&action) {
            Some(retry_at) if *retry_at > self.now => self.wake_at(*retry_at),
            _ => self.decision.actions.push(action),
        }
    }

    /// Has the decision looked at again at `time`, if not before.
    fn wake_at(&mut self, time: Timestamp) {
        let earliest = self.decision.wake_at.map_or(time, |earlier| earlier.min(time));
        self.decision.wake_at = Some(earliest);
    }

    /// Whether `time` has come; if not, it is waited for.
    fn is_due(&mut self, time: Timestamp) -> bool {
        if time > self.now {
            self.wake_at(time);
        }
        time <= self.now
    }

    fn restart_policy(&self) -> &str {
        self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always")
    }

    /// The seconds a container of the Pod has to end, as the spec says.
    fn grace(&self) -> i64 {
        self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30)
    }

    fn is_busy(&self, container: &str) -> bool {
        let busy = |action: &Action| match action {
            Action::FindImage { container: name }
            | Action::PullImage { container: name }
            | Action::Start { container: name, .. } => name == container,
            _ => false,
        };
        self.observed.busy.iter().any(busy)
    }
}
