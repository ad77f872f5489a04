//! Cordoned nodes take no new Pods, apart from those that tolerate just that (of DaemonSets).

use k8s_openapi::api::core::v1::Taint;

use super::super::diagnosis::Rejection;
use super::super::snapshot::{Incoming, Snapshot};
use super::Check;
use super::taints::tolerated;

pub(super) fn prepare<'a>(pod: &'a Incoming, _: &'a Snapshot) -> Result<Option<Check<'a>>, Rejection> {
    let taint = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    if tolerated(&taint, pod.spec.tolerations.as_deref().unwrap_or_default()) {
        return Ok(None);
    }
    Ok(Some(Box::new(|node| {
        if node.unschedulable { Err(Rejection::permanent("node(s) were unschedulable")) } else { Ok(()) }
    })))
}
