//! The end of a Pod: its containers are asked to end, given their grace, and killed.
//!
//! The main containers go first, all at once; then the sidecars, the last one to have started first. All of it happens
//! within one grace period, and even when none is left a container has two seconds between being asked and being
//! killed (pkg/kubelet/kuberuntime/kuberuntime_container.go, killContainer).

use std::ops::ControlFlow;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::containers::restarts;
use super::{Action, Ending, Plan, StopReason, cleanup, init, probes};
use crate::kubelet::members::{self, Member, Role};
use crate::kubelet::observed::{Hook, Observed};
use crate::kubelet::restart::later;
use crate::probes::Kind;

/// The least time between SIGTERM and SIGKILL.
const LEAST_GRACE: Duration = Duration::from_secs(2);

pub(super) fn decide(plan: &mut Plan<'_>) -> ControlFlow<()> {
    if plan.decision.actions.iter().any(|action| matches!(action, Action::End(_))) {
        return ControlFlow::Break(());
    }
    let ending = match (&plan.observed.ending, due(plan)) {
        // Deleting a Pod that is ending anyway may shorten its grace, and is what cleans up after it.
        (Some((known, _)), Some(new @ Ending::Deleted { .. })) if *known != new => new,
        (Some(_), _) => return end(plan),
        (None, Some(ending)) => ending,
        (None, None) => return ControlFlow::Continue(()),
    };
    plan.act(Action::End(ending));
    ControlFlow::Break(())
}

/// Why the Pod has to end, if it has to.
fn due(plan: &Plan<'_>) -> Option<Ending> {
    if plan.pod.metadata.deletion_timestamp.is_some() {
        let grace = plan.pod.metadata.deletion_grace_period_seconds.unwrap_or_else(|| plan.grace());
        return Some(Ending::Deleted { grace: grace.max(1) });
    }
    is_finished(plan.pod, plan.observed, plan.restart_policy()).then_some(Ending::Finished)
}

/// Whether every main container has ended for good, or an init container failed for good.
fn is_finished(pod: &Pod, observed: &Observed, policy: &str) -> bool {
    let over = |member: &Member<'_>| {
        let record = observed.container(&member.spec.name);
        record.exit().is_some() && record.starting.is_none() && !restarts(policy, member.role, record)
    };
    let failed = |member: &Member<'_>| over(member) && !observed.container(&member.spec.name).succeeded();
    let hopeless =
        !init::is_past(pod, observed) && members::init(pod).any(|member| member.role == Role::Init && failed(&member));
    let mut main = members::main(pod).peekable();
    hopeless || (main.peek().is_some() && main.all(|member| over(&member)))
}

/// Ends what still runs, then cleans up.
fn end(plan: &mut Plan<'_>) -> ControlFlow<()> {
    let pod = plan.pod;
    let grace = match &plan.observed.ending {
        Some((Ending::Deleted { grace }, _)) => *grace,
        Some((Ending::Failed { grace: Some(grace), .. }, _)) => *grace,
        _ => plan.grace(),
    };
    for member in members::all(pod) {
        let container = member.spec.name.clone();
        let record = plan.observed.container(&container);
        if !record.is_running() {
            continue;
        }
        match &record.stop {
            // Also when a shorter grace is wanted than the one it has.
            Some(stop) if stop.grace <= grace => {
                let turn = is_turn(plan, &member);
                self::stop(plan, &member, turn);
            }
            _ => plan.act(Action::Stop { container, reason: StopReason::Ending, grace }),
        }
        // A Pod that is going away is no longer asked whether it is alive, but still whether it is ready.
        probes::probe(plan, &member, &[Kind::Readiness]);
    }
    if !plan.observed.anything_runs() {
        cleanup::decide(plan);
    }
    ControlFlow::Break(())
}

/// Sidecars wait until the main containers, and the sidecars that started after them, have ended.
fn is_turn(plan: &Plan<'_>, member: &Member<'_>) -> bool {
    if member.role != Role::Sidecar {
        return true;
    }
    let runs = |other: &Member<'_>| plan.observed.container(&other.spec.name).is_running();
    let later_ones = members::init(plan.pod).skip_while(|other| other.spec.name != member.spec.name).skip(1);
    !members::main(plan.pod).any(|other| runs(&other)) && !later_ones.into_iter().any(|other| runs(&other))
}

/// The next step of a container that is being stopped: its preStop hook, SIGTERM, SIGKILL.
pub(super) fn stop(plan: &mut Plan<'_>, member: &Member<'_>, turn: bool) {
    let container = member.spec.name.clone();
    let record = plan.observed.container(&container);
    let Some(stop) = record.stop.as_ref().filter(|_| record.is_running()) else { return };
    let deadline = later(stop.since, Duration::from_secs(u64::try_from(stop.grace).unwrap_or_default()));
    if stop.pre_stop == Hook::Due && deadline > plan.now {
        plan.wake_at(deadline);
        return plan.act(Action::PreStop { container });
    }
    let Some(asked) = stop.asked else {
        if turn || plan.is_due(deadline) {
            plan.act(Action::Ask { container });
        }
        return;
    };
    if !stop.killed && plan.is_due(deadline.max(later(asked, LEAST_GRACE))) {
        plan.act(Action::Kill { container });
    }
}
