use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use podlab_client::Object;
use podlab_client::events::EventType;
use serde_json::{Value, json};

use super::*;

fn volume(name: &str, size: &str, mode: &str, class: &str) -> Arc<PersistentVolume> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": { "capacity": { "storage": size }, "accessModes": [mode], "storageClassName": class },
        }))
        .expect("a volume"),
    )
}

fn claim() -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": { "name": "c", "namespace": "default", "uid": "u" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    }))
    .expect("a claim")
}

#[test]
fn the_smallest_that_will_do() {
    let volumes = [
        volume("large", "10Gi", "ReadWriteOnce", ""),
        volume("right", "2Gi", "ReadWriteOnce", ""),
        volume("small", "500Mi", "ReadWriteOnce", ""),
        volume("shared", "1Gi", "ReadWriteMany", ""),
        volume("fast", "1Gi", "ReadWriteOnce", "ssd"),
    ];
    assert_eq!(choose(&claim(), None, &volumes).map(|volume| volume.name()), Some("right"));
    assert!(choose(&claim(), None, &volumes[2..]).is_none());
}

#[test]
fn a_reserved_volume_goes_to_its_claim_only() {
    let mut reserved = volume("right", "2Gi", "ReadWriteOnce", "").as_ref().clone();
    let mine = ObjectReference {
        namespace: Some("default".to_owned()),
        name: Some("c".to_owned()),
        ..ObjectReference::default()
    };
    let set = |volume: &mut PersistentVolume, to: ObjectReference| {
        volume.spec.as_mut().expect("a spec").claim_ref = Some(to);
    };
    set(&mut reserved, mine.clone());
    assert_eq!(phase(&reserved, None), "Available");
    assert_eq!(phase(&reserved, Some(&claim())), "Bound");
    let volumes = [Arc::new(reserved.clone())];
    assert!(choose(&claim(), None, &volumes).is_some());
    set(&mut reserved, ObjectReference { uid: Some("older".to_owned()), ..mine });
    assert_eq!(phase(&reserved, Some(&claim())), "Released", "the claim of that name is another one now");
    assert!(choose(&claim(), None, &[Arc::new(reserved)]).is_none());
}

fn class(provisioner: &str, mode: &str, annotations: &Value) -> StorageClass {
    serde_json::from_value(json!({
        "metadata": { "name": "fast", "annotations": annotations },
        "provisioner": provisioner, "volumeBindingMode": mode,
    }))
    .expect("a class")
}

fn claim_of(class: &str, annotations: &Value) -> PersistentVolumeClaim {
    let mut claim = claim();
    claim.spec.as_mut().expect("a spec").storage_class_name = Some(class.to_owned());
    claim.metadata.annotations = serde_json::from_value(annotations.clone()).expect("annotations");
    claim
}

#[test]
fn a_claim_that_waits_for_its_pod_is_bound_to_what_is_reserved_for_it_only() {
    let late = class("example.com/disks", "WaitForFirstConsumer", &Value::Null);
    let claim = claim_of("fast", &Value::Null);
    let mut volumes = [volume("free", "1Gi", "ReadWriteOnce", "fast")];
    assert!(choose(&claim, Some(&late), &volumes).is_none());
    let reference = ObjectReference {
        namespace: Some("default".to_owned()),
        name: Some("c".to_owned()),
        uid: Some("u".to_owned()),
        ..ObjectReference::default()
    };
    Arc::make_mut(&mut volumes[0]).spec.as_mut().expect("a spec").claim_ref = Some(reference);
    assert!(choose(&claim, Some(&late), &volumes).is_some());
}

#[test]
fn a_claim_without_a_volume_says_what_it_waits_for() {
    let late = class("example.com/disks", "WaitForFirstConsumer", &Value::Null);
    let told = |claim: &PersistentVolumeClaim, class: Option<&StorageClass>, pods: &[&str]| {
        let pods: Vec<String> = pods.iter().map(|&pod| pod.to_owned()).collect();
        match wait(claim, class, &pods) {
            Wait::Told(kind, reason, message) => format!("{} {reason} {message}", kind.as_str()),
            Wait::Provisioner(name) => name,
            Wait::Named => "named".to_owned(),
        }
    };
    let of_class = claim_of("fast", &Value::Null);
    assert_eq!(
        told(&of_class, Some(&late), &[]),
        "Normal WaitForFirstConsumer waiting for first consumer to be created before binding"
    );
    assert_eq!(
        told(&of_class, Some(&late), &["web"]),
        "Normal WaitForPodScheduled waiting for pod web to be scheduled"
    );
    let selected = claim_of("fast", &json!({ "volume.kubernetes.io/selected-node": "node1" }));
    assert_eq!(told(&selected, Some(&late), &["web"]), "example.com/disks");
    let none = class("kubernetes.io/no-provisioner", "Immediate", &Value::Null);
    assert_eq!(
        told(&of_class, Some(&none), &[]),
        "Warning ProvisioningFailed no volume plugin matched name: kubernetes.io/no-provisioner"
    );
    assert_eq!(told(&of_class, None, &[]), "Warning ProvisioningFailed storageclass.storage.k8s.io \"fast\" not found");
    assert_eq!(
        wait(&claim(), None, &[]),
        Wait::Told(
            EventType::Normal,
            "FailedBinding",
            "no persistent volumes available for this claim and no storage class is set".to_owned()
        )
    );
}

#[test]
fn of_several_default_classes_the_newest_is_taken() {
    let named = |name: &str, created: &str, default: &str| {
        let mut class = class("x/y", "Immediate", &json!({ "storageclass.kubernetes.io/is-default-class": default }));
        class.metadata.name = Some(name.to_owned());
        class.metadata.creation_timestamp = serde_json::from_value(json!(created)).expect("a time");
        Arc::new(class)
    };
    let classes = [
        named("old", "2026-11-20T10:00:00Z", "true"),
        named("b", "2026-11-20T11:00:00Z", "true"),
        named("a", "2026-11-20T11:00:00Z", "true"),
        named("newest", "2026-11-20T12:00:00Z", "false"),
    ];
    assert_eq!(default_class(&classes).map(|class| class.name()), Some("a"));
    assert!(default_class(&classes[3..]).is_none());
}

#[test]
fn what_becomes_of_a_released_volume_is_its_policy() {
    let of = |source: Value, policy: &str, by: Option<&str>| {
        let mut spec = source;
        spec["persistentVolumeReclaimPolicy"] = policy.into();
        let annotations = by.map(|by| json!({ PROVISIONED_BY: by }));
        let volume = json!({ "metadata": { "name": "v", "annotations": annotations }, "spec": spec });
        reclaim(&serde_json::from_value(volume).expect("a volume"))
    };
    let host = |path: &str| json!({ "hostPath": { "path": path } });
    assert_eq!(of(host("/srv"), "Retain", None), Reclaim::Keep);
    assert_eq!(of(host("/srv"), "Delete", Some("podlab/local-path")), Reclaim::Keep, "who made it takes it away");
    assert_eq!(of(host("/tmp/data"), "Delete", None), Reclaim::Keep, "the provisioner removes it");
    let refused = "host_path deleter only supports /tmp/.+ but received provided /srv".to_owned();
    assert_eq!(of(host("/srv"), "Delete", None), Reclaim::Failed("VolumeFailedDelete", refused));
    let unknown = "error getting deleter volume plugin for volume \"v\": no deletable volume plugin matched".to_owned();
    let local = json!({ "local": { "path": "/mnt/disk" } });
    assert_eq!(of(local, "Delete", None), Reclaim::Failed("VolumeFailedDelete", unknown));
}
