//! Defaults of volumes, of a Pod's own and of persistent ones.

use serde_json::{Value, json};

use crate::json::{list_mut, object_mut, set_default};

/// Permission bits of projected files: rw-r--r--.
const FILE_MODE: i64 = 0o644;

/// Seconds a projected service account token is good for.
const TOKEN_SECONDS: i64 = 3600;

/// A volume of a Pod. One without any source is an emptyDir.
pub(crate) fn pod_volume(volume: &mut Value) {
    let Some(fields) = volume.as_object() else { return };
    if !fields.keys().any(|key| key != "name") {
        volume["emptyDir"] = json!({});
    }
    for source in ["configMap", "secret", "downwardAPI", "projected"] {
        if volume[source].is_object() {
            set_default(&mut volume[source], "defaultMode", FILE_MODE);
        }
    }
    if volume["hostPath"].is_object() {
        set_default(&mut volume["hostPath"], "type", "");
    }
    for item in list_mut(volume, &["downwardAPI", "items"]) {
        field_ref(&mut item["fieldRef"]);
    }
    for source in list_mut(volume, &["projected", "sources"]) {
        if source["serviceAccountToken"].is_object() {
            set_default(&mut source["serviceAccountToken"], "expirationSeconds", TOKEN_SECONDS);
        }
        for item in list_mut(source, &["downwardAPI", "items"]) {
            field_ref(&mut item["fieldRef"]);
        }
    }
    if volume["iscsi"].is_object() {
        set_default(&mut volume["iscsi"], "iscsiInterface", "default");
    }
    if volume["ephemeral"]["volumeClaimTemplate"].is_object() {
        claim_spec(&mut volume["ephemeral"]["volumeClaimTemplate"]["spec"]);
    }
    drop_nulls(volume);
}

/// A reference to a field of the Pod names the version that the field path is of.
pub(super) fn field_ref(reference: &mut Value) {
    if reference.is_object() {
        set_default(reference, "apiVersion", "v1");
    }
}

/// Indexing a JSON object to change it makes missing keys; they go again.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

pub(crate) fn claim(claim: &mut Value) {
    claim_spec(&mut claim["spec"]);
    object_mut(claim, &["status"]);
    set_default(&mut claim["status"], "phase", "Pending");
}

fn claim_spec(spec: &mut Value) {
    set_default(spec, "volumeMode", "Filesystem");
}

pub(crate) fn volume(volume: &mut Value) {
    set_default(&mut volume["spec"], "persistentVolumeReclaimPolicy", "Retain");
    set_default(&mut volume["spec"], "volumeMode", "Filesystem");
    if volume["spec"]["hostPath"].is_object() {
        set_default(&mut volume["spec"]["hostPath"], "type", "");
    }
    if let Some(spec) = volume["spec"].as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
    object_mut(volume, &["status"]);
    set_default(&mut volume["status"], "phase", "Pending");
}

pub(crate) fn class(class: &mut Value) {
    set_default(class, "reclaimPolicy", "Delete");
    set_default(class, "volumeBindingMode", "Immediate");
}
