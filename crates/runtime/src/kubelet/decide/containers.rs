//! Starting containers, one after the other in the order of the spec, and starting them again when they end.

use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;

use super::{Action, Plan, images};
use crate::kubelet::members::{self, Member, Role};
use crate::kubelet::observed::{ContainerRecord, Hook};
use crate::kubelet::restart::later;

/// For how long the way a container ended is shown before its status says that it waits. (In a real cluster: until the
/// next time the kubelet looks at the Pod.)
pub const SHOW: Duration = Duration::from_secs(1);

/// How often something that goes on (a back-off, a configuration that cannot be met) is looked at and told again. The
/// middle of the real kubelet's 10 to 15 s.
pub const RESYNC: Duration = Duration::from_secs(12);

/// Whether the next container may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing can be done about this container now: it runs, has ended for good, or waits for a time.
    Settled,
    /// Something is being done about it.
    UnderWay,
}

pub(super) fn decide(plan: &mut Plan<'_>) -> ControlFlow<()> {
    let pod = plan.pod;
    for member in members::main(pod).chain(members::ephemeral(pod)) {
        if step(plan, &member) == Step::UnderWay {
            return ControlFlow::Break(());
        }
    }
    ControlFlow::Continue(())
}

/// Whether a container that ended so is to be started again.
#[must_use]
pub fn restarts(policy: &str, role: Role, record: &ContainerRecord) -> bool {
    let Some(run) = &record.run else { return true };
    if run.replaced && role != Role::Ephemeral {
        return true;
    }
    let failed = run.exit.as_ref().is_some_and(|exit| exit.code != 0);
    match role {
        Role::Sidecar => true,
        Role::Ephemeral => false,
        // An init container of namespaces that are gone has to do its work again.
        Role::Init => run.stale || (failed && policy != "Never"),
        Role::Main => policy == "Always" || (failed && policy == "OnFailure"),
    }
}

/// The next step towards a running container.
pub(super) fn step(plan: &mut Plan<'_>, member: &Member<'_>) -> Step {
    let name = &member.spec.name;
    let record = plan.observed.container(name);
    if record.is_running() {
        // Its postStart hook belongs to the start.
        return if record.post_start == Hook::Due { Step::UnderWay } else { Step::Settled };
    }
    if record.starting.is_some() || plan.is_busy(name) {
        return Step::UnderWay;
    }
    if !restarts(plan.restart_policy(), member.role, record) {
        return Step::Settled;
    }
    if let Some(retry_at) = not_before(record)
        && !plan.is_due(retry_at)
    {
        wait(plan, name);
        return Step::Settled;
    }
    if images::is_ready(plan, member) {
        plan.act(Action::Start { container: name.clone(), attempt: record.next_attempt() });
        return Step::UnderWay;
    }
    if plan.decision.actions.iter().any(|action| is_about_image(action, name)) { Step::UnderWay } else { Step::Settled }
}

fn is_about_image(action: &Action, name: &str) -> bool {
    matches!(action, Action::FindImage { container } | Action::PullImage { container } if container == name)
}

/// The earliest time of the next start: the end of the back-off after a run, or the next look at a configuration that
/// could not be met.
fn not_before(record: &ContainerRecord) -> Option<Timestamp> {
    if record.run.as_ref().is_some_and(|run| run.replaced) {
        return None;
    }
    match &record.waiting {
        Some(waiting) if waiting.reason.starts_with("CreateContainer") => Some(later(waiting.told, RESYNC)),
        _ => record.trouble().and_then(|since| record.back_off.until(since)),
    }
}

/// Notes the back-off: first a moment after the end, so that the end is seen too, then every now and then.
fn wait(plan: &mut Plan<'_>, name: &str) {
    let record = plan.observed.container(name);
    let Some(exit) = record.exit() else { return };
    let tell_at = match &record.waiting {
        Some(waiting) if waiting.reason == "CrashLoopBackOff" => later(waiting.told, RESYNC),
        Some(waiting) if waiting.reason.starts_with("CreateContainer") => return,
        _ => later(exit.finished_at, SHOW),
    };
    if plan.is_due(tell_at) {
        plan.act(Action::WaitForRestart { container: name.to_owned() });
    }
}
