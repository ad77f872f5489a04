//! A Pod whose claims wait for it: its node is chosen with them in view, they are bound first, and the Pod then
//! (k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding: AssumePodVolumes, BindPodVolumes).
//!
//! What was decided is in the snapshot at once, like the place of the Pod, so that nobody else is given the same volume.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use podlab_client::cache::Key;
use podlab_client::events::reference;
use podlab_client::{Client, Error, Object, Patch};
use podlab_runtime::scheduler::Snapshot;
use podlab_runtime::scheduler::filters::Step;
use podlab_runtime::scheduler::persistent::{SELECTED_NODE, annotation, is_bound, is_free, named_volume};
use serde_json::json;

use crate::volume_binder::write_claim;

/// How long a Pod's volumes may take (the scheduler's bindTimeoutSeconds).
const PATIENCE: Duration = Duration::from_secs(600);

/// The Pods that have a node, and whose claims are being bound.
#[derive(Default)]
pub(super) struct Waiting {
    pods: HashMap<Key, One>,
}

struct One {
    pod: Arc<Pod>,
    node: String,
    steps: Vec<Step>,
    until: Duration,
}

/// What became of a Pod that waited.
pub(super) enum Outcome {
    /// Its claims are bound: to the Pod, and to its node.
    Bound(Arc<Pod>, String),
    /// They were not in time, or are gone.
    Failed(Arc<Pod>),
}

impl Waiting {
    /// Begins to wait.
    pub(super) fn add(
        &mut self,
        key: Key,
        pod: Arc<Pod>,
        node: String,
        steps: Vec<Step>,
        now: Duration,
        snapshot: &mut Snapshot,
    ) {
        self.pods.insert(key, One { pod, node, steps, until: now + PATIENCE });
        self.assume(snapshot);
    }

    /// The Pod is gone, or its volumes could not be had. Returns what had been decided.
    pub(super) fn remove(&mut self, key: &Key) -> Vec<Step> {
        self.pods.remove(key).map(|one| one.steps).unwrap_or_default()
    }

    /// Puts what was decided into the snapshot again, where the API does not say it yet.
    pub(super) fn assume(&self, snapshot: &mut Snapshot) {
        for one in self.pods.values() {
            for step in &one.steps {
                match step {
                    Step::Bind { claim, volume } => reserve(claim, volume.name(), snapshot),
                    Step::Provision { claim } => promise(claim, &one.node, snapshot),
                }
            }
        }
    }

    /// Takes out those whose wait is over.
    pub(super) fn take(&mut self, snapshot: &Snapshot, now: Duration) -> Vec<(Key, Outcome)> {
        let mut outcomes = Vec::new();
        self.pods.retain(|key, one| {
            let claims = one.steps.iter().map(|step| snapshot.claims.get(&name_of(claim_of(step))));
            let (mut bound, mut gone) = (true, false);
            for claim in claims {
                let volume = |claim| named_volume(claim).and_then(|name| snapshot.volumes.get(name));
                bound &= claim.is_some_and(|claim| is_bound(claim) && volume(claim).is_some());
                gone |= claim.is_none_or(|claim| claim.metadata.deletion_timestamp.is_some());
            }
            let outcome = if bound {
                Outcome::Bound(one.pod.clone(), one.node.clone())
            } else if gone || one.until <= now {
                Outcome::Failed(one.pod.clone())
            } else {
                return true;
            };
            outcomes.push((key.clone(), outcome));
            false
        });
        outcomes
    }

    /// When the first of them has waited too long.
    pub(super) fn due(&self) -> Option<Duration> {
        self.pods.values().map(|one| one.until).min()
    }
}

fn claim_of(step: &Step) -> &PersistentVolumeClaim {
    match step {
        Step::Bind { claim, .. } | Step::Provision { claim } => claim,
    }
}

fn name_of(claim: &PersistentVolumeClaim) -> (String, String) {
    (claim.namespace().unwrap_or_default().to_owned(), claim.name().to_owned())
}

fn reserve(claim: &PersistentVolumeClaim, volume: &str, snapshot: &mut Snapshot) {
    let Some(known) = snapshot.volumes.get_mut(volume).filter(|volume| is_free(volume)) else { return };
    let mut reference = reference(claim);
    reference.field_path = None;
    Arc::make_mut(known).spec.get_or_insert_default().claim_ref = Some(reference);
}

fn promise(claim: &PersistentVolumeClaim, node: &str, snapshot: &mut Snapshot) {
    let Some(known) = snapshot.claims.get_mut(&name_of(claim)) else { return };
    if annotation(known, SELECTED_NODE).is_none() {
        let annotations = Arc::make_mut(known).metadata.annotations.get_or_insert_default();
        annotations.insert(SELECTED_NODE.to_owned(), node.to_owned());
    }
}

/// Writes what was decided. The controller of volumes, and the provisioner, do the rest.
pub(super) async fn write(client: &Client, steps: &[Step], node: &str) -> Result<(), Error> {
    for step in steps {
        match step {
            Step::Bind { claim, volume } => {
                write_claim(client, volume, claim).await?;
            }
            Step::Provision { claim } => {
                let patch = Patch::Merge(json!({
                    "metadata": { "uid": claim.metadata.uid, "annotations": { SELECTED_NODE: node } },
                }));
                client.patch::<PersistentVolumeClaim>(claim.namespace(), claim.name(), &patch, None).await?;
            }
        }
    }
    Ok(())
}
