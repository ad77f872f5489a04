//! Persistent volumes on the disks of real nodes, and what becomes of them; and Pods that keep more on the disk than they may.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use podlab_testkit::{Cluster, DEADLINE, Kubectl};
use serde_json::{Value, json};

use super::plug::rig::{Part, Rig, kill};
use super::pulls::event;

fn claim(name: &str, class: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": "1Mi"}}},
    })
}

/// A Pod that adds a line to a file in its volume.
fn pod(name: &str, claim: &str, selector: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "terminationGracePeriodSeconds": 0, "nodeSelector": selector,
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}],
            "containers": [{"name": "main", "image": "busybox:1.36",
                "command": ["sh", "-c", "echo here >> /v/log; sleep 3600"],
                "securityContext": {"runAsUser": 1000},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        },
    })
}

/// kubectl, on the cluster of a test.
struct Typed<'a>(&'a Rig, &'a Kubectl);

impl Typed<'_> {
    fn run(&self, arguments: &str) -> String {
        self.0.cluster.kubectl(self.1, arguments.split(' ')).success().stdout
    }

    /// Waits until an object says, or is, what it should.
    fn wait(&self, what: &str) {
        self.run(&format!("wait {what} --timeout={}s", DEADLINE.as_secs()));
    }

    fn get(&self, what: &str, path: &str) -> String {
        self.run(&format!("get {what} -o jsonpath={path}"))
    }
}

/// A directory of a node's disk, as the host has it.
fn on_disk(rig: &Rig, node: &str, path: &str) -> PathBuf {
    rig.cluster.directory().join("nodes").join(node).join("disk").join(path.trim_start_matches('/'))
}

#[test]
fn what_a_claim_holds_outlives_its_pods_and_goes_with_it() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::builder().argument("--nodes=2").argument("--default-storage-class=local-path").start();
    let rig = Rig::of(cluster);
    let typed = Typed(&rig, &kubectl);
    typed.wait("--for=condition=Ready nodes --all");
    let classes = typed.run("get storageclasses");
    assert!(classes.contains("local-path (default)   podlab/local-path"), "{classes}");
    rig.create::<PersistentVolumeClaim>(&claim("kept", None));
    assert_eq!(
        event(&rig, &kubectl, "kept", "WaitForFirstConsumer"),
        "waiting for first consumer to be created before binding"
    );

    rig.create::<Pod>(&pod("first", "kept", &json!({"kubernetes.io/hostname": "node2"})));
    rig.until_ready("first");
    assert_eq!(typed.get("pvc/kept", "{.status.phase}/{.spec.storageClassName}"), "Bound/local-path");
    let volume = typed.get("pvc/kept", "{.spec.volumeName}");
    let path = typed.get(&format!("pv/{volume}"), "{.spec.hostPath.path}");
    let directory = on_disk(&rig, "node2", &path);
    assert_eq!(std::fs::read_to_string(directory.join("log")).unwrap(), "here\n");

    // Another Pod, that may go anywhere, finds it: where it is.
    rig.delete("first", 0);
    rig.until_gone("first");
    rig.create::<Pod>(&pod("second", "kept", &json!({})));
    let second = rig.until_ready("second");
    assert_eq!(second.spec.unwrap().node_name.as_deref(), Some("node2"));
    assert_eq!(std::fs::read_to_string(directory.join("log")).unwrap(), "here\nhere\n");

    // In use, it stays; then the claim goes, the volume, and what was on it.
    typed.run("delete pvc kept --wait=false");
    let shown = typed.run("get pvc kept");
    assert!(shown.contains("Terminating"), "{shown}");
    rig.delete("second", 0);
    typed.wait("--for=delete pvc/kept");
    typed.wait(&format!("--for=delete pv/{volume}"));
    assert!(!directory.exists());
    typed.wait("--for=delete pod -n kube-system -l app=local-path-provisioner");
    rig.cluster.stop();
}

#[test]
fn volumes_made_by_hand_are_kept_or_deleted_as_they_say() {
    let Some(kubectl) = Kubectl::any() else { return };
    let rig = Rig::start();
    let typed = Typed(&rig, &kubectl);
    // Without a default class nothing is made, and nothing waits for a Pod.
    rig.create::<PersistentVolumeClaim>(&claim("kept", Some("local-storage")));
    rig.create::<PersistentVolumeClaim>(&claim("gone", None));
    rig.create::<Pod>(&pod("kept", "kept", &json!({})));
    rig.create::<Pod>(&pod("gone", "gone", &json!({})));
    rig.until_pod("kept", |pod| {
        let conditions = pod?.status.as_ref()?.conditions.clone()?;
        let told = conditions.into_iter().find_map(|condition| condition.message)?;
        told.contains("1 node(s) didn't find available persistent volumes to bind").then_some(())
    });
    let volume = |name: &str, class: &str, path: &str, policy: &str| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
                "persistentVolumeReclaimPolicy": policy, "hostPath": {"path": path, "type": "Directory"}},
        })
    };
    for path in ["/srv/kept", "/tmp/gone"] {
        typed_on_node(&rig, &["mkdir", "-p", "-m", "0777", path]);
    }
    rig.create::<PersistentVolume>(&volume("kept", "local-storage", "/srv/kept", "Retain"));
    rig.create::<PersistentVolume>(&volume("gone", "", "/tmp/gone", "Delete"));
    for name in ["kept", "gone"] {
        rig.until_ready(name);
        rig.delete(name, 0);
        typed.run(&format!("delete pvc {name}"));
    }
    typed.wait("--for=jsonpath={.status.phase}=Released pv/kept");
    typed.wait("--for=delete pv/gone");
    assert_eq!(std::fs::read_to_string(on_disk(&rig, "node1", "/srv/kept/log")).unwrap(), "here\n");
    assert!(!typed_on_node(&rig, &["ls", "/tmp"]).contains("gone"));

    // Who takes its claim off gives it to the next: with everything that is on it.
    rig.create::<PersistentVolumeClaim>(&claim("next", Some("local-storage")));
    typed.run("patch pv kept --type=merge --patch={\"spec\":{\"claimRef\":null}}");
    let mut next = pod("next", "next", &json!({}));
    next["spec"]["volumes"][0]["persistentVolumeClaim"]["readOnly"] = json!(true);
    rig.create::<Pod>(&next);
    rig.until_ready("next");
    assert_eq!(typed.run("exec next -- cat /v/log"), "here\n");
    assert!(typed.run("logs next").contains("Read-only file system"));
    assert_eq!(std::fs::read_to_string(on_disk(&rig, "node1", "/srv/kept/log")).unwrap(), "here\n");
    rig.cluster.stop();
}

fn typed_on_node(rig: &Rig, command: &[&str]) -> String {
    rig.cluster.podlab([&["node", "exec", "node1", "--"], command].concat()).success().stdout
}

#[test]
fn a_pod_that_keeps_more_on_the_disk_than_it_may_is_evicted() {
    let Some(kubectl) = Kubectl::any() else { return };
    let rig = Rig::start();
    let of = |name: &str, script: &str, resources: Value, size_limit: Value| {
        rig.create::<Pod>(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": size_limit}}],
                "containers": [{"name": "main", "image": "busybox:1.36", "resources": resources,
                    "command": ["sh", "-c", format!("{script}; sleep 3600")],
                    "volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}],
            },
        }));
    };
    let write = |path: &str| format!("head -c 3000000 /dev/zero > {path}");
    let limited = json!({"limits": {"ephemeral-storage": "2Mi"}});
    of("modest", &write("/cache/file"), json!({"limits": {"ephemeral-storage": "4Mi"}}), json!("4Mi"));
    of("volume", &write("/cache/file"), json!({}), json!("2Mi"));
    of("layer", &write("/file"), limited.clone(), Value::Null);
    of("logs", "yes to everything | head -c 3000000", limited, Value::Null);
    let all = "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ";
    for (name, text) in
        [("volume", "Usage of EmptyDir volume \"cache\" exceeds the limit \"2Mi\". "), ("layer", all), ("logs", all)]
    {
        let status = rig.until_pod(name, |pod| {
            let status = pod?.status.clone()?;
            (status.phase.as_deref() == Some("Failed")).then_some(status)
        });
        assert_eq!((status.reason.as_deref(), status.message.as_deref()), (Some("Evicted"), Some(text)), "{name}");
        assert_eq!(event(&rig, &kubectl, name, "Evicted").trim_end(), text.trim_end());
    }
    // One that keeps to its limits was looked at as often, and stays.
    rig.until_ready("modest");
    rig.cluster.stop();
}

#[test]
fn nothing_is_lost_when_the_control_plane_dies_while_volumes_are_made_and_removed() {
    let Some(kubectl) = Kubectl::any() else { return };
    let rig = Rig::of(Cluster::builder().argument("--default-storage-class=local-path").start());
    let typed = Typed(&rig, &kubectl);
    let end = || {
        rig.pids(Part::ControlPlane).into_iter().for_each(kill);
        rig.until_all_run();
    };
    for (name, moment) in [("a", None), ("b", Some("Provisioning")), ("c", Some("ProvisioningSucceeded"))] {
        rig.create::<PersistentVolumeClaim>(&claim(name, None));
        rig.create::<Pod>(&pod(name, name, &json!({})));
        if let Some(reason) = moment {
            event(&rig, &kubectl, name, reason);
        }
        end();
        rig.until_ready(name);
        let volume = typed.get(&format!("pvc/{name}"), "{.spec.volumeName}");
        typed.run(&format!("delete pvc {name} --wait=false"));
        rig.delete(name, 0);
        end();
        typed.wait(&format!("--for=delete pvc/{name}"));
        typed.wait(&format!("--for=delete pv/{volume}"));
    }
    typed.wait("--for=delete pod -n kube-system -l app=local-path-provisioner");
    assert_eq!(typed_on_node(&rig, &["ls", "/opt/local-path-provisioner"]), "");
    rig.cluster.stop();
}
