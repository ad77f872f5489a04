//! postStart hooks: run right after the start; a container whose hook fails is stopped (golden 520-describe-hooks).

use super::{Action, Plan, StopReason};
use crate::kubelet::members;
use crate::kubelet::observed::Hook;

pub(super) fn decide(plan: &mut Plan<'_>) {
    let pod = plan.pod;
    for member in members::all(pod) {
        let container = member.spec.name.clone();
        let record = plan.observed.container(&container);
        if !record.is_running() || record.stop.is_some() {
            continue;
        }
        match record.post_start {
            Hook::Due => plan.act(Action::PostStart { container }),
            Hook::Failed => {
                let grace = plan.grace();
                plan.act(Action::Stop { container, reason: StopReason::PostStart, grace });
            }
            Hook::None | Hook::Done => {}
        }
    }
}
