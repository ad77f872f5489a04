//! Probing what runs, and stopping what answers badly.

use super::{Action, Plan, StopReason, termination};
use crate::kubelet::members::{self, Member};
use crate::probes::{Kind, Verdict};

pub(super) fn decide(plan: &mut Plan<'_>) {
    let pod = plan.pod;
    for member in members::all(pod) {
        let record = plan.observed.container(&member.spec.name);
        if record.stop.is_some() {
            termination::stop(plan, &member, true);
        } else if record.is_running() {
            probe(plan, &member, &Kind::ALL);
        }
    }
}

/// Probes a running container, in so far as the kinds of probes are wanted.
pub(super) fn probe(plan: &mut Plan<'_>, member: &Member<'_>, kinds: &[Kind]) {
    let record = plan.observed.container(&member.spec.name);
    let started = record.has_started();
    for (kind, prober) in record.probes.iter().filter(|(kind, _)| kinds.contains(kind)) {
        // Until the startup probe has succeeded it is the only one; then its work is done.
        if started == (*kind == Kind::Startup) {
            continue;
        }
        let container = member.spec.name.clone();
        if prober.verdict() == Verdict::Failure && *kind != Kind::Readiness {
            let reason = if *kind == Kind::Liveness { StopReason::Liveness } else { StopReason::Startup };
            let own = kind.of(&member.spec).and_then(|probe| probe.termination_grace_period_seconds);
            let grace = own.unwrap_or_else(|| plan.grace());
            plan.act(Action::Stop { container, reason, grace });
            return;
        }
        if plan.is_due(prober.next()) {
            plan.act(Action::Probe { container, kind: *kind });
        }
    }
}
