//! What volumes and claims get: protection while they are used, and a class where none is named
//! (k8s.io/kubernetes/plugin/pkg/admission/storage).

use serde_json::{Value, json};

use super::Admission;
use crate::store::{GroupResource, Range};

const CLASSES: GroupResource = GroupResource { group: "storage.k8s.io", resource: "storageclasses" };
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// StorageObjectInUseProtection: adds the finalizer that a controller takes off when the object is used no more.
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

/// DefaultStorageClass: a claim that says nothing about its class gets the default one. The empty name is no class, and said.
pub(super) fn class(admission: &Admission<'_>, claim: &mut Value) {
    if !claim["spec"]["storageClassName"].is_null() {
        return;
    }
    let classes = admission.server.store().list(CLASSES, &Range::default()).objects;
    let classes = classes.iter().map(|class| class.value());
    let is_default = |class: &Value| class["metadata"]["annotations"][IS_DEFAULT] == "true";
    let text = |class: &Value, field: &str| class["metadata"][field].as_str().unwrap_or_default().to_owned();
    let newest_first = |class: &Value| (std::cmp::Reverse(text(class, "creationTimestamp")), text(class, "name"));
    if let Some(default) = classes.filter(is_default).min_by_key(newest_first) {
        claim["spec"]["storageClassName"] = default["metadata"]["name"].clone();
    }
}
