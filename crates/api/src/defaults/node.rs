//! Defaults of Nodes and Namespaces.

use serde_json::Value;

use crate::json::{object_mut, set_default, text};

/// Every namespace carries its own name as a label, so that selectors can name it.
pub(crate) fn namespace(namespace: &mut Value) {
    let name = text(namespace, &["metadata", "name"]).to_owned();
    if !name.is_empty() {
        object_mut(namespace, &["metadata", "labels"]).insert("kubernetes.io/metadata.name".into(), name.into());
    }
    object_mut(namespace, &["status"]);
    set_default(&mut namespace["status"], "phase", "Active");
}

/// What a node can allocate is what it has, unless it says otherwise.
pub(crate) fn node(node: &mut Value) {
    let capacity = node["status"]["capacity"].clone();
    if capacity.is_object() {
        set_default(&mut node["status"], "allocatable", capacity);
    }
}
