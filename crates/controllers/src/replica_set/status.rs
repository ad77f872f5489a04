//! What a ReplicaSet tells of its Pods.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use podlab_runtime::scheduler::selector::{Labels, contains};

use crate::objects::{is_ready, ready_since};
use crate::worker::Again;

/// Whether a Pod has been Ready for long enough, or how long until it will have been.
///
/// # Errors
/// The time that is left; `None` when it is not Ready.
pub fn availability(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Result<(), Option<Duration>> {
    if !is_ready(pod) {
        return Err(None);
    }
    if min_ready_seconds <= 0 {
        return Ok(());
    }
    let since = ready_since(pod).ok_or(None)?;
    let left = SignedDuration::from_secs(min_ready_seconds.into()) - now.duration_since(since);
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => Err(Some(left)),
        _ => Ok(()),
    }
}

/// The status, and when time alone will change it.
pub(super) fn status(
    set: &ReplicaSet,
    active: &[&Arc<Pod>],
    failure: Option<&str>,
    now: Timestamp,
) -> (ReplicaSetStatus, Again) {
    let spec = set.spec.clone().unwrap_or_default();
    let labels = spec.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.clone());
    let labels: Labels = labels.unwrap_or_default();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let nonzero = |count: usize| Some(number(count)).filter(|count| *count > 0);
    let count = |holds: &dyn Fn(&Pod) -> bool| active.iter().filter(|pod| holds(pod)).count();
    let availabilities: Vec<Result<(), Option<Duration>>> =
        active.iter().map(|pod| availability(pod, spec.min_ready_seconds.unwrap_or_default(), now)).collect();
    let fully =
        count(&|pod| pod.metadata.labels.as_ref().map_or_else(|| labels.is_empty(), |found| contains(&labels, found)));
    let again = availabilities.iter().filter_map(|result| result.err().flatten()).min();
    let status = ReplicaSetStatus {
        replicas: number(active.len()),
        fully_labeled_replicas: nonzero(fully),
        ready_replicas: nonzero(count(&is_ready)),
        available_replicas: nonzero(availabilities.iter().filter(|result| result.is_ok()).count()),
        observed_generation: set.metadata.generation,
        conditions: conditions(set, failure, now),
    };
    (status, again.map_or(Again::No, Again::After))
}

/// ReplicaFailure, while Pods are refused.
fn conditions(set: &ReplicaSet, failure: Option<&str>, now: Timestamp) -> Option<Vec<ReplicaSetCondition>> {
    const KIND: &str = "ReplicaFailure";
    let old = set.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let known = old.iter().find(|condition| condition.type_ == KIND);
    let mut new: Vec<ReplicaSetCondition> = old.iter().filter(|condition| condition.type_ != KIND).cloned().collect();
    if let Some(message) = failure {
        new.push(ReplicaSetCondition {
            type_: KIND.to_owned(),
            status: "True".to_owned(),
            reason: Some("FailedCreate".to_owned()),
            message: Some(message.to_owned()),
            last_transition_time: known.and_then(|known| known.last_transition_time.clone()).or(Some(Time(now))),
        });
    }
    (!new.is_empty()).then_some(new)
}
