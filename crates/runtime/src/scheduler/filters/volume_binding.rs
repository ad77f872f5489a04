//! A Pod waits for its claims to be bound, and goes where its volumes can be reached.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::super::diagnosis::Rejection;
use super::super::selector::selects_node;
use super::super::snapshot::{Incoming, Snapshot};
use super::Check;

pub(super) fn prepare<'a>(pod: &'a Incoming, cluster: &'a Snapshot) -> Result<Option<Check<'a>>, Rejection> {
    if pod.info.claims.is_empty() {
        return Ok(None);
    }
    let mut volumes = Vec::new();
    for name in &pod.info.claims {
        let Some(claim) = cluster.claims.get(&(pod.info.namespace.clone(), name.clone())) else {
            return Err(Rejection::permanent(format!("persistentvolumeclaim \"{name}\" not found")));
        };
        if claim.metadata.deletion_timestamp.is_some() {
            return Err(Rejection::permanent(format!("persistentvolumeclaim \"{name}\" is being deleted")));
        }
        let Some(volume) = bound_volume(claim, cluster) else {
            return Err(Rejection::permanent("pod has unbound immediate PersistentVolumeClaims"));
        };
        volumes.push(volume);
    }
    Ok(Some(Box::new(move |node| {
        let reached = volumes.iter().all(|volume| {
            let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref());
            let required = affinity.and_then(|affinity| affinity.required.as_ref());
            required.is_none_or(|required| selects_node(&required.node_selector_terms, node))
        });
        if reached { Ok(()) } else { Err(Rejection::permanent("node(s) had volume node affinity conflict")) }
    })))
}

fn bound_volume<'a>(claim: &PersistentVolumeClaim, cluster: &'a Snapshot) -> Option<&'a Arc<PersistentVolume>> {
    let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    let name = claim.spec.as_ref()?.volume_name.as_deref()?;
    cluster.volumes.get(name).filter(|_| bound)
}
