//! What an object owns goes with it (k8s.io/kubernetes/pkg/controller/garbagecollector).
//!
//! Three ways to delete an owner. *Background*: it is gone at once, and what it owned is found without an owner here.
//! *Foreground*: it stays, with the finalizer `foregroundDeletion`, until what blocks it is gone. *Orphan*: it stays, with
//! the finalizer `orphan`, until what it owned has forgotten it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use podlab_client::cache::{Change, Key};
use podlab_client::{DeleteOptions, Error, Object, Patch, Path, Propagation};
use serde_json::{Value, json};

use crate::context::Context;
use crate::queue::WorkQueue;
use crate::worker::{Again, feed, settled, work};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// What is known of an object: enough to decide, and to find it.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    path: Path,
    uid: String,
    owners: Vec<OwnerReference>,
    deleting: bool,
    finalizers: Vec<String>,
    revision: Option<String>,
}

/// All objects by uid.
#[derive(Debug, Default)]
pub struct Graph {
    objects: BTreeMap<String, Known>,
    /// By the owner's uid, whether the owner is there or not.
    owned: BTreeMap<String, BTreeSet<String>>,
}

/// What to do about an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Nothing,
    /// Its owners are gone, or one of them waits for it to go.
    Delete(Propagation),
    /// Some of its owners are gone: only these stay.
    KeepOwners(Vec<OwnerReference>),
    /// What the object owned has gone, or forgotten it.
    DropFinalizer(&'static str),
    /// The objects (by uid) that have to forget it first.
    Release(Vec<String>),
}

impl Graph {
    fn dependents(&self, uid: &str) -> impl Iterator<Item = &Known> {
        self.owned.get(uid).into_iter().flatten().filter_map(|owned| self.objects.get(owned))
    }

    /// Decides about an object. `exists` tells whether an owner that is not in the graph is in the cluster all the same.
    #[must_use]
    pub fn step(&self, uid: &str, exists: impl Fn(&OwnerReference) -> bool) -> Step {
        let Some(object) = self.objects.get(uid) else { return Step::Nothing };
        let has = |finalizer: &str| object.finalizers.iter().any(|known| known == finalizer);
        if object.deleting && has(ORPHAN) {
            let owned: Vec<String> = self.dependents(uid).map(|known| known.uid.clone()).collect();
            return if owned.is_empty() { Step::DropFinalizer(ORPHAN) } else { Step::Release(owned) };
        }
        if object.deleting && has(FOREGROUND) {
            let blocked = self
                .dependents(uid)
                .flat_map(|known| &known.owners)
                .any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true));
            return if blocked { Step::Nothing } else { Step::DropFinalizer(FOREGROUND) };
        }
        if object.deleting || object.owners.is_empty() {
            return Step::Nothing;
        }
        let waits = |owner: &OwnerReference| {
            let known = self.objects.get(&owner.uid);
            known.is_some_and(|known| known.deleting && known.finalizers.iter().any(|name| name == FOREGROUND))
        };
        let (alive, gone): (Vec<&OwnerReference>, Vec<&OwnerReference>) =
            object.owners.iter().partition(|owner| self.objects.contains_key(&owner.uid) || exists(owner));
        let (waiting, solid): (Vec<&OwnerReference>, Vec<&OwnerReference>) =
            alive.into_iter().partition(|owner| waits(owner));
        if !solid.is_empty() {
            let keep: Vec<OwnerReference> = solid.into_iter().cloned().collect();
            return if gone.is_empty() && waiting.is_empty() { Step::Nothing } else { Step::KeepOwners(keep) };
        }
        // With a waiting owner, what the object itself owns has to go before it, too.
        let owns_some = self.dependents(uid).next().is_some();
        Step::Delete(if !waiting.is_empty() && owns_some { Propagation::Foreground } else { Propagation::Background })
    }

    /// Takes note of an object, and tells whose step may be another now.
    fn set(&mut self, uid: &str, new: Option<Known>) -> Vec<String> {
        let old = match new.clone() {
            Some(known) => self.objects.insert(uid.to_owned(), known),
            None => self.objects.remove(uid),
        };
        let unchanged = matches!((&old, &new), (Some(old), Some(new))
            if old.owners == new.owners && old.deleting == new.deleting && old.finalizers == new.finalizers);
        if unchanged {
            return Vec::new();
        }
        for owner in old.iter().flat_map(|known| &known.owners) {
            if let Some(owned) = self.owned.get_mut(&owner.uid) {
                owned.remove(uid);
                if owned.is_empty() {
                    self.owned.remove(&owner.uid);
                }
            }
        }
        for owner in new.iter().flat_map(|known| &known.owners) {
            self.owned.entry(owner.uid.clone()).or_default().insert(uid.to_owned());
        }
        let owners = old.iter().chain(&new).flat_map(|known| &known.owners).map(|owner| owner.uid.clone());
        let going = new.as_ref().is_none_or(|known| known.deleting);
        let dependents = self.owned.get(uid).into_iter().flatten().filter(|_| going).cloned();
        owners.chain(dependents).chain([uid.to_owned()]).collect()
    }
}

impl Known {
    fn of<K: Object>(object: &K) -> Self {
        let metadata: &ObjectMeta = object.metadata();
        Known {
            path: Path::object::<K>(object.namespace(), object.name()),
            uid: object.uid().to_owned(),
            owners: metadata.owner_references.clone().unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
            revision: metadata.resource_version.clone(),
        }
    }
}

/// Runs the controller over the kinds that own or are owned.
pub async fn run(context: Context) {
    let graph = Mutex::new(Graph::default());
    let queue = WorkQueue::default();
    macro_rules! follow {
        ($($kind:ty),*) => {{
            // Judged before all are known, an owner would be missed.
            tokio::join!($(async { context.cache::<$kind>().synced().await }),*);
            tokio::join!(
                $(feed(context.cache::<$kind>(), &queue, |change| note(&graph, change)),)*
                work("garbage collector", &queue, &context.time, async |key: Key| deal(&context, &graph, &key.name).await),
            );
        }};
    }
    follow!(
        Pod,
        ReplicaSet,
        Deployment,
        Service,
        Endpoints,
        EndpointSlice,
        ConfigMap,
        Secret,
        ServiceAccount,
        PersistentVolumeClaim
    );
}

/// Keys in this queue are uids.
fn note<K: Object>(graph: &Mutex<Graph>, change: &Change<K>) -> Vec<Key> {
    let mut graph = graph.lock().unwrap_or_else(PoisonError::into_inner);
    let mut touched = Vec::new();
    if let Some(old) = &change.old
        && change.new.as_ref().is_none_or(|new| new.uid() != old.uid())
    {
        touched.extend(graph.set(old.uid(), None));
    }
    if let Some(new) = &change.new {
        touched.extend(graph.set(new.uid(), Some(Known::of(new.as_ref()))));
    }
    touched.into_iter().map(|uid| Key::new("", uid)).collect()
}

async fn deal(context: &Context, graph: &Mutex<Graph>, uid: &str) -> Result<Again, Error> {
    let Some((object, unknown)) = ({
        let graph = graph.lock().unwrap_or_else(PoisonError::into_inner);
        graph.objects.get(uid).map(|object| {
            let unknown = object.owners.iter().filter(|owner| !graph.objects.contains_key(&owner.uid));
            (object.clone(), unknown.cloned().collect::<Vec<_>>())
        })
    }) else {
        return Ok(Again::No);
    };
    let mut found = Vec::new();
    for owner in &unknown {
        if is_there(context, &object, owner).await? {
            found.push(owner.uid.clone());
        }
    }
    let (step, owned) = {
        let graph = graph.lock().unwrap_or_else(PoisonError::into_inner);
        let step = graph.step(uid, |owner| found.contains(&owner.uid));
        let owned: Vec<Known> = match &step {
            Step::Release(uids) => uids.iter().filter_map(|uid| graph.objects.get(uid)).cloned().collect(),
            _ => Vec::new(),
        };
        (step, owned)
    };
    let client = &context.client;
    match step {
        Step::Nothing => {}
        Step::Delete(propagation) => {
            let options = DeleteOptions::of_uid(uid).propagation(propagation);
            settled(client.delete_at(&object.path, &options).await)?;
        }
        Step::KeepOwners(owners) => settled(set_metadata(context, &object, "ownerReferences", json!(owners)).await)?,
        Step::DropFinalizer(finalizer) => {
            let left: Vec<&String> = object.finalizers.iter().filter(|name| *name != finalizer).collect();
            settled(set_metadata(context, &object, "finalizers", json!(left)).await)?;
        }
        Step::Release(_) => {
            for owned in owned {
                let left: Vec<&OwnerReference> = owned.owners.iter().filter(|owner| owner.uid != uid).collect();
                settled(set_metadata(context, &owned, "ownerReferences", json!(left)).await)?;
            }
        }
    }
    Ok(Again::No)
}

/// Replaces a field of an object's metadata, unless the object was changed since it was looked at.
async fn set_metadata(context: &Context, object: &Known, field: &str, value: Value) -> Result<Value, Error> {
    let metadata = json!({ "uid": object.uid, "resourceVersion": object.revision, field: value });
    context.client.patch_at(&object.path, &Patch::Merge(json!({ "metadata": metadata }))).await
}

/// Asks the server for an owner of a kind that is not followed here, a Node say.
async fn is_there(context: &Context, object: &Known, owner: &OwnerReference) -> Result<bool, Error> {
    let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
    // The plural of every kind the server has is made by this rule; a kind it does not have is not there.
    let lower = owner.kind.to_lowercase();
    let plural = match lower.as_bytes() {
        [.., b's'] if lower != "endpoints" => format!("{lower}es"),
        [.., b's'] => lower,
        [.., b'y'] => format!("{}ies", &lower[..lower.len() - 1]),
        _ => format!("{lower}s"),
    };
    let namespace = object.path.namespace();
    for namespace in [namespace, None] {
        let path = Path::collection_of(group, version, namespace, &plural).segment(&owner.name);
        match context.client.get_at::<Value>(&path).await {
            Ok(found) => return Ok(found["metadata"]["uid"].as_str() == Some(&owner.uid)),
            Err(error) if error.is_not_found() || matches!(error.code(), Some(400 | 405)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(uid: &str, block: bool) -> OwnerReference {
        OwnerReference { uid: uid.to_owned(), block_owner_deletion: Some(block), ..OwnerReference::default() }
    }

    fn known(uid: &str, owners: Vec<OwnerReference>, finalizers: Option<&[&str]>) -> Known {
        Known {
            path: Path::new("/"),
            uid: uid.to_owned(),
            owners,
            deleting: finalizers.is_some(),
            finalizers: finalizers.unwrap_or_default().iter().map(|name| (*name).to_owned()).collect(),
            revision: None,
        }
    }

    fn graph(objects: impl IntoIterator<Item = Known>) -> Graph {
        let mut graph = Graph::default();
        for known in objects {
            graph.set(&known.uid.clone(), Some(known));
        }
        graph
    }

    fn step(graph: &Graph, uid: &str) -> Step {
        graph.step(uid, |_| false)
    }

    #[test]
    fn without_its_owners_an_object_goes() {
        let lone = graph([known("pod", vec![owner("set", true)], None)]);
        assert_eq!(step(&lone, "pod"), Step::Delete(Propagation::Background));
        assert_eq!(lone.step("pod", |_| true), Step::Nothing, "the server still has the owner");
        let half =
            graph([known("pod", vec![owner("set", true), owner("gone", true)], None), known("set", vec![], None)]);
        assert_eq!(step(&half, "pod"), Step::KeepOwners(vec![owner("set", true)]));
        assert_eq!(step(&half, "set"), Step::Nothing);
    }

    #[test]
    fn in_the_foreground_the_owner_goes_last() {
        let mut graph = graph([
            known("deployment", vec![], Some(&[FOREGROUND])),
            known("set", vec![owner("deployment", true)], None),
            known("pod", vec![owner("set", true)], None),
        ]);
        assert_eq!(step(&graph, "deployment"), Step::Nothing);
        assert_eq!(step(&graph, "set"), Step::Delete(Propagation::Foreground));
        graph.set("set", Some(known("set", vec![owner("deployment", true)], Some(&[FOREGROUND]))));
        assert_eq!(step(&graph, "pod"), Step::Delete(Propagation::Background));
        graph.set("pod", None);
        assert_eq!(step(&graph, "set"), Step::DropFinalizer(FOREGROUND));
        let touched = graph.set("set", None);
        assert!(touched.contains(&"deployment".to_owned()));
        assert_eq!(step(&graph, "deployment"), Step::DropFinalizer(FOREGROUND));
    }

    #[test]
    fn orphans_forget_their_owner_first() {
        let mut graph = graph([known("set", vec![], Some(&[ORPHAN])), known("pod", vec![owner("set", true)], None)]);
        assert_eq!(step(&graph, "set"), Step::Release(vec!["pod".to_owned()]));
        graph.set("pod", Some(known("pod", vec![], None)));
        assert_eq!(step(&graph, "set"), Step::DropFinalizer(ORPHAN));
        assert_eq!(step(&graph, "pod"), Step::Nothing);
    }
}
