//! Which ReplicaSet belongs to which version of a Deployment's template.
//!
//! Two templates are the same version when they are equal but for the label `pod-template-hash`, which a set adds to tell
//! its Pods from those of the others. The hash makes its name, too, so that making a set twice makes one.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use podlab_client::Object;

use super::{DESIRED, MAXIMUM, REVISION, rollout};
use crate::objects::managed_by;

const HASH: &str = "pod-template-hash";
/// What a set does not take over from its Deployment.
const OWN_ANNOTATIONS: [&str; 4] = ["kubectl.kubernetes.io/last-applied-configuration", REVISION, DESIRED, MAXIMUM];

/// The set of the current template; of several the oldest.
#[must_use]
pub fn newest<'a>(deployment: &Deployment, sets: &'a [Arc<ReplicaSet>]) -> Option<&'a Arc<ReplicaSet>> {
    let wanted = without_hash(deployment.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default());
    sets.iter().find(|set| {
        let template = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
        without_hash(template) == wanted
    })
}

/// The number of a set's version; 0 for one that has none yet.
#[must_use]
pub fn revision(set: &ReplicaSet) -> i64 {
    let annotations = set.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(REVISION)?.parse().ok()).unwrap_or_default()
}

/// A new set for the current template.
#[must_use]
pub fn replica_set(deployment: &Deployment, others: &[Arc<ReplicaSet>]) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let hash = hash(&spec.template);
    let mut template = spec.template;
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().insert(HASH.to_owned(), hash.clone());
    let labels = metadata.labels.clone();
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(HASH.to_owned(), hash.clone());
    let (desired, maximum) = rollout::bounds(deployment);
    let number = others.iter().map(|set| revision(set)).max().unwrap_or_default() + 1;
    let mut annotations: BTreeMap<String, String> = deployment.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| !OWN_ANNOTATIONS.contains(&key.as_str()));
    annotations.extend([
        (REVISION.to_owned(), number.to_string()),
        (DESIRED.to_owned(), desired.to_string()),
        (MAXIMUM.to_owned(), maximum.to_string()),
    ]);
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.name())),
            namespace: deployment.metadata.namespace.clone(),
            labels,
            annotations: Some(annotations),
            owner_references: Some(vec![managed_by(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(rollout::first_replicas(deployment, others)),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    }
}

fn without_hash(mut template: PodTemplateSpec) -> PodTemplateSpec {
    if let Some(metadata) = &mut template.metadata {
        // The server fills it in for sets, and not for templates.
        metadata.creation_timestamp = None;
        if let Some(labels) = &mut metadata.labels {
            labels.remove(HASH);
        }
    }
    template
}

/// A short name for a template. Not the number that the real one computes, which hashes Go's way to print the value,
/// but as long, of the same letters, and as constant.
fn hash(template: &PodTemplateSpec) -> String {
    /// Without vowels and look-alikes, so that no name is a word (k8s.io/apimachinery/pkg/util/rand).
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    // FNV-1a, as it is the same on every machine and in every release.
    let text = serde_json::to_vec(&without_hash(template.clone())).unwrap_or_default();
    let number = text.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    number.to_string().bytes().map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()])).collect()
}
