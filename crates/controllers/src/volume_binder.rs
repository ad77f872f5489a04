//! A claim gets a volume that is large enough, and a volume has one claim
//! (k8s.io/kubernetes/pkg/controller/volume/persistentvolume).
//!
//! A binding is written on both sides, the volume's first: `claimRef` there, `volumeName` on the claim. If we die between
//! the two, the next turn finds the volume reserved for the claim and goes on.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use podlab_api::quantity::Quantity;
use podlab_client::cache::Key;
use podlab_client::events::{EventType, Recorder, reference};
use podlab_client::{Cache, Error, Object, Patch};
use podlab_runtime::scheduler::selector;
use serde_json::{Value, json};

use crate::context::Context;
use crate::queue::WorkQueue;
use crate::worker::{Again, feed, itself, work};

const COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BY_US: &str = "pv.kubernetes.io/bound-by-controller";

/// The volume for a claim: one that is reserved for it, or the smallest that will do.
#[must_use]
pub fn choose<'a>(
    claim: &PersistentVolumeClaim,
    volumes: &'a [Arc<PersistentVolume>],
) -> Option<&'a Arc<PersistentVolume>> {
    let named = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).filter(|name| !name.is_empty());
    if let Some(name) = named {
        return volumes.iter().find(|volume| volume.name() == name && (is_for(volume, claim) || is_free(volume)));
    }
    volumes
        .iter()
        .find(|volume| is_for(volume, claim))
        .or_else(|| volumes.iter().filter(|volume| is_free(volume) && suits(volume, claim)).min_by_key(|one| size(one)))
}

/// Whether a volume has what a claim asks for.
fn suits(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let (Some(has), Some(wants)) = (&volume.spec, &claim.spec) else { return false };
    let class = |name: &Option<String>| name.clone().unwrap_or_default();
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".to_owned());
    let offered = has.access_modes.as_deref().unwrap_or_default();
    let labels = volume.metadata.labels.clone().unwrap_or_default();
    let wanted = wants.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage"));
    let wanted = wanted.and_then(|quantity| Quantity::parse(&quantity.0).ok()).map_or(0, |quantity| quantity.value());
    volume.metadata.deletion_timestamp.is_none()
        && class(&has.storage_class_name) == class(&wants.storage_class_name)
        && mode(&has.volume_mode) == mode(&wants.volume_mode)
        && wants.access_modes.iter().flatten().all(|mode| offered.contains(mode))
        && wants.selector.as_ref().is_none_or(|selector| selector::matches(selector, &labels))
        && size(volume) >= wanted
}

fn size(volume: &PersistentVolume) -> i64 {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()?.get("storage"));
    capacity.and_then(|quantity| Quantity::parse(&quantity.0).ok()).map_or(0, |quantity| quantity.value())
}

fn claim_ref(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref())
}

fn is_free(volume: &PersistentVolume) -> bool {
    claim_ref(volume).is_none()
}

/// Whether a volume is reserved for a claim: by its uid, or, by an administrator, by name only.
fn is_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    claim_ref(volume).is_some_and(|reference| {
        reference.namespace.as_deref() == claim.namespace()
            && reference.name.as_deref() == Some(claim.name())
            && reference.uid.as_deref().is_none_or(|uid| uid.is_empty() || uid == claim.uid())
    })
}

/// What a volume's phase should be.
#[must_use]
pub fn phase(volume: &PersistentVolume, claim: Option<&PersistentVolumeClaim>) -> &'static str {
    match (claim_ref(volume), claim) {
        (None, _) => "Available",
        // Reserved by an administrator, and the claim has yet to come.
        (Some(reference), None) if reference.uid.as_deref().is_none_or(str::is_empty) => "Available",
        (Some(_), Some(claim)) if is_for(volume, claim) => "Bound",
        _ => "Released",
    }
}

/// Runs the controller.
pub async fn run(context: Context) {
    let (claim_queue, volume_queue) = (WorkQueue::default(), WorkQueue::default());
    let (claims, volumes) = (context.cache::<PersistentVolumeClaim>(), context.cache::<PersistentVolume>());
    tokio::join!(claims.synced(), volumes.synced());
    let binder = Binder {
        recorder: context.recorder("persistentvolume-controller"),
        context: context.clone(),
        claims: claims.clone(),
        volumes: volumes.clone(),
    };
    tokio::join!(
        feed(claims.clone(), &claim_queue, itself),
        // A volume may suit any claim that still waits.
        feed(volumes.clone(), &claim_queue, |_| {
            claims.all().iter().filter(|claim| !is_bound(claim)).map(|claim| Key::of(claim.as_ref())).collect()
        }),
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

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    let annotations = claim.metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(COMPLETED))
        && claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

struct Binder {
    context: Context,
    recorder: Recorder,
    claims: Cache<PersistentVolumeClaim>,
    volumes: Cache<PersistentVolume>,
}

impl Binder {
    async fn claim(&self, key: &Key) -> Result<Again, Error> {
        let Some(claim) = self.claims.get_key(key) else { return Ok(Again::No) };
        if is_bound(&claim) || claim.metadata.deletion_timestamp.is_some() {
            return Ok(Again::No);
        }
        let volumes = self.volumes.all();
        let Some(volume) = choose(&claim, &volumes) else {
            let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
            if class.is_empty() {
                let message = "no persistent volumes available for this claim and no storage class is set";
                self.recorder.event(&reference(claim.as_ref()), EventType::Normal, "FailedBinding", message);
            }
            return Ok(Again::No);
        };
        let client = &self.context.client;
        let volume = if claim_ref(volume).and_then(|reference| reference.uid.as_deref()) == Some(claim.uid()) {
            volume.as_ref().clone()
        } else {
            let mut reference = reference(claim.as_ref());
            reference.field_path = None;
            let patch = Patch::Merge(json!({
                "metadata": { "resourceVersion": volume.metadata.resource_version, "annotations": { BY_US: "yes" } },
                "spec": { "claimRef": reference },
            }));
            let new = client.patch::<PersistentVolume>(None, volume.name(), &patch, None).await?;
            self.volumes.insert(new.clone());
            new
        };
        let patch = Patch::Merge(json!({
            "metadata": { "annotations": { COMPLETED: "yes", BY_US: "yes" } },
            "spec": { "volumeName": volume.name() },
        }));
        client.patch::<PersistentVolumeClaim>(key.namespace.as_str(), &key.name, &patch, None).await?;
        let spec = volume.spec.clone().unwrap_or_default();
        let status = json!({ "phase": "Bound", "accessModes": spec.access_modes, "capacity": spec.capacity });
        let patch = Patch::Merge(json!({ "status": status }));
        let new =
            client.patch::<PersistentVolumeClaim>(key.namespace.as_str(), &key.name, &patch, Some("status")).await?;
        self.claims.insert(new);
        Ok(Again::No)
    }

    async fn volume(&self, key: &Key) -> Result<Again, Error> {
        let Some(volume) = self.volumes.get_key(key) else { return Ok(Again::No) };
        let claim = claim_ref(&volume)
            .and_then(|reference| self.claims.get(reference.namespace.as_deref(), reference.name.as_deref()?));
        let wanted = phase(&volume, claim.as_deref());
        let told = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        if told == Some(wanted) {
            return Ok(Again::No);
        }
        let since: Value = json!(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.context.time.now()));
        let patch = Patch::Merge(json!({ "status": { "phase": wanted, "lastPhaseTransitionTime": since } }));
        let new = self.context.client.patch::<PersistentVolume>(None, &key.name, &patch, Some("status")).await?;
        self.volumes.insert(new);
        Ok(Again::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str, size: &str, mode: &str, class: &str) -> Arc<PersistentVolume> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": { "name": name },
                "spec": { "capacity": { "storage": size }, "accessModes": [mode], "storageClassName": class },
            }))
            .expect("a volume"),
        )
    }

    fn claim() -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": { "name": "c", "namespace": "default", "uid": "u" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        }))
        .expect("a claim")
    }

    #[test]
    fn the_smallest_that_will_do() {
        let volumes = [
            volume("large", "10Gi", "ReadWriteOnce", ""),
            volume("right", "2Gi", "ReadWriteOnce", ""),
            volume("small", "500Mi", "ReadWriteOnce", ""),
            volume("shared", "1Gi", "ReadWriteMany", ""),
            volume("fast", "1Gi", "ReadWriteOnce", "ssd"),
        ];
        assert_eq!(choose(&claim(), &volumes).map(|volume| volume.name()), Some("right"));
        assert!(choose(&claim(), &volumes[2..]).is_none());
    }

    #[test]
    fn a_reserved_volume_goes_to_its_claim_only() {
        let mut reserved = volume("right", "2Gi", "ReadWriteOnce", "").as_ref().clone();
        let mine = ObjectReference {
            namespace: Some("default".to_owned()),
            name: Some("c".to_owned()),
            ..ObjectReference::default()
        };
        let set = |volume: &mut PersistentVolume, to: ObjectReference| {
            volume.spec.as_mut().expect("a spec").claim_ref = Some(to);
        };
        set(&mut reserved, mine.clone());
        assert_eq!(phase(&reserved, None), "Available");
        assert_eq!(phase(&reserved, Some(&claim())), "Bound");
        let volumes = [Arc::new(reserved.clone())];
        assert!(choose(&claim(), &volumes).is_some());
        set(&mut reserved, ObjectReference { uid: Some("older".to_owned()), ..mine });
        assert_eq!(phase(&reserved, Some(&claim())), "Released", "the claim of that name is another one now");
        assert!(choose(&claim(), &[Arc::new(reserved)]).is_none());
    }
}
