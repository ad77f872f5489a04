//! What is decided about claims and volumes: pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use podlab_client::Object;
use podlab_client::events::EventType;
use podlab_runtime::scheduler::persistent::{
    BOUND_BY_CONTROLLER, SELECTED_NODE, annotation, claim_ref, class_of, is_for, is_free, named_volume, size, suits,
    waits_for_pod,
};

/// Who made a volume, on the volume.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// The volume for a claim: one that is reserved for it, or the smallest that will do. For a claim that waits for its Pod
/// the scheduler chooses.
#[must_use]
pub fn choose<'a>(
    claim: &PersistentVolumeClaim,
    class: Option<&StorageClass>,
    volumes: &'a [Arc<PersistentVolume>],
) -> Option<&'a Arc<PersistentVolume>> {
    if let Some(name) = named_volume(claim) {
        return volumes.iter().find(|volume| volume.name() == name && (is_for(volume, claim) || is_free(volume)));
    }
    let reserved = volumes.iter().find(|volume| is_for(volume, claim));
    if reserved.is_some() || waits_for_pod(class) {
        return reserved;
    }
    volumes.iter().filter(|volume| is_free(volume) && suits(volume, claim)).min_by_key(|one| size(one))
}

/// What a claim that has no volume waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For something that only an event says.
    Told(EventType, &'static str, String),
    /// For the volume of this provisioner.
    Provisioner(String),
    /// For the volume that it names.
    Named,
}

/// What a claim without a volume waits for. `pods` are those that use it, and have no node.
#[must_use]
pub fn wait(claim: &PersistentVolumeClaim, class: Option<&StorageClass>, pods: &[String]) -> Wait {
    if named_volume(claim).is_some() {
        return Wait::Named;
    }
    if waits_for_pod(class) && annotation(claim, SELECTED_NODE).is_none() {
        let (reason, message) = match pods {
            [] => ("WaitForFirstConsumer", "waiting for first consumer to be created before binding".to_owned()),
            [pod] => ("WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled")),
            pods => ("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", pods.join(","))),
        };
        return Wait::Told(EventType::Normal, reason, message);
    }
    let failed = |message| Wait::Told(EventType::Warning, "ProvisioningFailed", message);
    match (class_of(claim), class) {
        ("", _) => {
            let message = "no persistent volumes available for this claim and no storage class is set".to_owned();
            Wait::Told(EventType::Normal, "FailedBinding", message)
        }
        (name, None) => failed(format!("storageclass.storage.k8s.io \"{name}\" not found")),
        (_, Some(class)) if class.provisioner.starts_with("kubernetes.io/") => {
            failed(format!("no volume plugin matched name: {}", class.provisioner))
        }
        (_, Some(class)) => Wait::Provisioner(class.provisioner.clone()),
    }
}

/// The class of claims that name none: of several, the newest, and of these the first by name.
#[must_use]
pub fn default_class(classes: &[Arc<StorageClass>]) -> Option<&Arc<StorageClass>> {
    let is_default = |class: &&Arc<StorageClass>| {
        class
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(DEFAULT_CLASS))
            .is_some_and(|is| is == "true")
    };
    let created = |class: &Arc<StorageClass>| class.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let newest_first = |class: &&Arc<StorageClass>| (std::cmp::Reverse(created(class)), class.name().to_owned());
    classes.iter().filter(is_default).min_by_key(newest_first)
}

/// Whether a claim's volume was reserved for it, and the claim has another one.
#[must_use]
pub(super) fn is_elsewhere(volume: &PersistentVolume, claim: Option<&PersistentVolumeClaim>) -> bool {
    claim.is_some_and(|claim| {
        is_for(volume, claim) && named_volume(claim).is_some_and(|name| Some(name) != volume.metadata.name.as_deref())
    })
}

/// What a volume's phase should be.
#[must_use]
pub fn phase(volume: &PersistentVolume, claim: Option<&PersistentVolumeClaim>) -> &'static str {
    match (claim_ref(volume), claim) {
        (None, _) => "Available",
        // Reserved by an administrator, and the claim has yet to come.
        (Some(reference), None) if reference.uid.as_deref().is_none_or(str::is_empty) => "Available",
        (Some(_), Some(claim)) if is_for(volume, claim) && !is_elsewhere(volume, Some(claim)) => "Bound",
        // That it could not be reclaimed stays to be seen.
        _ if volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed") => "Failed",
        _ => "Released",
    }
}

/// What becomes of a volume that is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reclaim {
    /// It stays, with what is on it, for an administrator; or whoever made it takes it away.
    Keep,
    /// Nobody can: the event's reason and message.
    Failed(&'static str, String),
}

/// What becomes of a released volume.
#[must_use]
pub fn reclaim(volume: &PersistentVolume) -> Reclaim {
    let Some(spec) = &volume.spec else { return Reclaim::Keep };
    match spec.persistent_volume_reclaim_policy.as_deref() {
        Some("Recycle") => {
            Reclaim::Failed("VolumeFailedRecycle", "No recycler plugin found for the volume!".to_owned())
        }
        Some("Delete") if !is_external(volume) => match &spec.host_path {
            Some(host) if is_temporary(&host.path) => Reclaim::Keep,
            Some(host) => {
                let message = format!("host_path deleter only supports /tmp/.+ but received provided {}", host.path);
                Reclaim::Failed("VolumeFailedDelete", message)
            }
            None => {
                let message = format!(
                    "error getting deleter volume plugin for volume \"{}\": no deletable volume plugin matched",
                    volume.name()
                );
                Reclaim::Failed("VolumeFailedDelete", message)
            }
        },
        _ => Reclaim::Keep,
    }
}

/// Whether somebody else made the volume, who takes it away as well.
fn is_external(volume: &PersistentVolume) -> bool {
    let annotations = volume.metadata.annotations.as_ref();
    let provisioner = annotations.and_then(|annotations| annotations.get(PROVISIONED_BY));
    provisioner.is_some_and(|provisioner| !provisioner.starts_with("kubernetes.io/"))
}

/// The only directories of a node that are deleted though nobody made them for a volume.
#[must_use]
pub fn is_temporary(path: &str) -> bool {
    let below = path.strip_prefix("/tmp/");
    below.is_some_and(|below| !below.is_empty() && below.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

/// Whether the controller reserved the volume, so that it may also be given up.
#[must_use]
pub(super) fn is_ours(volume: &PersistentVolume) -> bool {
    volume.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(BOUND_BY_CONTROLLER))
}
