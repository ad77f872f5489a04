//! Claims stay while a Pod uses them, and volumes while they are bound
//! (k8s.io/kubernetes/pkg/controller/volume/pvcprotection and pvprotection).
//!
//! Admission gives each a finalizer; deleted, it stays until this controller takes the finalizer off.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use podlab_client::cache::{Change, Key};
use podlab_client::{Error, Object, Patch};
use serde_json::json;

use crate::context::Context;
use crate::objects::node_of;
use crate::queue::WorkQueue;
use crate::worker::{Again, feed, itself, settled, work};

const CLAIM: &str = "kubernetes.io/pvc-protection";
const VOLUME: &str = "kubernetes.io/pv-protection";

/// The claims that a Pod's volumes name.
pub(crate) fn claims(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

/// Whether one of the Pods of its namespace uses a claim. One without a node does not: none is placed with a claim that is
/// being deleted.
#[must_use]
pub fn is_used(claim: &str, pods: &[Arc<Pod>]) -> bool {
    pods.iter().any(|pod| node_of(pod).is_some() && claims(pod).any(|name| name == claim))
}

/// The finalizers that are left of a deleted object that may go; `None` when there is nothing to take off.
#[must_use]
pub fn released(metadata: &ObjectMeta, finalizer: &str) -> Option<Vec<String>> {
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    metadata.deletion_timestamp.as_ref()?;
    finalizers
        .iter()
        .any(|known| known == finalizer)
        .then(|| finalizers.iter().filter(|known| *known != finalizer).cloned().collect())
}

async fn take_off<K: Object>(context: &Context, object: &K, key: &Key, finalizer: &str) -> Result<(), Error> {
    let Some(left) = released(object.metadata(), finalizer) else { return Ok(()) };
    let metadata = object.metadata();
    let patch = Patch::Merge(json!({
        "metadata": { "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": left },
    }));
    let namespace = Some(key.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    settled(context.client.patch::<K>(namespace, &key.name, &patch, None).await)
}

/// Runs the controller.
pub async fn run(context: Context) {
    let (claim_queue, volume_queue) = (WorkQueue::default(), WorkQueue::default());
    let (claims_cache, volumes) = (context.cache::<PersistentVolumeClaim>(), context.cache::<PersistentVolume>());
    let pods = context.cache::<Pod>();
    tokio::join!(claims_cache.synced(), volumes.synced(), pods.synced());
    let claim = async |key: Key| {
        let Some(claim) = claims_cache.get_key(&key) else { return Ok(Again::No) };
        if !is_used(&key.name, &pods.in_namespace(&key.namespace)) {
            take_off(&context, claim.as_ref(), &key, CLAIM).await?;
        }
        Ok(Again::No)
    };
    let volume = async |key: Key| {
        let Some(volume) = volumes.get_key(&key) else { return Ok(Again::No) };
        if volume.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Bound") {
            take_off(&context, volume.as_ref(), &key, VOLUME).await?;
        }
        Ok(Again::No)
    };
    tokio::join!(
        feed(claims_cache.clone(), &claim_queue, itself),
        feed(volumes.clone(), &volume_queue, itself),
        feed(pods.clone(), &claim_queue, |change: &Change<Pod>| {
            let pods = change.old.iter().chain(&change.new);
            pods.flat_map(|pod| claims(pod)).map(|name| Key::new(change.key.namespace.clone(), name)).collect()
        }),
        work("claims in use", &claim_queue, &context.time, claim),
        work("volumes in use", &volume_queue, &context.time, volume),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(node: Option<&str>, claim: &str) -> Arc<Pod> {
        let volumes = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": claim } }]);
        let pod =
            json!({ "metadata": { "name": "a" }, "spec": { "containers": [], "nodeName": node, "volumes": volumes } });
        Arc::new(serde_json::from_value(pod).expect("a Pod"))
    }

    #[test]
    fn a_claim_is_used_by_a_pod_that_has_a_node() {
        assert!(is_used("c", &[pod(None, "c"), pod(Some("node1"), "c")]));
        assert!(!is_used("c", &[pod(None, "c"), pod(Some("node1"), "other")]));
    }

    #[test]
    fn only_what_is_deleted_is_released() {
        let metadata = |deleted: serde_json::Value| -> ObjectMeta {
            let finalizers = json!(["mine", CLAIM]);
            serde_json::from_value(json!({ "finalizers": finalizers, "deletionTimestamp": deleted })).expect("metadata")
        };
        assert_eq!(released(&metadata(json!(null)), CLAIM), None);
        let deleted = metadata(json!("2026-11-20T10:00:00Z"));
        assert_eq!(released(&deleted, CLAIM), Some(vec!["mine".to_owned()]));
        assert_eq!(released(&deleted, VOLUME), None);
    }
}
