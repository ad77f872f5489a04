//! The control loops together, on a real API server in memory.

mod support;

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
    ServiceAccount,
};
use podlab_client::{DeleteOptions, Object, Patch};
use serde_json::{Value, json};
use support::{Cluster, until};

fn pod(name: &str, cpu: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "default", "labels": { "app": name } },
        "spec": { "containers": [{ "name": "c", "image": "kuard",
            "resources": { "requests": { "cpu": cpu } } }] },
    })
}

fn placed(pods: &[std::sync::Arc<Pod>], name: &str) -> Option<String> {
    pods.iter().find(|pod| pod.name() == name)?.spec.as_ref()?.node_name.clone()
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a k8s_openapi::api::core::v1::PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

#[tokio::test]
async fn every_namespace_gets_its_account_and_certificate() {
    let cluster = Cluster::start().await;
    cluster.create::<Namespace>(json!({ "metadata": { "name": "team-a" } })).await;
    let names = ["default", "kube-node-lease", "kube-public", "kube-system", "team-a"];
    let (accounts, maps) = (cluster.watch::<ServiceAccount>(), cluster.watch::<ConfigMap>());
    until(&accounts, |all| {
        let found: Vec<_> =
            all.iter().filter(|one| one.name() == "default").filter_map(|one| one.namespace()).collect();
        (found == names).then_some(())
    })
    .await;
    let certificates = until(&maps, |all| {
        let found: Vec<_> = all.iter().filter(|one| one.name() == "kube-root-ca.crt").cloned().collect();
        (found.len() == names.len()).then_some(found)
    })
    .await;
    assert!(certificates.iter().all(|map| map.data.as_ref().is_some_and(|data| data["ca.crt"] == "PEM")));

    cluster.client.delete::<ConfigMap>("team-a", "kube-root-ca.crt", &DeleteOptions::default()).await.expect("deleted");
    let first = certificates.iter().find(|map| map.namespace() == Some("team-a")).expect("one").uid().to_owned();
    until(&maps, |all| all.iter().any(|map| map.namespace() == Some("team-a") && map.uid() != first).then_some(()))
        .await;
}

#[tokio::test]
async fn a_pod_is_bound_and_the_event_says_where() {
    let cluster = Cluster::start().await;
    cluster.usable().await;
    cluster.node("node1", "2").await;
    cluster.create::<Pod>(pod("kuard", "100m")).await;
    assert_eq!(until(&cluster.watch::<Pod>(), |pods| placed(pods, "kuard")).await, "node1");
    let event = cluster.event("kuard", "Scheduled").await;
    assert_eq!(event.message.as_deref(), Some("Successfully assigned default/kuard to node1"));
    assert_eq!(event.type_.as_deref(), Some("Normal"));
    assert_eq!(event.reporting_component.as_deref(), Some("default-scheduler"));
    assert_eq!(event.reporting_instance.as_deref(), Some("default-scheduler-vm"));
}

#[tokio::test]
async fn a_pod_that_fits_nowhere_says_why_and_waits_for_a_node() {
    let cluster = Cluster::start().await;
    cluster.usable().await;
    cluster.node("small", "1").await;
    let (pods, nodes) = (cluster.watch::<Pod>(), cluster.watch::<Node>());
    until(&nodes, |nodes| (nodes.len() == 1).then_some(())).await;
    cluster.create::<Pod>(pod("big", "3")).await;
    let message = until(&pods, |pods| condition(pods.first()?, "PodScheduled")?.message.clone()).await;
    assert_eq!(
        message,
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims \
         found for incoming pod."
    );
    assert_eq!(cluster.event("big", "FailedScheduling").await.message, Some(message));
    cluster.node("large", "4").await;
    until(&nodes, |nodes| (nodes.len() == 2).then_some(())).await;
    // The back-off after the first attempt is a second of the cluster's time.
    cluster.clock.advance(Duration::from_secs(1));
    assert_eq!(until(&pods, |pods| placed(pods, "big")).await, "large");
}

#[tokio::test]
async fn a_deleted_namespace_is_emptied_and_gone() {
    let cluster = Cluster::start().await;
    cluster.create::<Namespace>(json!({ "metadata": { "name": "team-a" } })).await;
    cluster
        .create::<Secret>(json!({ "metadata": { "name": "s", "namespace": "team-a" }, "stringData": { "a": "b" } }))
        .await;
    let (namespaces, secrets) = (cluster.watch::<Namespace>(), cluster.watch::<Secret>());
    until(&secrets, |all| (all.len() == 1).then_some(())).await;
    cluster.client.delete::<Namespace>(None, "team-a", &DeleteOptions::default()).await.expect("accepted");
    until(&secrets, |all| all.is_empty().then_some(())).await;
    cluster.clock.advance(Duration::from_secs(5));
    until(&namespaces, |all| (!all.iter().any(|one| one.name() == "team-a")).then_some(())).await;
}

fn replica_set(replicas: i32) -> Value {
    json!({
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": "nginx" }] },
            },
        },
    })
}

#[tokio::test]
async fn a_replica_set_keeps_its_number_and_takes_its_pods_with_it() {
    let mut cluster = Cluster::start().await;
    cluster.usable().await;
    cluster.create::<ReplicaSet>(replica_set(3)).await;
    let (pods, sets) = (cluster.watch::<Pod>(), cluster.watch::<ReplicaSet>());
    let lost = until(&pods, |pods| (pods.len() == 3).then(|| pods[0].name().to_owned())).await;
    until(&sets, |sets| (sets.first()?.status.as_ref()?.replicas == 3).then_some(())).await;

    let now = DeleteOptions::default().grace(0);
    cluster.client.delete::<Pod>("default", &lost, &now).await.expect("deleted");
    until(&pods, |pods| (pods.len() == 3 && pods.iter().all(|pod| pod.name() != lost)).then_some(())).await;

    cluster.restart_loops();
    let scale = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
    cluster.client.patch::<ReplicaSet>("default", "web", &scale, None).await.expect("scaled");
    until(&pods, |pods| (pods.len() == 1).then_some(())).await;

    cluster.client.delete::<ReplicaSet>("default", "web", &DeleteOptions::default()).await.expect("deleted");
    until(&pods, |pods| pods.is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_service_has_the_addresses_of_its_ready_pods() {
    let cluster = Cluster::start().await;
    cluster.usable().await;
    cluster.node("node1", "2").await;
    cluster
        .create::<Service>(json!({
            "metadata": { "name": "kuard", "namespace": "default" },
            "spec": { "selector": { "app": "kuard" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
        }))
        .await;
    cluster.create::<Pod>(pod("kuard", "100m")).await;
    until(&cluster.watch::<Pod>(), |pods| placed(pods, "kuard")).await;
    let ready = |status: &str| {
        Patch::Strategic(
            json!({ "status": { "phase": "Running", "podIP": "10.244.0.2", "podIPs": [{ "ip": "10.244.0.2" }],
            "conditions": [{ "type": "Ready", "status": status }] } }),
        )
    };
    let all = cluster.watch::<Endpoints>();
    let addresses = |ready: bool| {
        until(&all, move |all| {
            let kuard = all.iter().find(|one| one.name() == "kuard")?;
            let subset = kuard.subsets.as_ref()?.first()?;
            let list = if ready { &subset.addresses } else { &subset.not_ready_addresses };
            Some(list.as_ref()?.first()?.ip.clone())
        })
    };
    cluster.client.patch::<Pod>("default", "kuard", &ready("True"), Some("status")).await.expect("patched");
    assert_eq!(addresses(true).await, "10.244.0.2");
    cluster.client.patch::<Pod>("default", "kuard", &ready("False"), Some("status")).await.expect("patched");
    assert_eq!(addresses(false).await, "10.244.0.2");
}

#[tokio::test]
async fn a_silent_node_is_not_ready_and_its_pods_leave_it_in_the_end() {
    let cluster = Cluster::start().await;
    cluster.usable().await;
    cluster.node("silent", "2").await;
    let mut kuard = pod("kuard", "100m");
    kuard["spec"]["tolerations"] = json!([{ "key": "node.kubernetes.io/unreachable", "operator": "Exists",
        "effect": "NoExecute", "tolerationSeconds": 10 }]);
    cluster.create::<Pod>(kuard).await;
    let (pods, nodes) = (cluster.watch::<Pod>(), cluster.watch::<Node>());
    until(&pods, |pods| placed(pods, "kuard")).await;
    cluster.event("silent", "RegisteredNode").await;
    let status = |name: &'static str| {
        move |nodes: &[std::sync::Arc<Node>]| {
            let node = nodes.iter().find(|node| node.name() == name)?;
            let ready = node.status.as_ref()?.conditions.as_ref()?.iter().find(|one| one.type_ == "Ready")?;
            (ready.status == "Unknown").then(|| ready.reason.clone())
        }
    };
    // The monitor looks every five seconds; each step lets it look once.
    for _ in 0..11 {
        cluster.clock.advance(Duration::from_secs(5));
        tokio::task::yield_now().await;
    }
    assert_eq!(until(&nodes, status("silent")).await.as_deref(), Some("NodeStatusUnknown"));
    // Another node that is well: the silence is the node's, not ours, and its Pods may be moved.
    cluster.node("well", "2").await;
    let tainted = |nodes: &[std::sync::Arc<Node>]| {
        let node = nodes.iter().find(|node| node.name() == "silent")?;
        let taints = node.spec.as_ref()?.taints.as_ref()?;
        taints
            .iter()
            .any(|taint| taint.key == "node.kubernetes.io/unreachable" && taint.effect == "NoExecute")
            .then_some(())
    };
    until(&nodes, tainted).await;
    cluster.clock.advance(Duration::from_secs(9));
    assert!(pods.get("default", "kuard").is_some_and(|pod| pod.metadata.deletion_timestamp.is_none()));
    cluster.clock.advance(Duration::from_secs(1));
    until(&pods, |pods| pods.first()?.metadata.deletion_timestamp.as_ref().map(drop)).await;
    assert_eq!(
        cluster.event("kuard", "TaintManagerEviction").await.message.as_deref(),
        Some("Marking for deletion Pod default/kuard")
    );
}

#[tokio::test]
async fn a_deployment_rolls_out_and_back() {
    let cluster = Cluster::start().await;
    cluster.usable().await;
    let image = |image: &str| {
        Patch::Strategic(json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "c", "image": image }] } } } }))
    };
    let mut object = replica_set(2);
    object["spec"]["template"]["spec"]["containers"][0]["image"] = "web:1".into();
    cluster.create::<Deployment>(object).await;
    let (pods, sets) = (cluster.watch::<Pod>(), cluster.watch::<ReplicaSet>());
    // The kubelet's part: whatever Pod there is becomes Ready.
    let kubelet = cluster.client.clone();
    let all = cluster.watch::<Pod>();
    let ready = tokio::spawn(async move {
        let mut changes = all.changes();
        loop {
            for change in changes.next().await {
                let Some(pod) = change.new.filter(|pod| condition(pod, "Ready").is_none()) else { continue };
                let patch = Patch::Strategic(json!({ "status": { "phase": "Running", "conditions": [
                    { "type": "Ready", "status": "True", "lastTransitionTime": "2026-11-20T10:00:00Z" }] } }));
                // It may be gone by now.
                let _ = kubelet.patch::<Pod>("default", pod.name(), &patch, Some("status")).await;
            }
        }
    });
    let deployments = cluster.watch::<Deployment>();
    let rolled_out = |revision: &'static str| {
        until(&deployments, move |all| {
            let status = all.first()?.status.as_ref()?;
            let here = all.first()?.metadata.annotations.as_ref()?.get("deployment.kubernetes.io/revision")?;
            (here == revision
                && status.observed_generation == all.first()?.metadata.generation
                && (status.replicas, status.updated_replicas, status.available_replicas) == (Some(2), Some(2), Some(2)))
                .then_some(())
        })
    };
    let images = || {
        let images = pods.all();
        let mut images: Vec<String> = images
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .filter_map(|pod| pod.spec.as_ref()?.containers.first()?.image.clone())
            .collect();
        images.dedup();
        images
    };
    rolled_out("1").await;
    let message = cluster.event("web", "ScalingReplicaSet").await.message.unwrap_or_default();
    assert!(message.starts_with("Scaled up replica set web-") && message.ends_with("from 0 to 2"), "{message}");

    cluster.client.patch::<Deployment>("default", "web", &image("web:2"), None).await.expect("patched");
    rolled_out("2").await;
    until(&pods, |_| (images() == ["web:2"]).then_some(())).await;
    assert_eq!(sets.len(), 2);

    cluster.client.patch::<Deployment>("default", "web", &image("web:1"), None).await.expect("patched");
    rolled_out("3").await;
    until(&pods, |_| (images() == ["web:1"]).then_some(())).await;
    assert_eq!(sets.len(), 2, "the old set is used again");
    ready.abort();
}

#[tokio::test]
async fn a_claim_gets_a_volume_and_its_pod_a_node() {
    let cluster = Cluster::start().await;
    cluster.usable().await;
    cluster.node("node1", "2").await;
    let mut claiming = pod("a", "100m");
    claiming["spec"]["volumes"] = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": "my-pvc" } }]);
    cluster.create::<Pod>(claiming).await;
    cluster
        .create::<PersistentVolumeClaim>(json!({
            "metadata": { "name": "my-pvc", "namespace": "default" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        }))
        .await;
    let event = cluster.event("my-pvc", "FailedBinding").await;
    assert_eq!(
        event.message.as_deref(),
        Some("no persistent volumes available for this claim and no storage class is set"),
        "golden 493"
    );
    cluster.event("a", "FailedScheduling").await;
    cluster
        .create::<PersistentVolume>(json!({
            "metadata": { "name": "my-pv" },
            "spec": { "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/x" } },
        }))
        .await;
    let volumes = cluster.watch::<PersistentVolume>();
    until(&volumes, |all| (all.first()?.status.as_ref()?.phase.as_deref() == Some("Bound")).then_some(())).await;
    let claims = cluster.watch::<PersistentVolumeClaim>();
    until(&claims, |all| (all.first()?.status.as_ref()?.phase.as_deref() == Some("Bound")).then_some(())).await;
    let pods = cluster.watch::<Pod>();
    let node = async { until(&pods, |pods| placed(pods, "a")).await };
    let clock = async {
        // However often the Pod was tried before, no back-off is longer than ten seconds.
        loop {
            cluster.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        node = node => assert_eq!(node, "node1"),
        () = clock => unreachable!("it goes on for ever"),
    }
    // In use, both stay: the claim while the Pod is there, and the volume while it is the claim's.
    let delete = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    cluster.client.delete::<PersistentVolume>(None, "my-pv", &delete).await.expect("accepted");
    cluster.client.delete::<PersistentVolumeClaim>("default", "my-pvc", &delete).await.expect("accepted");
    until(&claims, |all| all.first()?.metadata.deletion_timestamp.as_ref().map(drop)).await;
    until(&volumes, |all| all.first()?.metadata.deletion_timestamp.as_ref().map(drop)).await;
    cluster.client.delete::<Pod>("default", "a", &delete).await.expect("deleted");
    until(&claims, |all| all.is_empty().then_some(())).await;
    until(&volumes, |all| all.is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_volume_whose_claim_is_gone_is_kept_for_an_administrator() {
    let cluster = Cluster::start().await;
    cluster
        .create::<PersistentVolume>(json!({
            "metadata": { "name": "my-pv" },
            "spec": { "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/x" },
                "persistentVolumeReclaimPolicy": "Retain" },
        }))
        .await;
    let claim = json!({
        "metadata": { "name": "my-pvc", "namespace": "default" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    cluster.create::<PersistentVolumeClaim>(claim).await;
    let (volumes, claims) = (cluster.watch::<PersistentVolume>(), cluster.watch::<PersistentVolumeClaim>());
    until(&claims, |all| (all.first()?.status.as_ref()?.phase.as_deref() == Some("Bound")).then_some(())).await;
    let delete = DeleteOptions::default();
    cluster.client.delete::<PersistentVolumeClaim>("default", "my-pvc", &delete).await.expect("deleted");
    until(&volumes, |all| (all.first()?.status.as_ref()?.phase.as_deref() == Some("Released")).then_some(())).await;
}
