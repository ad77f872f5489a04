//! Every kind of volume in one Pod: what is in each at the start, what survives what, and what changes by itself.

use std::time::Instant;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use podlab_testkit::{DEADLINE, Kubectl};
use serde_json::{Value, json};

use super::plug::rig::Rig;

/// Writes a line into each place that can be written to, and ends when it is told.
const PROGRAM: &str = "for place in disk memory host claim; do echo run >> /v/$place/log; done; \
    mkfifo -m 666 /end; read word < /end";

fn pod() -> Value {
    let mount = |name: &str| json!({"name": name, "mountPath": format!("/v/{name}")});
    let mut mounts: Vec<Value> =
        ["disk", "memory", "host", "claim", "config", "secret", "about", "all", "image"].map(mount).into();
    mounts.extend([
        json!({"name": "disk", "mountPath": "/v/below", "subPath": "a/b"}),
        json!({"name": "disk", "mountPath": "/v/own", "subPathExpr": "of/$(POD_NAME)"}),
        json!({"name": "disk", "mountPath": "/v/disk/inside", "subPath": "c"}),
        json!({"name": "host", "mountPath": "/v/read", "readOnly": true, "recursiveReadOnly": "IfPossible"}),
        json!({"name": "config", "mountPath": "/etc/issue", "subPath": "greeting"}),
    ]);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "all", "namespace": "default", "labels": {"app": "first"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"fsGroup": 2000},
            "volumes": [
                {"name": "disk", "emptyDir": {}},
                {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                {"name": "host", "hostPath": {"path": "/data/all", "type": "DirectoryOrCreate"}},
                {"name": "claim", "persistentVolumeClaim": {"claimName": "kept"}},
                {"name": "config", "configMap": {"name": "words"}},
                {"name": "secret", "secret": {"secretName": "key", "defaultMode": 0o400,
                    "items": [{"key": "word", "path": "deep/word"}]}},
                {"name": "about", "downwardAPI": {"items": [
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                {"name": "all", "projected": {"sources": [
                    {"configMap": {"name": "words"}},
                    {"secret": {"name": "key"}},
                    {"configMap": {"name": "nosuch", "optional": true}},
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
                    {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}]}},
                {"name": "image", "image": {"reference": "nginx"}},
            ],
            "containers": [{
                "name": "main", "image": "busybox:1.36", "command": ["sh", "-c", PROGRAM],
                "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "greeting"}}}],
                "volumeMounts": mounts,
            }],
        },
    })
}

#[test]
fn each_kind_of_volume_has_what_it_should_and_keeps_what_it_promises() {
    let Some(kubectl) = Kubectl::any() else { return };
    let rig = Rig::start();
    let labelled = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}});
    let with = |mut object: Value, field: &str, value: Value| {
        object[field] = value;
        object
    };
    rig.create::<ConfigMap>(&with(labelled("ConfigMap", "words"), "data", json!({"greeting": "hello"})));
    rig.create::<Secret>(&with(labelled("Secret", "key"), "stringData", json!({"word": "sesame"})));
    rig.create::<PersistentVolume>(&json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "kept"},
        "spec": {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand",
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": "/data/claim", "type": "DirectoryOrCreate"}},
    }));
    let claim = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand",
        "resources": {"requests": {"storage": "1Mi"}}});
    rig.create::<PersistentVolumeClaim>(&with(labelled("PersistentVolumeClaim", "kept"), "spec", claim));
    rig.create::<Pod>(&pod());
    rig.until_ready("all");

    let shell = |script: &str| {
        let output = rig.cluster.kubectl(&kubectl, ["exec", "all", "--", "sh", "-c", script]);
        format!("{}{}", output.stdout, output.stderr)
    };
    let lines = || {
        let count = |place: &str| shell(&format!("wc -l < /v/{place}/log")).trim().to_owned();
        ["disk", "memory", "host", "claim"].map(count)
    };
    let until = |script: &str, wanted: &str| {
        let end = Instant::now() + DEADLINE;
        while shell(script) != wanted {
            assert!(Instant::now() < end, "{script}: {:?}, not {wanted:?}", shell(script));
        }
    };
    assert_eq!(lines(), ["1", "1", "1", "1"]);

    // What is in those that are made of objects.
    assert_eq!(shell("cat /v/config/greeting /v/secret/deep/word /etc/issue /v/all/name"), "hellosesamehelloall");
    assert_eq!(shell("echo $GREETING; cat /v/about/labels"), "hello\napp=\"first\"");
    assert_eq!(shell("ls /v/all; ls /v/secret"), "greeting\nname\ntoken\nword\ndeep\n");
    assert!(shell("cat /v/all/token").starts_with("ey"));
    assert!(shell("cat /v/image/usr/share/nginx/html/index.html").contains("Welcome to nginx!"));
    // A group of the Pod's own reads what only the owner may, and owns what is made in its volumes.
    assert_eq!(shell("stat -L -c '%a %g' /v/secret/deep/word"), "440 2000\n");
    assert_eq!(shell("touch /v/disk/made && stat -c %g /v/disk/made"), "2000\n");

    // Where nothing can be written, and how much elsewhere.
    for place in ["config", "secret", "about", "all", "image", "read"] {
        assert!(shell(&format!("touch /v/{place}/new")).contains("Read-only file system"), "{place}");
    }
    assert_eq!(shell("cat /v/read/log"), "run\n", "the same folder, to be read");
    shell("head -c 2000000 /dev/zero > /v/memory/large");
    let written: u64 = shell("wc -c < /v/memory/large; rm /v/memory/large").trim().parse().unwrap();
    assert!((1..=1 << 20).contains(&written), "{written} bytes in a volume of 1 MiB");
    shell("echo b > /v/below/file; echo own > /v/own/file; echo c > /v/disk/inside/file");
    assert_eq!(shell("cat /v/disk/a/b/file /v/disk/of/all/file"), "b\nown\n");

    // What changes by itself: files, all at once; not the environment, and not what is mounted over one file.
    let patch =
        ["patch", "configmap", "words", "--type=merge", "--patch={\"data\":{\"greeting\":\"bye\",\"more\":\"x\"}}"];
    rig.cluster.kubectl(&kubectl, patch).success();
    until("cat /v/config/greeting /v/config/more /v/all/greeting", "byexbye");
    assert_eq!(shell("cat /etc/issue; echo $GREETING"), "hellohello\n");
    rig.cluster.kubectl(&kubectl, ["label", "pod", "all", "app=second", "--overwrite"]).success();
    until("cat /v/about/labels", "app=\"second\"");

    // Another run of the container finds everything.
    shell("echo over > /end");
    rig.until_pod("all", |pod| {
        let status = pod?.status.as_ref()?.container_statuses.as_ref()?.first()?.clone();
        (status.restart_count == 1 && status.ready).then_some(())
    });
    assert_eq!(lines(), ["2", "2", "2", "2"]);
    assert_eq!(shell("cat /v/below/file /v/own/file /etc/issue; echo $GREETING"), "b\nown\nbyebye\n");

    // Another Pod of the name finds what is not the Pod's own.
    rig.delete("all", 0);
    rig.until_pod("all", |pod| pod.is_none().then_some(()));
    rig.create::<Pod>(&pod());
    rig.until_ready("all");
    assert_eq!(lines(), ["1", "1", "3", "3"]);
    assert_eq!(shell("ls /v/below"), "");
    rig.cluster.stop();
}

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
