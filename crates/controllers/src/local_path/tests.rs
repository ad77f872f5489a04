use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::decide::{Seen, Step, decide};
use super::helper;

fn of<T: DeserializeOwned>(object: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(object).expect("an object of its kind"))
}

fn claim(node: Option<&str>, mode: &str) -> Arc<PersistentVolumeClaim> {
    let mut annotations = json!({ "volume.kubernetes.io/storage-provisioner": "podlab/local-path" });
    if let Some(node) = node {
        annotations["volume.kubernetes.io/selected-node"] = node.into();
    }
    of(json!({
        "metadata": { "name": "c", "namespace": "default", "uid": "u", "annotations": annotations },
        "spec": { "accessModes": [mode], "storageClassName": "local-path", "volumeMode": "Filesystem",
            "resources": { "requests": { "storage": "1Gi" } } },
    }))
}

fn class() -> Value {
    json!({ "metadata": { "name": "local-path" }, "provisioner": "podlab/local-path", "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer" })
}

fn in_phase(helper: &Pod, phase: &str) -> Option<Arc<Pod>> {
    let mut helper = helper.clone();
    helper.metadata.creation_timestamp = serde_json::from_value(json!("2026-11-20T10:00:00Z")).expect("a time");
    helper.status.get_or_insert_default().phase = Some(phase.to_owned());
    Some(Arc::new(helper))
}

fn seen(claim: Option<Arc<PersistentVolumeClaim>>) -> Seen {
    Seen {
        claim,
        class: Some(of(class())),
        a_node: Some("node1".to_owned()),
        now: "2026-11-20T10:00:15Z".parse().expect("a time"),
        nodes: ["node1", "node2"].map(str::to_owned).into(),
        ..Seen::default()
    }
}

/// The volume as it is published, in a phase.
fn volume(phase: &str) -> Option<Arc<PersistentVolume>> {
    let class = serde_json::from_value(class()).expect("a class");
    let mut volume = helper::volume(&claim(Some("node2"), "ReadWriteOnce"), Some(&class), "node2");
    volume.status.get_or_insert_default().phase = Some(phase.to_owned());
    Some(Arc::new(volume))
}

const PATH: &str = "/opt/local-path-provisioner/pvc-u_default_c";

#[test]
fn a_claim_with_a_node_gets_a_directory_there_and_then_a_volume() {
    assert_eq!(decide(&seen(Some(claim(None, "ReadWriteOnce")))), Step::Rest, "no Pod needs it yet");
    let mut seen = seen(Some(claim(Some("node2"), "ReadWriteOnce")));
    assert_eq!(decide(&seen), Step::Make { node: "node2".to_owned() });
    let helper = helper::make(seen.claim.as_ref().expect("a claim"), "node2");
    assert_eq!(helper.spec.as_ref().expect("a spec").node_name.as_deref(), Some("node2"));
    for (phase, step) in [
        ("Running", Step::Rest),
        ("Failed", Step::MakeAgain),
        ("Succeeded", Step::Publish { node: "node2".to_owned() }),
    ] {
        seen.make = in_phase(&helper, phase);
        assert_eq!(decide(&seen), step, "{phase}");
    }
    seen.make = in_phase(&helper, "Failed");
    seen.now = "2026-11-20T10:00:14Z".parse().expect("a time");
    assert_eq!(decide(&seen), Step::Later);
    seen.volume = volume("Pending");
    assert_eq!(decide(&seen), Step::Clean, "the helper has done what it was for");
    seen.make = None;
    assert_eq!(decide(&seen), Step::Rest);
}

#[test]
fn a_claim_of_an_immediate_class_needs_no_pod() {
    let mut seen = seen(Some(claim(None, "ReadWriteOnce")));
    let mut immediate = class();
    immediate["volumeBindingMode"] = "Immediate".into();
    seen.class = Some(of(immediate));
    assert_eq!(decide(&seen), Step::Make { node: "node1".to_owned() });
}

#[test]
fn what_no_directory_is_gets_none() {
    let why = "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes".to_owned();
    assert_eq!(decide(&seen(Some(claim(Some("node1"), "ReadWriteMany")))), Step::Refuse(why));
}

#[test]
fn a_released_volume_goes_with_its_directory() {
    let mut seen = seen(None);
    seen.volume = volume("Bound");
    assert_eq!(decide(&seen), Step::Rest);
    seen.volume = volume("Released");
    assert_eq!(decide(&seen), Step::Remove { node: Some("node2".to_owned()), path: PATH.to_owned() });
    let helper = helper::remove("pvc-u", Some("node2"), PATH);
    for (phase, step) in [("Pending", Step::Rest), ("Failed", Step::RemoveAgain), ("Succeeded", Step::Forget)] {
        seen.remove = in_phase(&helper, phase);
        assert_eq!(decide(&seen), step, "{phase}");
    }
    seen.volume = None;
    assert_eq!(decide(&seen), Step::Clean, "we were killed before the helper was deleted");
    // With a node that is no more, its disk is gone too.
    seen.volume = volume("Released");
    seen.remove = None;
    seen.nodes.remove("node2");
    assert_eq!(decide(&seen), Step::Forget);
}

#[test]
fn what_is_to_be_retained_or_is_not_ours_stays() {
    let change = |change: &dyn Fn(&mut PersistentVolume)| {
        let mut one = volume("Released").expect("a volume").as_ref().clone();
        change(&mut one);
        let mut seen = seen(None);
        seen.volume = Some(Arc::new(one));
        decide(&seen)
    };
    let set_path = |volume: &mut PersistentVolume, path: &str| {
        let host = volume.spec.as_mut().and_then(|spec| spec.host_path.as_mut()).expect("a path");
        host.path = path.to_owned();
    };
    let retain = Some("Retain".to_owned());
    assert_eq!(
        change(&|volume| volume.spec.as_mut().expect("a spec").persistent_volume_reclaim_policy.clone_from(&retain)),
        Step::Rest
    );
    for path in
        ["/etc", "/opt/local-path-provisioner", "/opt/local-path-provisioner/..", "/opt/local-path-provisioner/a/b"]
    {
        assert_eq!(change(&|volume| set_path(volume, path)), Step::Rest, "{path}");
    }
    let by_hand = |path: &str| {
        change(&|volume| {
            volume.metadata.annotations = None;
            set_path(volume, path);
        })
    };
    assert_eq!(by_hand("/tmp/data"), Step::Remove { node: None, path: "/tmp/data".to_owned() });
    for path in ["/tmp/", "/tmp/../etc", "/tmp/a/", "/srv/data"] {
        assert_eq!(by_hand(path), Step::Rest, "{path}");
    }
}

#[test]
fn a_claim_that_goes_while_its_directory_is_made_leaves_none() {
    let made = helper::make(&claim(Some("node2"), "ReadWriteOnce"), "node2");
    let mut seen = seen(None);
    seen.make = in_phase(&made, "Running");
    assert_eq!(decide(&seen), Step::Rest);
    seen.make = in_phase(&made, "Succeeded");
    assert_eq!(decide(&seen), Step::Remove { node: Some("node2".to_owned()), path: PATH.to_owned() });
    seen.remove = in_phase(&helper::remove("pvc-u", Some("node2"), PATH), "Succeeded");
    assert_eq!(decide(&seen), Step::Clean);
}
