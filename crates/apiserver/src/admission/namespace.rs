//! NamespaceLifecycle: nothing is made in a namespace that is not there, or that is going away.

use podlab_api::error::ApiError;
use podlab_api::registry::Resource;
use serde_json::Value;

use super::Admission;

/// Namespaces that stay.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

pub(super) fn create(admission: &Admission<'_>, object: &Value) -> Result<(), ApiError> {
    let name = admission.namespace;
    if name.is_empty() {
        return Ok(());
    }
    let Some(namespace) = admission.core("namespaces", "", name) else {
        return Err(ApiError::NotFound { group: String::new(), plural: "namespaces".into(), name: name.into() });
    };
    let going = namespace["metadata"]["deletionTimestamp"].is_string() || namespace["status"]["phase"] == "Terminating";
    // Events may tell of the end; reviews are no objects.
    if going && !matches!(admission.resource.plural, "events" | "localsubjectaccessreviews") {
        let message = format!("unable to create new content in namespace {name} because it is being terminated");
        return Err(admission.forbidden(object, message));
    }
    Ok(())
}

pub(super) fn delete(resource: &'static Resource, name: &str) -> Result<(), ApiError> {
    let namespace = resource.group.is_empty() && resource.plural == "namespaces";
    if namespace && IMMORTAL.contains(&name) {
        return Err(crate::http::forbidden(resource, name, "this namespace may not be deleted"));
    }
    Ok(())
}
