//! A ReplicaSet has as many Pods as it asks for (k8s.io/kubernetes/pkg/controller/replicaset).

mod ranking;
mod status;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use podlab_client::cache::{Change, Key};
use podlab_client::events::{EventType, Recorder, reference};
use podlab_client::{Cache, DeleteOptions, Error, Object, Patch};
use podlab_runtime::scheduler::selector;
use serde_json::json;

use crate::context::Context;
use crate::objects::{controller_of, has_ended, managed_by};
use crate::queue::WorkQueue;
use crate::worker::{Again, feed, itself, settled, work};

pub use status::availability;

/// So many Pods are made or deleted in one turn.
const MAX_BURST: usize = 500;

/// What a ReplicaSet has to do about its Pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Pods that nobody owns and the selector selects: they become its own.
    pub adopt: Vec<Key>,
    /// Its own Pods that the selector selects no more: they are let go.
    pub release: Vec<Key>,
    pub create: usize,
    /// The least valuable first.
    pub delete: Vec<Key>,
}

/// Its Pods that count: neither ended nor ending.
#[must_use]
pub fn active<'a>(set: &ReplicaSet, pods: &'a [Arc<Pod>]) -> Vec<&'a Arc<Pod>> {
    pods.iter().filter(|pod| owns(set, pod) && selects(set, pod) && is_active(pod)).collect()
}

/// Decides what to do. `pods` are those of its namespace.
#[must_use]
pub fn plan(set: &ReplicaSet, pods: &[Arc<Pod>]) -> Plan {
    let mut plan = Plan::default();
    if set.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    for pod in pods.iter().filter(|pod| is_active(pod)) {
        if owns(set, pod) {
            if !selects(set, pod) {
                plan.release.push(Key::of(pod.as_ref()));
            }
        } else if controller_of(&pod.metadata).is_none() && selects(set, pod) {
            plan.adopt.push(Key::of(pod.as_ref()));
        }
    }
    let mut active = active(set, pods);
    let have = active.len() + plan.adopt.len();
    let want = usize::try_from(replicas(set)).unwrap_or_default();
    plan.create = want.saturating_sub(have).min(MAX_BURST);
    let surplus = have.saturating_sub(want).min(MAX_BURST);
    if surplus > 0 {
        ranking::least_valuable_first(&mut active);
        plan.delete = active.into_iter().take(surplus).map(|pod| Key::of(pod.as_ref())).collect();
    }
    plan
}

/// How many Pods it asks for.
#[must_use]
pub fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// A Pod made by its template.
#[must_use]
pub fn pod_of(set: &ReplicaSet) -> Pod {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    let metadata = template.metadata.unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", set.name())),
            namespace: set.metadata.namespace.clone(),
            labels: metadata.labels,
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            owner_references: Some(vec![managed_by(set)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

fn owns(set: &ReplicaSet, pod: &Pod) -> bool {
    controller_of(&pod.metadata).is_some_and(|owner| owner.uid == set.uid())
}

fn selects(set: &ReplicaSet, pod: &Pod) -> bool {
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    set.spec.as_ref().is_some_and(|spec| selector::matches(&spec.selector, &labels))
}

fn is_active(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !has_ended(pod)
}

/// Runs the controller.
pub async fn run(context: Context) {
    let queue = WorkQueue::default();
    let (sets, pods) = (context.cache::<ReplicaSet>(), context.cache::<Pod>());
    tokio::join!(sets.synced(), pods.synced());
    let controller = Controller {
        recorder: context.recorder("replicaset-controller"),
        context: context.clone(),
        sets: sets.clone(),
        pods: pods.clone(),
    };
    tokio::join!(
        feed(sets.clone(), &queue, itself),
        feed(pods.clone(), &queue, |change| concerned(&sets, change)),
        work("replica sets", &queue, &context.time, async |key: Key| controller.deal(&key).await),
    );
}

/// The sets that a Pod's change concerns: its owner's, before and after; those that may adopt it.
fn concerned(sets: &Cache<ReplicaSet>, change: &Change<Pod>) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for pod in change.old.iter().chain(&change.new) {
        match controller_of(&pod.metadata) {
            Some(owner) if owner.kind == "ReplicaSet" => {
                keys.push(Key::new(change.key.namespace.clone(), owner.name.clone()));
            }
            Some(_) => {}
            None => keys.extend(
                sets.in_namespace(&change.key.namespace)
                    .iter()
                    .filter(|set| selects(set, pod))
                    .map(|set| Key::of(set.as_ref())),
            ),
        }
    }
    keys
}

struct Controller {
    context: Context,
    recorder: Recorder,
    sets: Cache<ReplicaSet>,
    pods: Cache<Pod>,
}

impl Controller {
    async fn deal(&self, key: &Key) -> Result<Again, Error> {
        let Some(set) = self.sets.get_key(key) else { return Ok(Again::No) };
        let plan = plan(&set, &self.pods.in_namespace(&key.namespace));
        let outcome = self.act(&set, plan).await;
        let failure = outcome.as_ref().err().map(ToString::to_string);
        // What was done above shows in the cache already, through the server's answers.
        let pods = self.pods.in_namespace(&key.namespace);
        let now = self.context.time.now();
        let (status, again) = status::status(&set, &active(&set, &pods), failure.as_deref(), now);
        if set.status.as_ref() != Some(&status) {
            let mut new = set.as_ref().clone();
            new.status = Some(status);
            let new = self.context.client.replace_status(&new).await?;
            self.sets.insert(new);
        }
        outcome?;
        Ok(again)
    }

    async fn act(&self, set: &ReplicaSet, plan: Plan) -> Result<(), Error> {
        let client = &self.context.client;
        for (keys, owners) in [(plan.adopt, json!([managed_by(set)])), (plan.release, json!(null))] {
            for key in keys {
                let Some(pod) = self.pods.get_key(&key) else { continue };
                let patch = Patch::Merge(json!({ "metadata": { "uid": pod.uid(), "ownerReferences": owners } }));
                let new = client.patch::<Pod>(key.namespace.as_str(), &key.name, &patch, None).await?;
                self.pods.insert(new);
            }
        }
        self.create(set, plan.create).await?;
        for key in plan.delete {
            let Some(pod) = self.pods.get_key(&key) else { continue };
            let options = DeleteOptions::of_uid(pod.uid());
            let result = client.delete::<Pod>(key.namespace.as_str(), &key.name, &options).await;
            match &result {
                Ok(answer) => self.ended(&key, answer),
                Err(error) => self.say(set, EventType::Warning, "FailedDelete", &format!("Error deleting: {error}")),
            }
            settled(result)?;
            self.say(set, EventType::Normal, "SuccessfulDelete", &format!("Deleted pod: {}", key.name));
        }
        Ok(())
    }

    /// Makes Pods, one at first and then twice as many at a time, so that a set whose Pods are all refused asks seldom.
    async fn create(&self, set: &ReplicaSet, count: usize) -> Result<(), Error> {
        let pod = pod_of(set);
        let (mut left, mut batch) = (count, 1);
        while left > 0 {
            let some = (0..batch.min(left)).map(|_| self.context.client.create(&pod));
            let mut failed = None;
            for result in futures_util::future::join_all(some).await {
                match result {
                    Ok(new) => {
                        let message = format!("Created pod: {}", new.name());
                        self.pods.insert(new);
                        self.say(set, EventType::Normal, "SuccessfulCreate", &message);
                    }
                    Err(error) => {
                        self.say(set, EventType::Warning, "FailedCreate", &format!("Error creating: {error}"));
                        failed = Some(error);
                    }
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            left -= batch.min(left);
            batch *= 2;
        }
        Ok(())
    }

    /// A deleted Pod is ending, or gone: it must not be counted in the next turn.
    fn ended(&self, key: &Key, answer: &serde_json::Value) {
        match serde_json::from_value::<Pod>(answer.clone()) {
            Ok(pod) if answer["kind"] == "Pod" && pod.metadata.deletion_timestamp.is_some() => self.pods.insert(pod),
            _ => self.pods.remove(key),
        }
    }

    fn say(&self, set: &ReplicaSet, event_type: EventType, reason: &str, message: &str) {
        self.recorder.event(&reference(set), event_type, reason, message);
    }
}

#[cfg(test)]
mod tests;
