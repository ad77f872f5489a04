//! The objects that the provisioner makes: helpers, and the volumes themselves.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use podlab_client::Object;
use podlab_client::cache::Key;
use podlab_client::events::reference;
use serde_json::{Value, json};

use super::NAME;
use crate::volume_binder::PROVISIONED_BY;

/// Where helpers run.
pub const NAMESPACE: &str = "kube-system";
/// The directory of all volumes, on each node's disk.
const ROOT: &str = "/opt/local-path-provisioner";
/// On volumes and helpers: the node that the directory is on.
pub(super) const NODE: &str = "local.path.provisioner/selected-node";
/// On helpers: the directory.
const PATH: &str = "local.path.provisioner/path";

pub(super) fn to_make(volume: &str) -> String {
    format!("helper-pod-create-{volume}")
}

pub(super) fn to_remove(volume: &str) -> String {
    format!("helper-pod-delete-{volume}")
}

/// The volume that a Pod is a helper for.
pub(super) fn volume_of(pod: &Key) -> Option<Key> {
    let name = pod.name.strip_prefix("helper-pod-create-").or_else(|| pod.name.strip_prefix("helper-pod-delete-"))?;
    (pod.namespace == NAMESPACE).then(|| Key::new("", name))
}

fn annotation(pod: &Pod, name: &str) -> Option<String> {
    pod.metadata.annotations.as_ref()?.get(name).cloned()
}

/// The node a helper works on.
pub(super) fn node_of(helper: &Pod) -> Option<String> {
    annotation(helper, NODE)
}

/// The directory a helper works on.
pub(super) fn path_of(helper: &Pod) -> Option<String> {
    annotation(helper, PATH).filter(|path| is_own(path))
}

/// Whether a directory is one of those that are made here. Who writes a volume by hand must not have another one removed.
pub(super) fn is_own(path: &str) -> bool {
    let name = path.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/') && name != "." && name != "..")
}

fn directory(claim: &PersistentVolumeClaim) -> String {
    format!("{ROOT}/pvc-{}_{}_{}", claim.uid(), claim.namespace().unwrap_or_default(), claim.name())
}

/// A helper that makes a claim's directory, which everybody may write to: who will is not known.
pub(super) fn make(claim: &PersistentVolumeClaim, node: &str) -> Pod {
    helper(&to_make(&super::volume_of(claim)), Some(node), &directory(claim), &["mkdir", "-m", "0777", "-p"])
}

/// A helper that removes a directory. It follows no links.
pub(super) fn remove(volume: &str, node: Option<&str>, path: &str) -> Pod {
    helper(&to_remove(volume), node, path, &["rm", "-rf"])
}

fn helper(name: &str, node: Option<&str>, path: &str, command: &[&str]) -> Pod {
    let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = if parent.is_empty() { "/" } else { parent };
    let mut command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    command.push(format!("/data/{last}"));
    let mut annotations = json!({ PATH: path });
    if let Some(node) = node {
        annotations[NODE] = node.into();
    }
    of_json(json!({
        "metadata": {
            "name": name, "namespace": NAMESPACE,
            "labels": { "app": "local-path-provisioner" },
            "annotations": annotations,
        },
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "tolerations": [{ "operator": "Exists" }],
            "containers": [{
                "name": "helper-pod", "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": command,
                "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
            }],
            "volumes": [{ "name": "data", "hostPath": { "path": parent, "type": "DirectoryOrCreate" } }],
        },
    }))
}

/// The volume of a claim, on the node on which its directory is.
pub(super) fn volume(claim: &PersistentVolumeClaim, class: Option<&StorageClass>, node: &str) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    let requests = spec.resources.and_then(|resources| resources.requests).unwrap_or_default();
    let mut claim_ref = reference(claim);
    claim_ref.field_path = None;
    let only = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] });
    of_json(json!({
        "metadata": {
            "name": super::volume_of(claim),
            "annotations": { PROVISIONED_BY: NAME, NODE: node },
        },
        "spec": {
            "accessModes": spec.access_modes,
            "capacity": { "storage": requests.get("storage") },
            "claimRef": claim_ref,
            "hostPath": { "path": directory(claim), "type": "DirectoryOrCreate" },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [only] }] } },
            "persistentVolumeReclaimPolicy": class.and_then(|class| class.reclaim_policy.clone()),
            "storageClassName": spec.storage_class_name,
            "volumeMode": spec.volume_mode,
        },
    }))
}

/// What is written here is an object of its kind; a test reads each of them.
fn of_json<T: serde::de::DeserializeOwned + Default>(object: Value) -> T {
    serde_json::from_value(object).unwrap_or_default()
}
