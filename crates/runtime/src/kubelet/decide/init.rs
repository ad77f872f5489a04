//! Init containers, one after the other, each to its success; sidecars among them are started in their turn and then
//! kept running.

use std::ops::ControlFlow;

use super::Plan;
use super::containers::step;
use crate::kubelet::members::{self, Role};
use crate::kubelet::observed::Observed;
use k8s_openapi::api::core::v1::Pod;

/// Whether any of the Pod's main containers has run in its present namespaces: then the Pod is initialized, whatever
/// becomes of its init containers and sidecars later.
#[must_use]
pub fn is_past(pod: &Pod, observed: &Observed) -> bool {
    members::main(pod).any(|member| observed.container(&member.spec.name).run.as_ref().is_some_and(|run| !run.stale))
}

pub(super) fn decide(plan: &mut Plan<'_>) -> ControlFlow<()> {
    let pod = plan.pod;
    let past = is_past(pod, plan.observed);
    for member in members::init(pod) {
        let record = plan.observed.container(&member.spec.name);
        match member.role {
            Role::Sidecar => {
                step(plan, &member);
                // Once the Pod is initialized, a sidecar that restarts holds nobody back.
                if !past && !record.has_started() {
                    return ControlFlow::Break(());
                }
            }
            _ if past || record.succeeded() => {}
            _ => {
                step(plan, &member);
                return ControlFlow::Break(());
            }
        }
    }
    ControlFlow::Continue(())
}
