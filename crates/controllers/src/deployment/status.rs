//! What a Deployment tells of its rollout.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use podlab_client::Object;

use super::rollout::{bounds, max_unavailable};
use crate::replica_set::replicas;
use crate::worker::Again;

/// The status, and when time alone will change it: a rollout that makes no progress is told so after its deadline.
#[must_use]
pub fn status(
    deployment: &Deployment,
    sets: &[Arc<ReplicaSet>],
    newest: Option<&Arc<ReplicaSet>>,
    now: Timestamp,
) -> (DeploymentStatus, Again) {
    let old = deployment.status.clone().unwrap_or_default();
    let sum = |of: fn(&ReplicaSet) -> i32| -> i32 { sets.iter().map(|set| of(set)).sum() };
    let present = sum(|set| set.status.as_ref().map_or(0, |status| status.replicas));
    let ready = sum(|set| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default());
    let available = sum(|set| set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or_default());
    let updated = newest.and_then(|set| set.status.as_ref()).map_or(0, |status| status.replicas);
    let unavailable = (sum(replicas) - available).max(0);
    let nonzero = |number: i32| Some(number).filter(|number| *number > 0);
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: nonzero(present),
        updated_replicas: nonzero(updated),
        ready_replicas: nonzero(ready),
        available_replicas: nonzero(available),
        unavailable_replicas: nonzero(unavailable),
        collision_count: old.collision_count,
        conditions: None,
    };
    let mut conditions = old.conditions.clone().unwrap_or_default();
    let again = progress(deployment, &old, &status, newest, &mut conditions, now);
    let enough = available >= bounds(deployment).0 - max_unavailable(deployment);
    set(
        &mut conditions,
        if enough {
            ("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.".to_owned())
        } else {
            let message = "Deployment does not have minimum availability.".to_owned();
            ("Available", "False", "MinimumReplicasUnavailable", message)
        },
        now,
        false,
    );
    status.conditions = Some(conditions);
    (status, again)
}

/// The condition Progressing.
fn progress(
    deployment: &Deployment,
    old: &DeploymentStatus,
    new: &DeploymentStatus,
    newest: Option<&Arc<ReplicaSet>>,
    conditions: &mut Vec<DeploymentCondition>,
    now: Timestamp,
) -> Again {
    const KIND: &str = "Progressing";
    let spec = deployment.spec.clone().unwrap_or_default();
    let (Some(newest), Some(deadline)) = (newest, spec.progress_deadline_seconds) else { return Again::No };
    // The largest number is how one says that there is none.
    if deadline == i32::MAX {
        return Again::No;
    }
    let name = newest.name();
    let known = conditions.iter().find(|condition| condition.type_ == KIND).cloned();
    let desired = bounds(deployment).0;
    let number = |field: Option<i32>| field.unwrap_or_default();
    let complete = number(new.updated_replicas) == desired
        && number(new.replicas) == desired
        && number(new.available_replicas) == desired;
    let left_over = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    let moving = number(new.updated_replicas) > number(old.updated_replicas)
        || left_over(new) < left_over(old)
        || number(new.ready_replicas) > number(old.ready_replicas)
        || number(new.available_replicas) > number(old.available_replicas);
    let was_complete = known.as_ref().and_then(|known| known.reason.as_deref()) == Some("NewReplicaSetAvailable");
    if complete {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        set(conditions, (KIND, "True", "NewReplicaSetAvailable", message), now, true);
        return Again::No;
    }
    // Pods that fail after a rollout ended start none; a new template does.
    let settled = was_complete && left_over(new) == 0 && !moving;
    if settled {
        return Again::No;
    }
    let Some(known) = known else {
        let message = format!("Created new replica set \"{name}\"");
        set(conditions, (KIND, "True", "NewReplicaSetCreated", message), now, true);
        return Again::After(seconds(deadline));
    };
    if moving || was_complete {
        let message = format!("ReplicaSet \"{name}\" is progressing.");
        set(conditions, (KIND, "True", "ReplicaSetUpdated", message), now, true);
        if let Some(condition) = conditions.iter_mut().find(|condition| condition.type_ == KIND) {
            condition.last_update_time = Some(Time(now));
        }
        return Again::After(seconds(deadline));
    }
    let since = known.last_update_time.as_ref().map_or(now, |time| time.0);
    let left = SignedDuration::from_secs(deadline.into()) - now.duration_since(since);
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() && known.status == "True" => Again::After(left),
        _ => {
            let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
            set(conditions, (KIND, "False", "ProgressDeadlineExceeded", message), now, true);
            Again::No
        }
    }
}

/// Sets a condition; what is told already keeps its times.
fn set(
    conditions: &mut Vec<DeploymentCondition>,
    (kind, status, reason, message): (&str, &str, &str, String),
    now: Timestamp,
    by_message: bool,
) {
    let known = conditions.iter().position(|condition| condition.type_ == kind).map(|at| conditions.remove(at));
    let same = known.as_ref().filter(|known| {
        known.status == status
            && known.reason.as_deref() == Some(reason)
            && (!by_message || known.message.as_deref() == Some(message.as_str()))
    });
    if let Some(same) = same {
        conditions.push(same.clone());
    } else {
        let since = known.filter(|known| known.status == status).and_then(|known| known.last_transition_time);
        conditions.push(DeploymentCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_update_time: Some(Time(now)),
            last_transition_time: since.or(Some(Time(now))),
        });
    }
    conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
}

fn seconds(seconds: i32) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
