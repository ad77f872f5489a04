//! A claim gets a volume that is large enough, and a volume has one claim
//! (k8s.io/kubernetes/pkg/controller/volume/persistentvolume).
//!
//! A binding is written on both sides, the volume's first: `claimRef` there, `volumeName` on the claim. If we die between
//! the two, the next turn finds the volume reserved for the claim and goes on.

mod decide;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use podlab_client::cache::Key;
use podlab_client::events::{EventType, Recorder, reference};
use podlab_client::{Cache, Client, Error, Object, Patch};
use podlab_runtime::scheduler::persistent::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, annotation, claim_ref, class_of, named_volume,
};
use serde_json::{Value, json};

use crate::context::Context;
use crate::objects::node_of;
use crate::queue::WorkQueue;
use crate::volume_protection::claims as claims_of;
use crate::worker::{Again, feed, itself, work};

pub use decide::{PROVISIONED_BY, Reclaim, Wait, choose, default_class, is_temporary, phase, reclaim, wait};

/// Who is to make a claim's volume, on the claim; the first is the older name, which is still written.
pub const PROVISIONER: [&str; 2] =
    ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];

/// Runs the controller.
pub async fn run(context: Context) {
    let (claim_queue, volume_queue) = (WorkQueue::default(), WorkQueue::default());
    let (claims, volumes) = (context.cache::<PersistentVolumeClaim>(), context.cache::<PersistentVolume>());
    let (classes, pods) = (context.cache::<StorageClass>(), context.cache::<Pod>());
    tokio::join!(claims.synced(), volumes.synced(), classes.synced(), pods.synced());
    let binder = Binder {
        recorder: context.recorder("persistentvolume-controller"),
        context: context.clone(),
        claims: claims.clone(),
        volumes: volumes.clone(),
        classes: classes.clone(),
        pods,
    };
    let unbound =
        || claims.all().iter().filter(|claim| !is_settled(claim)).map(|claim| Key::of(claim.as_ref())).collect();
    tokio::join!(
        feed(claims.clone(), &claim_queue, itself),
        // A volume may suit any claim that still waits, and a class may be what it waits for.
        feed(volumes.clone(), &claim_queue, |change| {
            let mut keys: Vec<Key> = unbound();
            // A claim whose volume is gone is to hear of it.
            if let (None, Some(reference)) = (&change.new, change.old.as_deref().and_then(claim_ref)) {
                let namespace = reference.namespace.clone().unwrap_or_default();
                keys.push(Key::new(namespace, reference.name.clone().unwrap_or_default()));
            }
            keys
        }),
        feed(classes.clone(), &claim_queue, |_| unbound()),
        feed(volumes.clone(), &volume_queue, itself),
        feed(claims.clone(), &volume_queue, |change| {
            let names =
                change.old.iter().chain(&change.new).filter_map(|claim| claim.spec.as_ref()?.volume_name.clone());
            names.map(|name| Key::new("", name)).collect()
        }),
        work("claims", &claim_queue, &context.time, async |key: Key| binder.claim(&key).await),
        work("volumes", &volume_queue, &context.time, async |key: Key| binder.volume(&key).await),
    );
}

/// Whether a claim was bound, and its status says what became of it.
fn is_settled(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    annotation(claim, BIND_COMPLETED).is_some() && matches!(phase, Some("Bound" | "Lost"))
}

/// Writes on a volume whose it is, if it is still as it was seen; the claim's side comes later.
///
/// # Errors
///
/// What the server answers: a conflict when somebody was faster.
pub(crate) async fn write_claim(
    client: &Client,
    volume: &PersistentVolume,
    claim: &PersistentVolumeClaim,
) -> Result<PersistentVolume, Error> {
    let mut reference = reference(claim);
    reference.field_path = None;
    let patch = Patch::Merge(json!({
        "metadata": {
            "resourceVersion": volume.metadata.resource_version,
            "annotations": { BOUND_BY_CONTROLLER: "yes" },
        },
        "spec": { "claimRef": reference },
    }));
    client.patch(None, volume.name(), &patch, None).await
}

struct Binder {
    context: Context,
    recorder: Recorder,
    claims: Cache<PersistentVolumeClaim>,
    volumes: Cache<PersistentVolume>,
    classes: Cache<StorageClass>,
    pods: Cache<Pod>,
}

impl Binder {
    async fn claim(&self, key: &Key) -> Result<Again, Error> {
        let Some(claim) = self.claims.get_key(key) else { return Ok(Again::No) };
        if is_settled(&claim) {
            self.look_for_lost(&claim).await?;
            return Ok(Again::No);
        }
        if claim.metadata.deletion_timestamp.is_some() {
            return Ok(Again::No);
        }
        let class = self.classes.get(None, class_of(&claim));
        let volumes = self.volumes.all();
        match choose(&claim, class.as_deref(), &volumes) {
            Some(volume) => self.bind(key, &claim, volume).await?,
            None => self.tell(&claim, class.as_deref()).await?,
        }
        Ok(Again::No)
    }

    /// Writes a binding, on both sides.
    async fn bind(&self, key: &Key, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Result<(), Error> {
        let client = &self.context.client;
        let volume = if claim_ref(volume).and_then(|reference| reference.uid.as_deref()) == Some(claim.uid()) {
            volume.clone()
        } else {
            let new = write_claim(client, volume, claim).await?;
            self.volumes.insert(new.clone());
            new
        };
        let patch = Patch::Merge(json!({
            "metadata": { "annotations": { BIND_COMPLETED: "yes", BOUND_BY_CONTROLLER: "yes" } },
            "spec": { "volumeName": volume.name() },
        }));
        client.patch::<PersistentVolumeClaim>(key.namespace.as_str(), &key.name, &patch, None).await?;
        let spec = volume.spec.unwrap_or_default();
        let status = json!({ "phase": "Bound", "accessModes": spec.access_modes, "capacity": spec.capacity });
        self.set_claim_status(claim, status).await
    }

    /// Says what a claim waits for: in an event, and to the provisioner that is to make its volume.
    async fn tell(&self, claim: &PersistentVolumeClaim, class: Option<&StorageClass>) -> Result<(), Error> {
        let client = &self.context.client;
        let named = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref());
        if named.is_none()
            && named_volume(claim).is_none()
            && let Some(default) = default_class(&self.classes.all())
        {
            // It came before there was a default. The change brings it here again.
            let patch = Patch::Merge(json!({ "spec": { "storageClassName": default.name() } }));
            client.patch::<PersistentVolumeClaim>(claim.namespace(), claim.name(), &patch, None).await?;
            return Ok(());
        }
        match wait(claim, class, &self.pods_for(claim)) {
            Wait::Named => {}
            Wait::Told(kind, reason, message) => self.recorder.event(&reference(claim), kind, reason, &message),
            Wait::Provisioner(provisioner) if annotation(claim, PROVISIONER[1]) == Some(provisioner.as_str()) => {}
            Wait::Provisioner(provisioner) => {
                let annotations = json!({ PROVISIONER[0]: provisioner, PROVISIONER[1]: provisioner });
                let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
                client.patch::<PersistentVolumeClaim>(claim.namespace(), claim.name(), &patch, None).await?;
                let message = format!(
                    "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually \
                     by the system administrator. If volume creation is delayed, please verify that the provisioner is \
                     running and correctly registered."
                );
                self.recorder.event(&reference(claim), EventType::Normal, "ExternalProvisioning", &message);
            }
        }
        Ok(())
    }

    /// The Pods that use a claim, and have no node.
    fn pods_for(&self, claim: &PersistentVolumeClaim) -> Vec<String> {
        let pods = self.pods.in_namespace(claim.namespace().unwrap_or_default());
        let wait = pods.iter().filter(|pod| node_of(pod).is_none() && claims_of(pod).any(|name| name == claim.name()));
        wait.map(|pod| pod.name().to_owned()).collect()
    }

    /// A claim that was bound says it when its volume is gone.
    async fn look_for_lost(&self, claim: &PersistentVolumeClaim) -> Result<(), Error> {
        let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
        let volume = named_volume(claim).and_then(|name| self.volumes.get(None, name));
        if phase == Some("Lost") || volume.is_some() {
            return Ok(());
        }
        self.set_claim_status(claim, json!({ "phase": "Lost", "accessModes": null, "capacity": null })).await?;
        let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
        self.recorder.event(&reference(claim), EventType::Warning, "ClaimLost", message);
        Ok(())
    }

    async fn set_claim_status(&self, claim: &PersistentVolumeClaim, status: Value) -> Result<(), Error> {
        let patch = Patch::Merge(json!({ "status": status }));
        let client = &self.context.client;
        let new =
            client.patch::<PersistentVolumeClaim>(claim.namespace(), claim.name(), &patch, Some("status")).await?;
        self.claims.insert(new);
        Ok(())
    }

    async fn volume(&self, key: &Key) -> Result<Again, Error> {
        let Some(volume) = self.volumes.get_key(key) else { return Ok(Again::No) };
        let claim = claim_ref(&volume)
            .and_then(|reference| self.claims.get(reference.namespace.as_deref(), reference.name.as_deref()?));
        if decide::is_elsewhere(&volume, claim.as_deref()) && decide::is_ours(&volume) {
            // It was to be the claim's, which got another one.
            let patch = Patch::Merge(json!({
                "metadata": {
                    "resourceVersion": volume.metadata.resource_version,
                    "annotations": { BOUND_BY_CONTROLLER: null },
                },
                "spec": { "claimRef": null },
            }));
            let new = self.context.client.patch::<PersistentVolume>(None, &key.name, &patch, None).await?;
            self.volumes.insert(new);
            return Ok(Again::No);
        }
        let wanted = phase(&volume, claim.as_deref());
        self.set_phase(&volume, wanted, None).await?;
        if wanted == "Released"
            && let Reclaim::Failed(reason, message) = reclaim(&volume)
        {
            self.set_phase(&volume, "Failed", Some(&message)).await?;
            self.recorder.event(&reference(volume.as_ref()), EventType::Warning, reason, &message);
        }
        Ok(Again::No)
    }

    async fn set_phase(&self, volume: &PersistentVolume, phase: &str, message: Option<&str>) -> Result<(), Error> {
        if volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase) {
            return Ok(());
        }
        let since: Value = json!(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.context.time.now()));
        let status = json!({ "phase": phase, "message": message, "lastPhaseTransitionTime": since });
        let patch = Patch::Merge(json!({ "status": status }));
        let new = self.context.client.patch::<PersistentVolume>(None, volume.name(), &patch, Some("status")).await?;
        self.volumes.insert(new);
        Ok(())
    }
}
