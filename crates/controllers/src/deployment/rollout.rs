//! How many Pods each ReplicaSet of a Deployment should have now.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use podlab_client::Object;
use podlab_client::cache::Key;

use super::{DESIRED, MAXIMUM};
use crate::replica_set::replicas;

/// A set that is to have another number of Pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    pub key: Key,
    pub from: i32,
    pub to: i32,
    /// What the Deployment asks for, and what it may have during a rollout: noted on the set.
    pub desired: i32,
    pub maximum: i32,
}

/// Whether all old Pods end before the first new one starts.
#[must_use]
pub fn recreates(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

/// How many Pods a Deployment asks for, and how many it may have during a rollout.
#[must_use]
pub fn bounds(deployment: &Deployment) -> (i32, i32) {
    let (desired, (surge, _)) = (desired(deployment), fences(deployment));
    (desired, if recreates(deployment) { desired } else { desired + surge })
}

/// How many Pods may be missing during a rollout.
#[must_use]
pub fn max_unavailable(deployment: &Deployment) -> i32 {
    if recreates(deployment) || desired(deployment) == 0 { 0 } else { fences(deployment).1.min(desired(deployment)) }
}

/// The number of Pods with which a new set starts.
#[must_use]
pub fn first_replicas(deployment: &Deployment, others: &[Arc<ReplicaSet>]) -> i32 {
    let (desired, maximum) = bounds(deployment);
    if recreates(deployment) {
        return desired;
    }
    let present: i32 = others.iter().map(|set| replicas(set)).sum();
    desired.min((maximum - present).max(0))
}

/// The next step: the sets whose number changes now. Empty when everything is as it should be, or has to be waited for.
#[must_use]
pub fn scales(
    deployment: &Deployment,
    sets: &[Arc<ReplicaSet>],
    newest: Option<&Arc<ReplicaSet>>,
    old_pods: bool,
) -> Vec<Scale> {
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or_default();
    let old: Vec<&Arc<ReplicaSet>> =
        sets.iter().filter(|set| newest.is_none_or(|newest| newest.uid() != set.uid())).collect();
    let plan = Plan { deployment, old, newest };
    if paused || plan.was_scaled(sets) {
        return plan.rescale();
    }
    if recreates(deployment) {
        let ended: Vec<Scale> = plan.old.iter().filter_map(|set| plan.to(set, 0)).collect();
        return match newest {
            Some(newest) if ended.is_empty() && !old_pods => plan.to(newest, desired(deployment)).into_iter().collect(),
            _ => ended,
        };
    }
    let Some(newest) = newest else { return Vec::new() };
    match plan.grow(newest) {
        Some(up) => vec![up],
        None => plan.shrink(newest),
    }
}

/// The sets without Pods that are older than the history goes.
#[must_use]
pub fn surplus_history(
    deployment: &Deployment,
    sets: &[Arc<ReplicaSet>],
    newest: Option<&Arc<ReplicaSet>>,
) -> Vec<Key> {
    let limit = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit).unwrap_or(10);
    let mut old: Vec<&Arc<ReplicaSet>> = sets
        .iter()
        .filter(|set| newest.is_some_and(|newest| newest.uid() != set.uid()))
        .filter(|set| set.metadata.deletion_timestamp.is_none())
        .collect();
    old.sort_by_key(|set| super::template::revision(set));
    let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
    let empty = |set: &ReplicaSet| {
        let status = set.status.as_ref();
        replicas(set) == 0
            && status.is_none_or(|status| status.replicas == 0)
            && status.and_then(|status| status.observed_generation) >= set.metadata.generation
    };
    old.into_iter().take(surplus).filter(|set| empty(set)).map(|set| Key::of(set.as_ref())).collect()
}

struct Plan<'a> {
    deployment: &'a Deployment,
    old: Vec<&'a Arc<ReplicaSet>>,
    newest: Option<&'a Arc<ReplicaSet>>,
}

impl<'a> Plan<'a> {
    fn to(&self, set: &ReplicaSet, to: i32) -> Option<Scale> {
        let (desired, maximum) = bounds(self.deployment);
        let from = replicas(set);
        let noted = noted(set, DESIRED) == Some(desired) && noted(set, MAXIMUM) == Some(maximum);
        (from != to || !noted).then(|| Scale { key: Key::of(set), from, to, desired, maximum })
    }

    /// Whether the Deployment asks for another number than its sets were made for.
    fn was_scaled(&self, sets: &[Arc<ReplicaSet>]) -> bool {
        let desired = desired(self.deployment);
        sets.iter().any(|set| replicas(set) > 0 && noted(set, DESIRED).is_some_and(|noted| noted != desired))
    }

    /// The new set grows as far as the fence above allows.
    fn grow(&self, newest: &ReplicaSet) -> Option<Scale> {
        let (desired, maximum) = bounds(self.deployment);
        let have = replicas(newest);
        if have > desired {
            return self.to(newest, desired);
        }
        let present = self.old.iter().map(|set| replicas(set)).sum::<i32>() + have;
        let room = (maximum - present).max(0);
        let to = have + room.min(desired - have);
        (to != have).then(|| self.to(newest, to)).flatten()
    }

    /// Old sets lose Pods as far as the fence below allows: those that are not available anyway first.
    fn shrink(&self, newest: &ReplicaSet) -> Vec<Scale> {
        let least = desired(self.deployment) - max_unavailable(self.deployment);
        let present = self.old.iter().map(|set| replicas(set)).sum::<i32>() + replicas(newest);
        let missing_new = replicas(newest) - available(newest);
        let mut spare = present - least - missing_new;
        let mut numbers: Vec<i32> = self.old.iter().map(|set| replicas(set)).collect();
        if spare <= 0 {
            return Vec::new();
        }
        for (set, number) in self.old.iter().zip(&mut numbers) {
            let useless = (replicas(set) - available(set)).clamp(0, spare);
            *number -= useless;
            spare -= useless;
        }
        let ready: i32 = self.old.iter().map(|set| available(set)).sum::<i32>() + available(newest);
        let mut spare = (ready - least).max(0);
        for number in &mut numbers {
            let some = (*number).min(spare);
            *number -= some;
            spare -= some;
        }
        let changed = self.old.iter().zip(numbers).filter(|(set, number)| replicas(set) != *number);
        changed.filter_map(|(set, number)| self.to(set, number)).collect()
    }

    /// Scaling, without going on with a rollout: the only active set takes all; in the middle of a rollout each takes
    /// its share.
    fn rescale(&self) -> Vec<Scale> {
        let (desired, maximum) = bounds(self.deployment);
        let active: Vec<&Arc<ReplicaSet>> =
            self.old.iter().copied().chain(self.newest).filter(|set| replicas(set) > 0).collect();
        match (active.as_slice(), self.newest) {
            ([], Some(newest)) => return self.to(newest, desired).into_iter().collect(),
            ([], None) => {
                let latest = self.old.last();
                return latest.and_then(|set| self.to(set, desired)).into_iter().collect();
            }
            ([only], _) => return self.to(only, desired).into_iter().collect(),
            _ => {}
        }
        if let Some(newest) = self.newest
            && replicas(newest) == desired
            && available(newest) == desired
        {
            return self.old.iter().filter_map(|set| self.to(set, 0)).collect();
        }
        let allowed = if desired > 0 { maximum } else { 0 };
        let mut left = allowed - active.iter().map(|set| replicas(set)).sum::<i32>();
        let mut by_size = active;
        by_size.sort_by_key(|set| std::cmp::Reverse(replicas(set)));
        let mut numbers: Vec<i32> = Vec::new();
        for set in &by_size {
            let before = noted(set, MAXIMUM).filter(|before| *before > 0).unwrap_or(maximum);
            let share = rounded(replicas(set), allowed, before) - replicas(set);
            let part = if left > 0 { share.clamp(0, left) } else { share.clamp(left, 0) };
            left -= part;
            numbers.push(replicas(set) + part);
        }
        if let Some(first) = numbers.first_mut() {
            *first = (*first + left).max(0);
        }
        by_size.iter().zip(numbers).filter_map(|(set, number)| self.to(set, number)).collect()
    }
}

fn desired(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or_default()
}

fn noted(set: &ReplicaSet, annotation: &str) -> Option<i32> {
    set.metadata.annotations.as_ref()?.get(annotation)?.parse().ok()
}

/// How many Pods may be too many and too few. Not both can be none, or nothing could ever change.
fn fences(deployment: &Deployment) -> (i32, i32) {
    let rolling = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.strategy.as_ref())
        .and_then(|strategy| strategy.rolling_update.as_ref());
    let quarter = IntOrString::String("25%".to_owned());
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref()).unwrap_or(&quarter);
    let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref()).unwrap_or(&quarter);
    let of = desired(deployment);
    match (count(surge, of, true), count(unavailable, of, false)) {
        (0, 0) => (0, 1),
        fences => fences,
    }
}

/// A number, or a percentage of `of`.
fn count(value: &IntOrString, of: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or_default();
            let hundredths = percent * i64::from(of);
            let whole = if round_up { (hundredths + 99) / 100 } else { hundredths / 100 };
            i32::try_from(whole).unwrap_or(i32::MAX)
        }
    }
}

/// `number * to / from`, rounded to the nearest.
fn rounded(number: i32, to: i32, from: i32) -> i32 {
    let (number, to, from) = (i64::from(number), i64::from(to), i64::from(from.max(1)));
    i32::try_from((2 * number * to + from) / (2 * from)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
