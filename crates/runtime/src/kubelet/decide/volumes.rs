//! Volumes come first: without all of them, nothing of the Pod is made (golden 230-describe-cm-missing).

use std::ops::ControlFlow;
use std::time::Duration;

use super::{Action, Plan};

/// Half a second after the first failure, twice as long after each further one, at most about two minutes
/// (pkg/util/goroutinemap/exponentialbackoff).
#[must_use]
pub fn retry_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(8);
    (Duration::from_millis(500) * (1 << doublings)).min(Duration::from_secs(122))
}

/// When a token that is good for so many seconds is to be renewed: after four fifths of its life, and never later than
/// after a day (pkg/kubelet/token/token_manager.go, requiresRefresh).
#[must_use]
pub fn renew_after(seconds: i64) -> Duration {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    (Duration::from_secs(u64::try_from(seconds).unwrap_or_default()) * 4 / 5).min(DAY)
}

pub(super) fn decide(plan: &mut Plan<'_>) -> ControlFlow<()> {
    let mut all_ready = true;
    let spec = plan.pod.spec.as_ref();
    for volume in spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let record = plan.observed.volumes.get(&volume.name);
        let ready = record.is_some_and(|record| record.ready);
        all_ready &= ready;
        let renew_at = record.and_then(|record| record.renew_at);
        let due = renew_at.is_some_and(|renew_at| plan.is_due(renew_at));
        if ready && !due && !record.is_some_and(|record| record.stale) {
            continue;
        }
        if record.and_then(|record| record.retry_at).is_none_or(|retry_at| plan.is_due(retry_at)) {
            plan.act(Action::SetUpVolume { volume: volume.name.clone() });
        }
    }
    if all_ready { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
