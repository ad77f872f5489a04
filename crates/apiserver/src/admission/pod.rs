//! NodeRestriction, as far as Pods go: a kubelet may only make mirror Pods for itself.

use podlab_api::error::ApiError;
use serde_json::Value;

use super::Admission;

pub(super) fn create(admission: &Admission<'_>, pod: &Value) -> Result<(), ApiError> {
    if !admission.identity.is_in("system:nodes") {
        return Ok(());
    }
    let node = admission.identity.user.strip_prefix("system:node:").unwrap_or_default();
    let mirror = pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string();
    if !mirror || pod["spec"]["nodeName"] != *node {
        let message = format!("node {node:?} can only create mirror pods for itself");
        return Err(admission.forbidden(pod, message));
    }
    Ok(())
}
