//! Of the runs that have ended, the last one is kept (for `kubectl logs --previous`); what is left of earlier ones goes.

use super::{Action, Plan};

pub(super) fn decide(plan: &mut Plan<'_>) {
    for (container, record) in &plan.observed.containers {
        for attempt in &record.obsolete {
            plan.act(Action::Forget { container: container.clone(), attempt: *attempt });
        }
    }
}
