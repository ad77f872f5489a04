//! A Deployment has one ReplicaSet for each version of its template, and moves its Pods to the newest
//! (k8s.io/kubernetes/pkg/controller/deployment).
//!
//! [`rollout`] decides how many Pods each set should have now, [`template`] which set is the newest, [`status`] what to
//! tell. One step is taken at a time; the change of a set that it makes brings the next.

pub mod rollout;
pub mod status;
pub mod template;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use podlab_client::cache::Key;
use podlab_client::events::{EventType, Recorder, reference};
use podlab_client::{Cache, DeleteOptions, Error, Object, Patch};
use serde_json::json;

use crate::context::Context;
use crate::objects::{controller_of, has_ended};
use crate::queue::WorkQueue;
use crate::worker::{Again, feed, itself, settled, work};

use rollout::Scale;

/// The number of a template's version, on its set and, for the current one, on the Deployment.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// What a set was last scaled for; when the Deployment asks for something else, that is a scaling and no rollout.
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// The same with the Pods that a rollout may add.
pub const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";

/// Runs the controller.
pub async fn run(context: Context) {
    let queue = WorkQueue::default();
    let (deployments, sets) = (context.cache::<Deployment>(), context.cache::<ReplicaSet>());
    let pods = context.cache::<Pod>();
    tokio::join!(deployments.synced(), sets.synced(), pods.synced());
    let controller = Controller {
        recorder: context.recorder("deployment-controller"),
        context: context.clone(),
        deployments: deployments.clone(),
        sets: sets.clone(),
        pods: pods.clone(),
    };
    let owner = |metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
        let owner = controller_of(metadata).filter(|owner| owner.kind == "Deployment")?;
        Some(Key::new(metadata.namespace.clone().unwrap_or_default(), owner.name.clone()))
    };
    tokio::join!(
        feed(deployments.clone(), &queue, itself),
        feed(sets.clone(), &queue, |change| {
            change.old.iter().chain(&change.new).filter_map(|set| owner(&set.metadata)).collect()
        }),
        // A Pod matters here when it is gone: a Deployment that recreates waits for that.
        feed(pods.clone(), &queue, |change| {
            let Some(old) = change.old.as_ref().filter(|_| change.new.is_none()) else { return Vec::new() };
            let set = controller_of(&old.metadata).filter(|owner| owner.kind == "ReplicaSet");
            let set = set.and_then(|owner| sets.get(change.key.namespace.as_str(), &owner.name));
            set.and_then(|set| owner(&set.metadata)).into_iter().collect()
        }),
        work("deployments", &queue, &context.time, async |key: Key| controller.deal(&key).await),
    );
}

struct Controller {
    context: Context,
    recorder: Recorder,
    deployments: Cache<Deployment>,
    sets: Cache<ReplicaSet>,
    pods: Cache<Pod>,
}

impl Controller {
    async fn deal(&self, key: &Key) -> Result<Again, Error> {
        let Some(deployment) = self.deployments.get_key(key) else { return Ok(Again::No) };
        if deployment.metadata.deletion_timestamp.is_none() {
            self.act(&deployment).await?;
        }
        let sets = self.owned(&deployment);
        let newest = template::newest(&deployment, &sets);
        let (status, again) = status::status(&deployment, &sets, newest, self.context.time.now());
        if deployment.status.as_ref() != Some(&status) {
            let mut new = deployment.as_ref().clone();
            new.status = Some(status);
            let new = self.context.client.replace_status(&new).await?;
            self.deployments.insert(new);
        }
        Ok(again)
    }

    async fn act(&self, deployment: &Deployment) -> Result<(), Error> {
        let sets = self.owned(deployment);
        let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or_default();
        let newest = match template::newest(deployment, &sets) {
            Some(newest) => Some(self.number(deployment, newest, &sets).await?),
            None if paused || self.must_wait(deployment, &sets) => None,
            None => Some(self.make(deployment, &sets).await?),
        };
        if let Some(newest) = &newest {
            self.tell_revision(deployment, newest).await?;
        }
        let sets = self.owned(deployment);
        let newest = newest.as_ref().and_then(|newest| sets.iter().find(|set| set.uid() == newest.uid()));
        for scale in rollout::scales(deployment, &sets, newest, self.has_old_pods(&sets, newest)) {
            self.scale(deployment, &scale).await?;
        }
        for key in rollout::surplus_history(deployment, &sets, newest) {
            settled(
                self.context
                    .client
                    .delete::<ReplicaSet>(key.namespace.as_str(), &key.name, &DeleteOptions::default())
                    .await,
            )?;
        }
        Ok(())
    }

    fn owned(&self, deployment: &Deployment) -> Vec<Arc<ReplicaSet>> {
        let namespace = deployment.namespace().unwrap_or_default();
        let mut sets: Vec<Arc<ReplicaSet>> = self
            .sets
            .in_namespace(namespace)
            .into_iter()
            .filter(|set| controller_of(&set.metadata).is_some_and(|owner| owner.uid == deployment.uid()))
            .collect();
        sets.sort_by_key(|set| set.metadata.creation_timestamp.as_ref().map(|time| time.0));
        sets
    }

    /// A Deployment that recreates makes no new set while there are Pods of an old one.
    fn must_wait(&self, deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> bool {
        rollout::recreates(deployment)
            && (sets.iter().any(|set| crate::replica_set::replicas(set) > 0) || self.has_old_pods(sets, None))
    }

    fn has_old_pods(&self, sets: &[Arc<ReplicaSet>], newest: Option<&Arc<ReplicaSet>>) -> bool {
        let old =
            |uid: &str| sets.iter().any(|set| set.uid() == uid && newest.is_none_or(|newest| newest.uid() != uid));
        let namespace = sets.first().and_then(|set| set.namespace()).unwrap_or_default();
        self.pods
            .in_namespace(namespace)
            .iter()
            .any(|pod| !has_ended(pod) && controller_of(&pod.metadata).is_some_and(|owner| old(&owner.uid)))
    }

    async fn make(&self, deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> Result<Arc<ReplicaSet>, Error> {
        let wanted = template::replica_set(deployment, sets);
        let name = wanted.name().to_owned();
        let count = crate::replica_set::replicas(&wanted);
        let new = match self.context.client.create(&wanted).await {
            // We made it before, and the cache does not show it yet.
            Err(error) if error.is_already_exists() => {
                self.context.client.get::<ReplicaSet>(deployment.namespace(), &name).await?
            }
            other => {
                let new = other?;
                if count > 0 {
                    self.say(deployment, &format!("Scaled up replica set {name} from 0 to {count}"));
                }
                new
            }
        };
        self.sets.insert(new.clone());
        Ok(Arc::new(new))
    }

    /// The set of the current template has the highest number; one that is gone back to gets a new one.
    async fn number(
        &self,
        deployment: &Deployment,
        newest: &Arc<ReplicaSet>,
        sets: &[Arc<ReplicaSet>],
    ) -> Result<Arc<ReplicaSet>, Error> {
        let highest = sets.iter().filter(|set| set.uid() != newest.uid()).map(|set| template::revision(set)).max();
        let wanted = highest.unwrap_or_default() + 1;
        if template::revision(newest) >= wanted {
            return Ok(newest.clone());
        }
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { REVISION: wanted.to_string() } } }));
        let new = self.context.client.patch::<ReplicaSet>(deployment.namespace(), newest.name(), &patch, None).await?;
        self.sets.insert(new.clone());
        Ok(Arc::new(new))
    }

    async fn tell_revision(&self, deployment: &Deployment, newest: &ReplicaSet) -> Result<(), Error> {
        let told = deployment.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
        let revision = template::revision(newest).to_string();
        if told == Some(&revision) {
            return Ok(());
        }
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { REVISION: revision } } }));
        let client = &self.context.client;
        let new = client.patch::<Deployment>(deployment.namespace(), deployment.name(), &patch, None).await?;
        self.deployments.insert(new);
        Ok(())
    }

    async fn scale(&self, deployment: &Deployment, scale: &Scale) -> Result<(), Error> {
        let annotations = json!({ DESIRED: scale.desired.to_string(), MAXIMUM: scale.maximum.to_string() });
        let patch = Patch::Merge(json!({
            "metadata": { "annotations": annotations },
            "spec": { "replicas": scale.to },
        }));
        let client = &self.context.client;
        let new = client.patch::<ReplicaSet>(scale.key.namespace.as_str(), &scale.key.name, &patch, None).await?;
        self.sets.insert(new);
        if scale.from != scale.to {
            let way = if scale.to > scale.from { "up" } else { "down" };
            let message = format!("Scaled {way} replica set {} from {} to {}", scale.key.name, scale.from, scale.to);
            self.say(deployment, &message);
        }
        Ok(())
    }

    fn say(&self, deployment: &Deployment, message: &str) {
        self.recorder.event(&reference(deployment), EventType::Normal, "ScalingReplicaSet", message);
    }
}
