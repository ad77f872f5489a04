//! Kinds of volumes that are refused.

use k8s_openapi::api::core::v1::Pod;
use podlab_testkit::Kubectl;
use serde_json::json;

use super::plug::rig::Rig;

#[test]
fn what_no_node_here_can_mount_is_refused_by_name() {
    let Some(kubectl) = Kubectl::any() else { return };
    let rig = Rig::start();
    let volumes = [
        (
            "iscsi",
            json!({"iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:x", "lun": 0}}),
            "volumes of the kind iscsi are not supported here: use emptyDir",
        ),
        ("csi", json!({"csi": {"driver": "example.com"}}), "volumes of the kind csi are not supported here"),
        ("disk", json!({"gcePersistentDisk": {"pdName": "x"}}), "volumes of the kind gcePersistentDisk are not"),
        (
            "git",
            json!({"gitRepo": {"repository": "https://example.com/x"}}),
            "gitRepo (removed upstream: it ran the repository's hooks on the node)",
        ),
    ];
    for (name, source, text) in volumes {
        let mut volume = source;
        volume["name"] = json!("v");
        rig.create::<Pod>(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"volumes": [volume], "containers": [{"name": "main", "image": "busybox:1.36",
                "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]},
        }));
        let told = super::pulls::event(&rig, &kubectl, name, "FailedMount");
        assert!(told.starts_with("MountVolume.SetUp failed for volume \"v\" : ") && told.contains(text), "{told}");
    }
    rig.cluster.stop();
}
