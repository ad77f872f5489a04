//! After the last process: namespaces, then directories, then the object.
//!
//! A Pod that has finished keeps its logs until it is deleted.

use super::{Action, Ending, Plan};

pub(super) fn decide(plan: &mut Plan<'_>) {
    let observed = plan.observed;
    // What is being made is waited for: taken away under its maker's hands, some of it would stay.
    if observed.busy.iter().any(|action| matches!(action, Action::CreatePod | Action::SetUpVolume { .. })) {
        return;
    }
    if observed.sandbox.is_some() && !observed.stopped {
        return plan.act(Action::StopPod);
    }
    let deleted = matches!(observed.ending, Some((Ending::Deleted { .. }, _)));
    if deleted && !observed.removed {
        plan.act(Action::RemovePod);
    } else if deleted && !observed.forgotten {
        plan.act(Action::DeleteObject);
    }
}
