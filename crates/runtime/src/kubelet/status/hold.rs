//! Which changes of a status wait for the next one.
//!
//! A real kubelet makes a Pod's namespaces, finds the images and starts the containers in one go (`syncPod` in
//! pkg/kubelet/kubelet.go), and says nothing between: who watches sees `ContainerCreating` once, then `Running`
//! (golden 200 to 213). Here these are steps of their own, so what is only on the way to a start is held back until the
//! start has come to something.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};

use super::super::decide::Action;
use super::super::members;
use super::super::observed::Observed;
use crate::probes::{Kind, Prober};

/// Whether the change from what was `told` to `status` is to wait, because a start is under way and the change is no
/// more than a step towards it.
#[must_use]
pub(crate) fn waits(pod: &Pod, observed: &Observed, told: Option<&PodStatus>, status: &PodStatus) -> bool {
    let ends = observed.ending.is_some() || pod.metadata.deletion_timestamp.is_some();
    let starts = observed.busy.iter().any(is_start) || looks_first(pod, observed);
    starts && !ends && told.is_some_and(|told| is_step(observed, told, status))
}

/// Whether a container that was just started is about to be asked for the first time whether it is ready: a real
/// kubelet tells that it runs together with the answer (golden 213).
fn looks_first(pod: &Pod, observed: &Observed) -> bool {
    members::all(pod).into_iter().any(|member| {
        let record = observed.container(&member.spec.name);
        record.has_started() && record.probes.get(&Kind::Readiness).is_some_and(Prober::looks_first)
    })
}

/// Whether this action is part of bringing a container up.
fn is_start(action: &Action) -> bool {
    matches!(action, Action::CreatePod | Action::FindImage { .. } | Action::PullImage { .. } | Action::Start { .. })
}

/// Whether no container did anything between these two but begin to run, or end because a probe failed, to be started
/// again at once.
fn is_step(observed: &Observed, told: &PodStatus, status: &PodStatus) -> bool {
    let containers = |status: &PodStatus| {
        let lists = [
            status.init_container_statuses.as_deref(),
            status.container_statuses.as_deref(),
            status.ephemeral_container_statuses.as_deref(),
        ];
        lists.map(|list| list.unwrap_or_default().to_vec()).concat()
    };
    let (before, after) = (containers(told), containers(status));
    before.len() == after.len()
        && before
            .iter()
            .zip(&after)
            .all(|(before, after)| before == after || begins(before, after) || begins_again(observed, before, after))
}

/// Golden 211: a container whose liveness probe failed is running, then running once more.
fn begins_again(observed: &Observed, before: &ContainerStatus, after: &ContainerStatus) -> bool {
    let probed = observed.container(&after.name).run.as_ref().is_some_and(|run| run.probed);
    probed && before.restart_count == after.restart_count
}

fn begins(before: &ContainerStatus, after: &ContainerStatus) -> bool {
    let waited = |state: &Option<ContainerState>| state.as_ref().is_some_and(|state| state.waiting.is_some());
    let runs = |state: &Option<ContainerState>| state.as_ref().is_some_and(|state| state.running.is_some());
    before.name == after.name && waited(&before.state) && runs(&after.state)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(containers: Value) -> PodStatus {
        serde_json::from_value(json!({"containerStatuses": containers})).unwrap()
    }

    fn container(name: &str, state: Value) -> Value {
        json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
    }

    fn waiting(reason: &str) -> Value {
        json!({"waiting": {"reason": reason}})
    }

    fn starting() -> Observed {
        let start = Action::Start { container: "b".to_owned(), attempt: 0 };
        let mut observed = Observed::default();
        observed.busy.insert(start);
        observed
    }

    #[test]
    fn an_address_waits_for_the_start() {
        let told = status(json!([container("b", waiting("ContainerCreating"))]));
        let addressed = PodStatus { pod_ip: Some("10.244.0.2".to_owned()), ..told.clone() };
        assert!(waits(&Pod::default(), &starting(), Some(&told), &addressed));
        assert!(!waits(&Pod::default(), &Observed::default(), Some(&told), &addressed), "nothing is starting");
        assert!(!waits(&Pod::default(), &starting(), None, &addressed), "the first word about a Pod");
    }

    #[test]
    fn one_container_running_waits_for_the_other() {
        let creating = waiting("ContainerCreating");
        let told = status(json!([container("a", creating.clone()), container("b", creating.clone())]));
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        let one = status(json!([container("a", running), container("b", creating)]));
        assert!(waits(&Pod::default(), &starting(), Some(&told), &one));
    }

    #[test]
    fn what_went_wrong_is_said_at_once() {
        let creating = waiting("ContainerCreating");
        let told = status(json!([container("a", creating.clone()), container("b", creating.clone())]));
        for state in [waiting("ErrImagePull"), json!({"terminated": {"exitCode": 1}})] {
            let failed = status(json!([container("a", state), container("b", creating.clone())]));
            assert!(!waits(&Pod::default(), &starting(), Some(&told), &failed));
        }
        let first = PodStatus::default();
        assert!(!waits(&Pod::default(), &starting(), Some(&first), &told), "ContainerCreating itself is news");
    }

    #[test]
    fn the_end_does_not_wait() {
        let told = status(json!([container("b", waiting("ContainerCreating"))]));
        let addressed = PodStatus { pod_ip: Some("10.244.0.2".to_owned()), ..told.clone() };
        let deleted: Pod =
            serde_json::from_value(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})).unwrap();
        assert!(!waits(&deleted, &starting(), Some(&told), &addressed));
    }
}
