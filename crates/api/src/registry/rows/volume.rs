//! Rows of persistent volumes, claims and storage classes.

use jiff::Timestamp;
use serde_json::Value;

use crate::json::{at, list, text, truth};
use crate::registry::cells::{self, AGE, NAME, column, wide};
use crate::registry::{Column, Doc};

const VOLUME: &str = "io.k8s.api.core.v1.PersistentVolumeSpec";
const CLAIM: &str = "io.k8s.api.core.v1.PersistentVolumeClaimSpec";
const CLASS: &str = "io.k8s.api.storage.v1.StorageClass";

pub(in crate::registry) const VOLUME_COLUMNS: &[Column] = &[
    NAME,
    column("Capacity", Doc::Field(VOLUME, "capacity")),
    column("Access Modes", Doc::Field(VOLUME, "accessModes")),
    column("Reclaim Policy", Doc::Field(VOLUME, "persistentVolumeReclaimPolicy")),
    column("Status", Doc::Field("io.k8s.api.core.v1.PersistentVolume", "status")),
    column("Claim", Doc::Field(VOLUME, "claimRef")),
    column("StorageClass", Doc::Text("StorageClass of the pv")),
    column("VolumeAttributesClass", Doc::Field(VOLUME, "volumeAttributesClassName")),
    column("Reason", Doc::Field("io.k8s.api.core.v1.PersistentVolumeStatus", "reason")),
    AGE,
    wide("VolumeMode", Doc::Field(VOLUME, "volumeMode")),
];

pub(in crate::registry) fn volume(volume: &Value, now: Timestamp) -> Vec<Value> {
    let spec = at(volume, &["spec"]);
    let claim = match at(spec, &["claimRef"]) {
        claim if claim.is_object() => format!("{}/{}", text(claim, &["namespace"]), text(claim, &["name"])),
        _ => String::new(),
    };
    vec![
        cells::name(volume),
        text(spec, &["capacity", "storage"]).into(),
        cells::access_modes(list(spec, &["accessModes"])).into(),
        text(spec, &["persistentVolumeReclaimPolicy"]).into(),
        phase(volume, text(volume, &["status", "phase"])),
        claim.into(),
        text(spec, &["storageClassName"]).into(),
        or_unset(text(spec, &["volumeAttributesClassName"])),
        text(volume, &["status", "reason"]).into(),
        cells::age(volume, now),
        or_unset(text(spec, &["volumeMode"])),
    ]
}

pub(in crate::registry) const CLAIM_COLUMNS: &[Column] = &[
    NAME,
    column("Status", Doc::Field("io.k8s.api.core.v1.PersistentVolumeClaim", "status")),
    column("Volume", Doc::Field(CLAIM, "volumeName")),
    column("Capacity", Doc::Field("io.k8s.api.core.v1.PersistentVolumeClaimStatus", "capacity")),
    column("Access Modes", Doc::Field("io.k8s.api.core.v1.PersistentVolumeClaimStatus", "accessModes")),
    column("StorageClass", Doc::Text("StorageClass of the pvc")),
    column("VolumeAttributesClass", Doc::Field(CLAIM, "volumeAttributesClassName")),
    AGE,
    wide("VolumeMode", Doc::Field(CLAIM, "volumeMode")),
];

pub(in crate::registry) fn claim(claim: &Value, now: Timestamp) -> Vec<Value> {
    let spec = at(claim, &["spec"]);
    let name = text(spec, &["volumeName"]);
    // A claim shows what it got, and nothing until it got something.
    let (capacity, modes) = match name {
        "" => (String::new(), String::new()),
        _ => (
            text(claim, &["status", "capacity", "storage"]).to_owned(),
            cells::access_modes(list(claim, &["status", "accessModes"])),
        ),
    };
    vec![
        cells::name(claim),
        phase(claim, text(claim, &["status", "phase"])),
        name.into(),
        capacity.into(),
        modes.into(),
        text(spec, &["storageClassName"]).into(),
        or_unset(text(spec, &["volumeAttributesClassName"])),
        cells::age(claim, now),
        or_unset(text(spec, &["volumeMode"])),
    ]
}

fn phase(object: &Value, phase: &str) -> Value {
    if at(object, &["metadata", "deletionTimestamp"]).is_string() { "Terminating".into() } else { phase.into() }
}

fn or_unset(text: &str) -> Value {
    if text.is_empty() { "<unset>".into() } else { text.into() }
}

pub(in crate::registry) const CLASS_COLUMNS: &[Column] = &[
    NAME,
    column("Provisioner", Doc::Field(CLASS, "provisioner")),
    column("ReclaimPolicy", Doc::Field(CLASS, "reclaimPolicy")),
    column("VolumeBindingMode", Doc::Field(CLASS, "volumeBindingMode")),
    column("AllowVolumeExpansion", Doc::Field(CLASS, "allowVolumeExpansion")),
    AGE,
];

pub(in crate::registry) fn class(class: &Value, now: Timestamp) -> Vec<Value> {
    let is_default = text(class, &["metadata", "annotations", "storageclass.kubernetes.io/is-default-class"]) == "true";
    let name = text(class, &["metadata", "name"]);
    let or = |key: &str, other: &'static str| match text(class, &[key]) {
        "" => Value::from(other),
        known => known.into(),
    };
    vec![
        if is_default { format!("{name} (default)").into() } else { name.into() },
        text(class, &["provisioner"]).into(),
        or("reclaimPolicy", "Delete"),
        or("volumeBindingMode", "Immediate"),
        truth(class, &["allowVolumeExpansion"]).into(),
        cells::age(class, now),
    ]
}
