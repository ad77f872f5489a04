//! What a kubelet creates is its own: its Node, its lease
//! (k8s.io/kubernetes/plugin/pkg/admission/noderestriction/admission.go).
//!
//! The authorizer sees a name only where the request has one; that of a new object stands in its body.

use podlab_api::error::ApiError;
use serde_json::Value;

use super::Admission;
use crate::auth::node_of;

/// # Errors
/// When a node makes what belongs to another one.
pub(super) fn create(admission: &Admission<'_>, object: &Value) -> Result<(), ApiError> {
    let Some(node) = node_of(admission.identity) else { return Ok(()) };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if name == node {
        return Ok(());
    }
    if admission.is("", "nodes") {
        return Err(admission.forbidden(object, format!("node {node:?} is not allowed to modify node {name:?}")));
    }
    if admission.is("coordination.k8s.io", "leases") {
        let message = "can only create node lease with the same name as the requesting node";
        return Err(admission.forbidden(object, message));
    }
    Ok(())
}
