//! The objects that the Pods of this node refer to, each followed by its name: a node may read no others.
//!
//! A Pod's volumes are made when it starts, from what the objects are then; what follows here is only that one of them has
//! changed. So a new object is followed from the revision of the Pod that refers to it, and nothing is told twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use podlab_client::sleeper::{Backoff, Sleeper};
use podlab_client::{Client, Error, ListOptions, Object, WatchEvent};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::backend::PodUid;
use crate::volumes;

/// How long to wait after a watch that failed: from, and to.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Kinds that volumes are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    ConfigMap,
    Secret,
    Claim,
}

/// An object that volumes are made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

/// What the volumes of a Pod are made from.
fn sources(pod: &Pod) -> BTreeSet<Source> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let named = |kind| move |name| Source { kind, namespace: namespace.to_owned(), name };
    volumes
        .flat_map(|volume| {
            let found = volumes::references(volume);
            let maps = found.config_maps.into_iter().map(named(Kind::ConfigMap));
            let secrets = found.secrets.into_iter().map(named(Kind::Secret));
            maps.chain(secrets).chain(found.claims.into_iter().map(named(Kind::Claim)))
        })
        .collect()
}

/// Who refers to what, and a watch of each.
pub struct Followed {
    client: Client,
    sleeper: Sleeper,
    /// Told of every change.
    changed: mpsc::UnboundedSender<Source>,
    watches: BTreeMap<Source, Watching>,
}

struct Watching {
    by: BTreeSet<PodUid>,
    task: JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Followed {
    /// Nothing yet. Changes are told to the receiver.
    pub fn new(client: Client, sleeper: Sleeper) -> (Self, mpsc::UnboundedReceiver<Source>) {
        let (changed, told) = mpsc::unbounded_channel();
        (Followed { client, sleeper, changed, watches: BTreeMap::new() }, told)
    }

    /// Follows what the Pod refers to, as long as there is the Pod.
    pub fn add(&mut self, uid: &PodUid, pod: &Pod) {
        for source in sources(pod) {
            let watching = self.watches.entry(source.clone()).or_insert_with(|| {
                let follow = Follow {
                    client: self.client.clone(),
                    sleeper: self.sleeper.clone(),
                    changed: self.changed.clone(),
                    source,
                    revision: pod.metadata.resource_version.clone(),
                };
                Watching { by: BTreeSet::new(), task: tokio::spawn(follow.run()) }
            });
            watching.by.insert(uid.clone());
        }
    }

    /// The Pod is no more.
    pub fn remove(&mut self, uid: &PodUid) {
        self.watches.retain(|_, watching| {
            watching.by.remove(uid);
            !watching.by.is_empty()
        });
    }
}

/// A watch of one object.
struct Follow {
    client: Client,
    sleeper: Sleeper,
    changed: mpsc::UnboundedSender<Source>,
    source: Source,
    /// What happened up to here is known; None when that is too long ago.
    revision: Option<String>,
}

impl Follow {
    async fn run(self) {
        match self.source.kind {
            Kind::ConfigMap => self.of::<ConfigMap>().await,
            Kind::Secret => self.of::<Secret>().await,
            Kind::Claim => self.of::<PersistentVolumeClaim>().await,
        }
    }

    async fn of<K: Object>(mut self) {
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        loop {
            let before = self.revision.clone();
            match self.turn::<K>().await {
                // The server ends watches after a while; one that brought something is opened again at once.
                Ok(()) if self.revision != before => {
                    backoff.reset();
                    continue;
                }
                Err(error) if error.is_gone() => self.revision = None,
                Ok(()) => backoff.reset(),
                Err(error) => tracing::debug!(source = ?self.source, %error, "watching failed, trying again"),
            }
            self.sleeper.sleep(backoff.step()).await;
        }
    }

    /// One watch, to its end.
    async fn turn<K: Object>(&mut self) -> Result<(), Error> {
        let mut options = ListOptions::default().fields(format!("metadata.name={}", self.source.name));
        if self.revision.is_none() {
            let list = self.client.list::<K>(self.source.namespace.as_str(), &options).await?;
            self.revision = list.metadata.resource_version;
            self.tell();
        }
        options.resource_version.clone_from(&self.revision);
        let mut watch = self.client.watch::<K>(self.source.namespace.as_str(), &options).await?;
        while let Some(event) = watch.next().await? {
            match event {
                WatchEvent::Bookmark { resource_version } => self.revision = Some(resource_version),
                WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
                    self.revision.clone_from(&object.metadata().resource_version);
                    self.tell();
                }
            }
        }
        Ok(())
    }

    /// The kubelet may be ending: then nobody has to know.
    fn tell(&self) {
        let _ = self.changed.send(self.source.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_several_volumes_refer_to_is_followed_once() {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"namespace": "a"}, "spec": {"containers": [], "volumes": [
            {"name": "one", "configMap": {"name": "m"}},
            {"name": "two", "projected": {"sources": [{"configMap": {"name": "m"}}, {"secret": {"name": "s"}}]}},
            {"name": "three", "persistentVolumeClaim": {"claimName": "c"}},
            {"name": "four", "emptyDir": {}}]}}))
            .unwrap();
        let told: Vec<_> = sources(&pod).into_iter().map(|found| (found.kind, found.namespace, found.name)).collect();
        let expected = [(Kind::ConfigMap, "m"), (Kind::Secret, "s"), (Kind::Claim, "c")];
        assert_eq!(told, expected.map(|(kind, name)| (kind, "a".to_owned(), name.to_owned())));
    }
}
