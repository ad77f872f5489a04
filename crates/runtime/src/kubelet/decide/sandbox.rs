//! The Pod's namespaces, its cgroup and its address: made before the first container, made again if they were lost.

use std::ops::ControlFlow;

use super::{Action, Plan};

pub(super) fn decide(plan: &mut Plan<'_>) -> ControlFlow<()> {
    if plan.observed.has_sandbox() {
        return ControlFlow::Continue(());
    }
    if plan.observed.sandbox_retry.is_none_or(|retry_at| plan.is_due(retry_at)) {
        plan.act(Action::CreatePod);
    }
    ControlFlow::Break(())
}
