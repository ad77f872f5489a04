//! A Pod waits for its claims to be bound, and goes where its volumes can be reached. A claim whose class waits for the first
//! Pod is bound by the choice of the Pod's node: to a volume that is reached from there, or to one that is made there.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;

use super::super::diagnosis::Rejection;
use super::super::persistent::{
    NO_PROVISIONER, SELECTED_NODE, annotation, class_of, is_bound, is_for, is_free, named_volume, reaches, size, suits,
    waits_for_pod, wanted,
};
use super::super::snapshot::{Incoming, NodeInfo, Snapshot};
use super::Check;

const CONFLICT: &str = "node(s) had volume node affinity conflict";
const NOTHING_TO_BIND: &str = "node(s) didn't find available persistent volumes to bind";
const LOST: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// What has to become of a claim before the Pod can be bound to its node.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The claim gets a volume that there is.
    Bind { claim: Arc<PersistentVolumeClaim>, volume: Arc<PersistentVolume> },
    /// A volume is made for it, on the Pod's node.
    Provision { claim: Arc<PersistentVolumeClaim> },
}

/// A Pod's claims by what is still to be done about them.
struct Claims<'a> {
    bound: Vec<Option<&'a Arc<PersistentVolume>>>,
    /// Those that wait for a node, the smallest first: what is left for the large ones is not taken by them.
    waiting: Vec<&'a Arc<PersistentVolumeClaim>>,
}

pub(super) fn prepare<'a>(pod: &'a Incoming, cluster: &'a Snapshot) -> Result<Option<Check<'a>>, Rejection> {
    if pod.info.claims.is_empty() {
        return Ok(None);
    }
    let claims = sort(pod, cluster)?;
    Ok(Some(Box::new(move |node| {
        if claims.bound.iter().any(Option::is_none) {
            return Err(Rejection::permanent(LOST));
        }
        if !claims.bound.iter().flatten().all(|volume| reaches(node, volume)) {
            return Err(Rejection::permanent(CONFLICT));
        }
        choose(&claims.waiting, cluster, node).map(drop).ok_or_else(|| Rejection::permanent(NOTHING_TO_BIND))
    })))
}

/// What is to be done about a Pod's claims when it goes to a node.
#[must_use]
pub fn steps(pod: &Incoming, cluster: &Snapshot, node: &str) -> Vec<Step> {
    let (Some(node), Ok(claims)) = (cluster.node(node), sort(pod, cluster)) else { return Vec::new() };
    choose(&claims.waiting, cluster, node).unwrap_or_default()
}

fn sort<'a>(pod: &Incoming, cluster: &'a Snapshot) -> Result<Claims<'a>, Rejection> {
    let mut claims = Claims { bound: Vec::new(), waiting: Vec::new() };
    for name in &pod.info.claims {
        let Some(claim) = cluster.claims.get(&(pod.info.namespace.clone(), name.clone())) else {
            return Err(Rejection::permanent(format!("persistentvolumeclaim \"{name}\" not found")));
        };
        if claim.metadata.deletion_timestamp.is_some() {
            return Err(Rejection::permanent(format!("persistentvolumeclaim \"{name}\" is being deleted")));
        }
        if is_bound(claim) {
            claims.bound.push(named_volume(claim).and_then(|name| cluster.volumes.get(name)));
        } else if named_volume(claim).is_none() && waits_for_pod(class(claim, cluster)) {
            claims.waiting.push(claim);
        } else {
            return Err(Rejection::permanent("pod has unbound immediate PersistentVolumeClaims"));
        }
    }
    claims.waiting.sort_by_key(|claim| wanted(claim));
    Ok(claims)
}

fn class<'a>(claim: &PersistentVolumeClaim, cluster: &'a Snapshot) -> Option<&'a StorageClass> {
    cluster.classes.get(class_of(claim)).map(Arc::as_ref)
}

/// A volume for each of the claims, where one can be had from the node; `None` when one of them cannot.
fn choose(waiting: &[&Arc<PersistentVolumeClaim>], cluster: &Snapshot, node: &NodeInfo) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut taken: Vec<&str> = Vec::new();
    for claim in waiting.iter().copied() {
        let promised = annotation(claim, SELECTED_NODE);
        if promised.is_some_and(|promised| promised != node.name) {
            return None;
        }
        let will_do = |name: &str, volume: &PersistentVolume| {
            is_for(volume, claim) || is_free(volume) && suits(volume, claim) && !taken.contains(&name)
        };
        let found = cluster.volumes.iter().filter(|(name, volume)| will_do(name, volume) && reaches(node, volume));
        let found = found.min_by_key(|(_, volume)| (!is_for(volume, claim), size(volume)));
        match found.filter(|_| promised.is_none()) {
            Some((name, volume)) => {
                taken.push(name);
                steps.push(Step::Bind { claim: claim.clone(), volume: volume.clone() });
            }
            None if is_made(claim, cluster) => steps.push(Step::Provision { claim: claim.clone() }),
            None => return None,
        }
    }
    Some(steps)
}

/// Whether somebody makes volumes of the claim's class.
fn is_made(claim: &PersistentVolumeClaim, cluster: &Snapshot) -> bool {
    class(claim, cluster).is_some_and(|class| !class.provisioner.is_empty() && class.provisioner != NO_PROVISIONER)
}
