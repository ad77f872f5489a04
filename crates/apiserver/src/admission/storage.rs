//! StorageObjectInUseProtection: volumes and claims stay until nobody uses them
//! (k8s.io/kubernetes/plugin/pkg/admission/storage/storageobjectinuseprotection).

use serde_json::{Value, json};

use super::Admission;

/// Adds the finalizer that a controller takes off when the object is used no more.
pub(super) fn protect(admission: &Admission<'_>, object: &mut Value) {
    let finalizer = match admission.resource.plural {
        "persistentvolumeclaims" if admission.resource.group.is_empty() => "kubernetes.io/pvc-protection",
        "persistentvolumes" if admission.resource.group.is_empty() => "kubernetes.io/pv-protection",
        _ => return,
    };
    let metadata = crate::http::metadata(object);
    let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
    if let Some(list) = finalizers.as_array_mut().filter(|list| !list.iter().any(|known| known == finalizer)) {
        list.push(finalizer.into());
    }
}
