//! The image is the one thing of a running container's spec that may be changed: the container is ended, and another takes
//! its place (pkg/kubelet/kuberuntime/kuberuntime_manager.go, containerChanged).

use super::{Action, Plan, StopReason};
use crate::kubelet::members;
use crate::kubelet::observed::full_name;

pub(super) fn decide(plan: &mut Plan<'_>) {
    let (pod, grace) = (plan.pod, plan.grace());
    for member in members::all(pod) {
        let record = plan.observed.container(&member.spec.name);
        let Some(run) = record.run.as_ref().filter(|run| run.is_running() && record.stop.is_none()) else { continue };
        // What a kubelet that was started again knows of an earlier run may be nothing.
        if !run.image.is_empty() && run.image != full_name(member.spec.image.as_deref()) {
            let container = member.spec.name.clone();
            plan.act(Action::Stop { container, reason: StopReason::Changed, grace });
        }
    }
}
