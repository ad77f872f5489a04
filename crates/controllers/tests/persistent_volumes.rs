//! Claims whose volumes are chosen with the node of their Pod, or made there; on a real API server in memory. The nodes are
//! not: a test says how the helpers ended.

mod support;

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use podlab_client::{Cache, DeleteOptions, Object, Patch};
use serde_json::{Value, json};
use support::{Cluster, until};

const SELECTED: &str = "volume.kubernetes.io/selected-node";

fn class(name: &str, provisioner: &str, mode: &str) -> Value {
    json!({
        "metadata": { "name": name }, "provisioner": provisioner, "reclaimPolicy": "Delete", "volumeBindingMode": mode,
    })
}

fn claim(name: &str, class: Option<&str>) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": { "requests": { "storage": "1Gi" } } },
    })
}

fn pod(name: &str, claim: &str, node: Option<&str>) -> Value {
    let mut pod = json!({
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "containers": [{ "name": "c", "image": "kuard" }],
            "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": claim } }],
        },
    });
    if let Some(node) = node {
        pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
    }
    pod
}

fn local(name: &str, size: &str, node: &str) -> Value {
    let here = json!([{ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] }]);
    json!({
        "metadata": { "name": name },
        "spec": { "capacity": { "storage": size }, "accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand",
            "local": { "path": "/mnt/disk" },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": here }] } } },
    })
}

/// The node that a Pod gets, at whatever time.
async fn node_of(cluster: &Cluster, name: &str) -> String {
    let pods = cluster.watch::<Pod>();
    let placed = until(&pods, |pods| pods.iter().find(|pod| pod.name() == name)?.spec.as_ref()?.node_name.clone());
    let clock = async {
        // However often the Pod was tried before, no back-off is longer than ten seconds.
        loop {
            cluster.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        node = placed => node,
        () = clock => unreachable!("it goes on for ever"),
    }
}

/// Plays the kubelet: waits for a helper on a node, and has it end.
async fn ended(cluster: &Cluster, pods: &Cache<Pod>, beginning: &str, node: &str, phase: &str) -> Pod {
    let helper = until(pods, |pods| {
        let running = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending");
        pods.iter().find(|pod| pod.name().starts_with(beginning) && running(pod)).map(|pod| (**pod).clone())
    })
    .await;
    assert_eq!(helper.spec.as_ref().and_then(|spec| spec.node_name.as_deref()), Some(node));
    let patch = Patch::Merge(json!({ "status": { "phase": phase } }));
    cluster.client.patch::<Pod>("kube-system", helper.name(), &patch, Some("status")).await.expect("written");
    helper
}

/// Waits until a Pod says that it has no node, and says why.
async fn unscheduled(pods: &Cache<Pod>, name: &str, why: &str) {
    until(pods, |pods| {
        let pod = pods.iter().find(|pod| pod.name() == name)?;
        let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
        let scheduled = conditions.find(|condition| condition.type_ == "PodScheduled")?;
        scheduled.message.as_ref().filter(|message| message.contains(why)).map(drop)
    })
    .await;
}

fn phase(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.status.as_ref()?.phase.as_deref()
}

#[tokio::test]
async fn a_claim_waits_for_its_pod_and_gets_a_volume_where_the_pod_goes() {
    let cluster = Cluster::start().await;
    cluster.usable().await;
    cluster.node("node1", "4").await;
    cluster.node("node2", "4").await;
    cluster.create::<StorageClass>(class("local-path", "podlab/local-path", "WaitForFirstConsumer")).await;
    cluster.create::<PersistentVolumeClaim>(claim("kept", Some("local-path"))).await;
    let event = cluster.event("kept", "WaitForFirstConsumer").await;
    assert_eq!(event.message.as_deref(), Some("waiting for first consumer to be created before binding"));

    cluster.create::<Pod>(pod("first", "kept", Some("node2"))).await;
    let (claims, pods) = (cluster.watch::<PersistentVolumeClaim>(), cluster.watch::<Pod>());
    let volumes = cluster.watch::<PersistentVolume>();
    // One that fails is replaced, after a while.
    ended(&cluster, &pods, "helper-pod-create-", "node2", "Failed").await;
    cluster.clock.advance(Duration::from_secs(15));
    let failed = cluster.event("kept", "ProvisioningFailed").await.message.unwrap_or_default();
    assert!(failed.starts_with("failed to provision volume with StorageClass \"local-path\": "), "{failed}");
    ended(&cluster, &pods, "helper-pod-create-", "node2", "Succeeded").await;
    assert_eq!(node_of(&cluster, "first").await, "node2");
    let bound = until(&claims, |all| all.first().filter(|claim| phase(claim) == Some("Bound")).cloned()).await;
    let annotations = bound.metadata.annotations.clone().unwrap_or_default();
    assert_eq!(annotations.get(SELECTED).map(String::as_str), Some("node2"));
    assert_eq!(annotations["volume.kubernetes.io/storage-provisioner"], "podlab/local-path");
    let name = format!("pvc-{}", bound.uid());
    let told = cluster.event("kept", "ProvisioningSucceeded").await.message;
    assert_eq!(told, Some(format!("Successfully provisioned volume {name}")));
    let told = cluster.event("kept", "ExternalProvisioning").await.message.unwrap_or_default();
    assert!(
        told.starts_with("Waiting for a volume to be created either by the external provisioner 'podlab/"),
        "{told}"
    );

    // Another Pod has to go where the volume is.
    cluster.create::<Pod>(pod("second", "kept", None)).await;
    assert_eq!(node_of(&cluster, "second").await, "node2");
    cluster.create::<Pod>(pod("elsewhere", "kept", Some("node1"))).await;
    unscheduled(&pods, "elsewhere", "1 node(s) had volume node affinity conflict").await;

    // The volume goes with the claim, and its directory before it.
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    cluster.client.delete::<PersistentVolumeClaim>("default", "kept", &now).await.expect("accepted");
    for pod in ["first", "second", "elsewhere"] {
        cluster.client.delete::<Pod>("default", pod, &now).await.expect("deleted");
    }
    let helper = ended(&cluster, &pods, "helper-pod-delete-", "node2", "Succeeded").await;
    assert_eq!(helper.name(), format!("helper-pod-delete-{name}"));
    until(&volumes, |all| all.is_empty().then_some(())).await;
    until(&pods, |all| all.is_empty().then_some(())).await;
}

#[tokio::test]
async fn what_nobody_makes_is_taken_where_it_is_and_by_one_only() {
    let cluster = Cluster::start().await;
    cluster.usable().await;
    cluster.node("node1", "4").await;
    cluster.node("node2", "4").await;
    let by_hand = class("by-hand", "kubernetes.io/no-provisioner", "WaitForFirstConsumer");
    cluster.create::<StorageClass>(by_hand).await;
    cluster.create::<PersistentVolumeClaim>(claim("a", Some("by-hand"))).await;
    cluster.create::<PersistentVolumeClaim>(claim("b", Some("by-hand"))).await;
    cluster.create::<Pod>(pod("pod-a", "a", None)).await;
    let pods = cluster.watch::<Pod>();
    let none = "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. ";
    unscheduled(&pods, "pod-a", none).await;
    cluster.create::<PersistentVolume>(local("small", "500Mi", "node1")).await;
    cluster.create::<PersistentVolume>(local("right", "1Gi", "node2")).await;
    assert_eq!(node_of(&cluster, "pod-a").await, "node2");
    let claims = cluster.watch::<PersistentVolumeClaim>();
    let bound = until(&claims, |all| all.iter().find(|claim| phase(claim) == Some("Bound")).cloned()).await;
    assert_eq!(bound.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()), Some("right"));
    // It is taken: the other Pod waits.
    cluster.create::<Pod>(pod("pod-b", "b", None)).await;
    unscheduled(&pods, "pod-b", none).await;
}

#[tokio::test]
async fn a_claim_gets_the_default_class_also_when_it_was_there_before() {
    let cluster = Cluster::start().await;
    cluster.create::<PersistentVolumeClaim>(claim("before", None)).await;
    cluster.create::<PersistentVolumeClaim>(claim("without", Some(""))).await;
    cluster.event("before", "FailedBinding").await;
    let mut default = class("usual", "example.com/disks", "WaitForFirstConsumer");
    default["metadata"]["annotations"] = json!({ "storageclass.kubernetes.io/is-default-class": "true" });
    cluster.create::<StorageClass>(default).await;
    cluster.create::<PersistentVolumeClaim>(claim("after", None)).await;
    let claims = cluster.watch::<PersistentVolumeClaim>();
    let of = |all: &[std::sync::Arc<PersistentVolumeClaim>], name: &str| {
        all.iter().find(|claim| claim.name() == name)?.spec.as_ref()?.storage_class_name.clone()
    };
    until(&claims, |all| {
        let [before, after] = ["before", "after"].map(|name| of(all, name));
        (before.as_deref() == Some("usual") && after.as_deref() == Some("usual")).then_some(())
    })
    .await;
    assert_eq!(of(&claims.all(), "without").as_deref(), Some(""));
}

#[tokio::test]
async fn a_volume_that_nobody_can_delete_says_so_and_a_lost_one_is_missed() {
    let cluster = Cluster::start().await;
    let volume = |name: &str| {
        json!({
            "metadata": { "name": name },
            "spec": { "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"],
                "hostPath": { "path": "/srv" }, "persistentVolumeReclaimPolicy": "Delete" },
        })
    };
    let claims = cluster.watch::<PersistentVolumeClaim>();
    let bound = |all: &[std::sync::Arc<PersistentVolumeClaim>]| {
        all.first().filter(|claim| phase(claim) == Some("Bound")).map(drop)
    };
    cluster.create::<PersistentVolume>(volume("one")).await;
    cluster.create::<PersistentVolumeClaim>(claim("a", Some(""))).await;
    until(&claims, bound).await;
    cluster.client.delete::<PersistentVolumeClaim>("default", "a", &DeleteOptions::default()).await.expect("deleted");
    let told = cluster.event("one", "VolumeFailedDelete").await;
    let text = "host_path deleter only supports /tmp/.+ but received provided /srv";
    assert_eq!(told.message.as_deref(), Some(text));
    let volumes = cluster.watch::<PersistentVolume>();
    let failed = until(&volumes, |all| {
        let status = all.first()?.status.clone()?;
        (status.phase.as_deref() == Some("Failed")).then_some(status)
    })
    .await;
    assert_eq!(failed.message.as_deref(), Some(text));
    cluster.client.delete::<PersistentVolume>(None, "one", &DeleteOptions::default()).await.expect("deleted");

    cluster.create::<PersistentVolume>(volume("two")).await;
    cluster.create::<PersistentVolumeClaim>(claim("b", Some(""))).await;
    until(&claims, bound).await;
    cluster.client.delete::<PersistentVolume>(None, "two", &DeleteOptions::default()).await.expect("accepted");
    until(&volumes, |all| all.first()?.metadata.deletion_timestamp.as_ref().map(drop)).await;
    // Protection holds for those who ask; this one takes it off.
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    cluster.client.patch::<PersistentVolume>(None, "two", &patch, None).await.expect("written");
    until(&claims, |all| all.first().filter(|claim| phase(claim) == Some("Lost")).map(drop)).await;
    let told = cluster.event("b", "ClaimLost").await.message;
    assert_eq!(told.as_deref(), Some("Bound claim has lost its PersistentVolume. Data on the volume is lost!"));
}
