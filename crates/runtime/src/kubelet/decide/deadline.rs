//! `activeDeadlineSeconds`: a Pod that has been on the node for longer fails.

use std::time::Duration;

use super::{Action, Ending, Plan};
use crate::kubelet::restart::later;

/// The message of the status and of the event.
pub const MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

pub(super) fn decide(plan: &mut Plan<'_>) {
    let Some(seconds) = plan.pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds) else { return };
    let Some(started) = plan.pod.status.as_ref().and_then(|status| status.start_time.as_ref()) else { return };
    if plan.observed.ending.is_some() {
        return;
    }
    let deadline = later(started.0, Duration::from_secs(u64::try_from(seconds).unwrap_or_default()));
    if plan.is_due(deadline) {
        plan.act(Action::End(Ending::Failed { reason: "DeadlineExceeded", message: MESSAGE.to_owned(), grace: None }));
    }
}
