//! A claim with the access mode ReadWriteOncePod is for one Pod at a time, wherever that one is.

use super::super::diagnosis::Rejection;
use super::super::snapshot::{Incoming, Snapshot};
use super::Check;

const TAKEN: &str = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";

pub(super) fn prepare<'a>(pod: &'a Incoming, cluster: &'a Snapshot) -> Result<Option<Check<'a>>, Rejection> {
    let namespace = &pod.info.namespace;
    let is_taken = |name: &String| {
        let claim = cluster.claims.get(&(namespace.clone(), name.clone()));
        let modes = claim.and_then(|claim| claim.spec.as_ref()?.access_modes.as_deref()).unwrap_or_default();
        modes.iter().any(|mode| mode == "ReadWriteOncePod") && cluster.is_claim_used(namespace, name)
    };
    if !pod.info.claims.iter().any(is_taken) {
        return Ok(None);
    }
    // It is the cluster's Pods that count, but each node says it: on none of them would it help to be another node.
    Ok(Some(Box::new(|_| Err(Rejection::resolvable(TAKEN)))))
}
