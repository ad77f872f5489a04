//! The phase: one word for where a Pod is in its life.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

use crate::kubelet::decide::{Ending, init};
use crate::kubelet::members::{self, Role};
use crate::kubelet::observed::Observed;

/// What the containers of a Pod are doing, counted.
#[derive(Default)]
struct Count {
    running: usize,
    waiting: usize,
    stopped: usize,
    succeeded: usize,
}

pub(super) fn phase(
    pod: &Pod,
    observed: &Observed,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
) -> &'static str {
    if observed.failure.is_some() {
        return "Failed";
    }
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    // A Pod that is being deleted, or was taken down, does not start its containers again, whatever its policy.
    let gone = matches!(observed.ending, Some((Ending::Deleted { .. }, _))) && !observed.anything_runs();
    let past = init::is_past(pod, observed);

    let (mut pending, mut failed) = (false, false);
    let mut count = Count::default();
    for (member, status) in members::init(pod).zip(init) {
        if member.role == Role::Sidecar {
            let running = state(status).is_some_and(|state| state.running.is_some());
            count.running += usize::from(running);
            let started = running && status.started == Some(true);
            pending |= !past && !started && ended(status).is_none();
        } else if !past {
            match ended(status) {
                Some(ended) if ended.exit_code != 0 => failed = true,
                Some(_) => {}
                None => pending = true,
            }
        }
    }
    if failed && (policy == "Never" || gone) {
        return "Failed";
    }
    for status in main {
        let running = state(status).is_some_and(|state| state.running.is_some());
        match ended(status) {
            _ if running => count.running += 1,
            Some(ended) => {
                count.stopped += 1;
                count.succeeded += usize::from(ended.exit_code == 0);
            }
            None => count.waiting += 1,
        }
    }
    if gone && (pending || failed || count.waiting > 0) {
        return "Failed";
    }
    if pending || failed || count.waiting > 0 {
        return "Pending";
    }
    match count {
        Count { running: 1.., .. } => "Running",
        _ if policy == "Always" && !gone => "Running",
        Count { stopped, succeeded, .. } if stopped == succeeded => "Succeeded",
        _ if policy == "Never" || gone => "Failed",
        _ => "Running",
    }
}

fn state(status: &ContainerStatus) -> Option<&ContainerState> {
    status.state.as_ref()
}

/// How a container that does not run ended: now, or the last time when it waits for its next start.
fn ended(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let now = state(status)?;
    if now.running.is_some() {
        return None;
    }
    let last = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    now.terminated.as_ref().or(last)
}
