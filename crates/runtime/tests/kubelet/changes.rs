//! What changes while a Pod is there: its image, its tokens, its earlier runs; and whether it may be there at all.

use k8s_openapi::api::core::v1::{ContainerImage, Node, NodeCondition, NodeStatus};
use podlab_runtime::backend::simulated::Program;
use podlab_runtime::backend::{Backend, VolumeSource};
use serde_json::json;

use super::*;
use crate::support::{BUSYBOX, Cluster, KUARD, column, first};

/// Another image is another container, even of a Pod whose containers are never started again; the others go on.
#[tokio::test]
async fn another_image_replaces_the_container() {
    let cluster = Cluster::start().await;
    cluster.node.store("web:1", Program::default());
    cluster.node.store("web:2", Program::default());
    let spec = json!({"restartPolicy": "Never", "containers": [
        {"name": "web", "image": "web:1"}, {"name": "other", "image": BUSYBOX},
    ]});
    cluster.create("web", spec).await;
    cluster.until("web", |pod| ready(pod) == 2).await;
    cluster.change_image("web", "web:2").await;
    let pod = cluster.until("web", |pod| first(pod).restart_count == 1 && ready(pod) == 2).await;
    assert_eq!(first(&pod).image, "docker.io/library/web:2");
    assert!(first(&pod).last_state.is_some_and(|last| last.terminated.is_some()));
    assert_eq!(pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[1].restart_count, 0);
    cluster.until_event("web", "Started", 2).await;
    let told = cluster.told("web");
    assert!(
        told.contains(&"Normal Killing Container web definition changed, will be restarted".to_owned()),
        "{told:?}"
    );
    assert!(!told.iter().any(|event| event.contains("BackOff")), "{told:?}");
}

fn ready(pod: &k8s_openapi::api::core::v1::Pod) -> usize {
    let all = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    all.filter(|status| status.ready).count()
}

/// Of what has ended, the last run is kept.
#[tokio::test]
async fn earlier_runs_are_removed() {
    let cluster = Cluster::start().await;
    cluster.node.store("crash", Program::ending(seconds(1), 3));
    cluster.create("crash", one("crash")).await;
    cluster.until_status("crash", "Running").await;
    cluster.step(1);
    cluster.until("crash", |pod| first(pod).restart_count == 1 && column(pod) == "Running").await;
    for (restarts, wait) in [(1, 10), (2, 20), (3, 40)] {
        cluster.step(1);
        cluster.until("crash", |pod| first(pod).restart_count == restarts && column(pod) == "Error").await;
        cluster.step(1);
        cluster.until_status("crash", "CrashLoopBackOff").await;
        cluster.step(wait - 1);
        cluster.until("crash", |pod| first(pod).restart_count == restarts + 1 && column(pod) == "Running").await;
    }
    // The removal follows the start; what is waited for is the node's own list.
    let attempts = loop {
        let pods = cluster.node.pods().await.unwrap();
        let attempts: Vec<_> = pods[0].containers.iter().map(|container| container.attempt).collect();
        if attempts.len() == 2 {
            break attempts;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(attempts, [3, 4]);
}

/// The token of a service account is replaced when four fifths of its life are over.
#[tokio::test]
async fn tokens_are_renewed_in_time() {
    let cluster = Cluster::start().await;
    cluster.create("kuard", one(KUARD)).await;
    let pod = cluster.until_status("kuard", "Running").await;
    let uid = pod.metadata.uid.clone().unwrap();
    let volume = pod.spec.as_ref().unwrap().volumes.as_ref().unwrap()[0].name.clone();
    let token = || match cluster.node.volume(&uid, &volume).unwrap().source {
        VolumeSource::Files { files, .. } => files["token"].content.clone(),
        other => panic!("{other:?}"),
    };
    let first = token();
    // 3607 seconds, as the API server's admission asks for.
    cluster.step(3607 * 4 / 5 - 1);
    assert_eq!(token(), first, "it is still young");
    cluster.step(2);
    while token() == first {
        tokio::task::yield_now().await;
    }
}

/// A Pod that names its node itself, and is larger than that.
#[tokio::test]
async fn a_pod_that_does_not_fit_is_rejected() {
    let cluster = Cluster::start().await;
    let asking = |cpu: &str| json!({"containers": [{"name": "main", "image": BUSYBOX, "resources": {"requests": {"cpu": cpu}}}]});
    cluster.create("first", asking("1500m")).await;
    cluster.until_status("first", "Running").await;
    cluster.create("second", asking("1")).await;
    cluster.until_status("second", "OutOfcpu").await;
    let message = "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000";
    assert_eq!(
        steady(&raw_status(&cluster, "second").await),
        json!({"phase": "Failed", "reason": "OutOfcpu", "message": format!("Pod was rejected: {message}"),
            "qosClass": "Burstable", "startTime": "TIME"})
    );
    cluster.until_event("second", "OutOfcpu", 1).await;
    assert_eq!(cluster.told("second"), [format!("Warning OutOfcpu {message}")]);
    // It takes nothing from those that fit.
    cluster.create("third", asking("500m")).await;
    cluster.until_status("third", "Running").await;
    cluster.delete("second", None).await;
    cluster.until_gone("second").await;
}

/// The node runs out of memory: the Pod that is most over its request goes, and is told so; then there is enough again.
#[tokio::test]
async fn a_node_without_memory_evicts() {
    let cluster = Cluster::start().await;
    let memory = 24_684_084_u64 << 10;
    cluster.node.store("big", Program { memory: memory - (60 << 20), ..Program::default() });
    cluster.create("small", one(BUSYBOX)).await;
    cluster.until_status("small", "Running").await;
    cluster.create("big", one("big")).await;
    cluster.until_status("big", "Running").await;
    cluster.step(10);
    let pod = cluster.until_status("big", "Evicted").await;
    let message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 59Mi. \
                   Container main was using 24622644Ki, request is 0, has larger consumption of memory. "
        .to_owned();
    let status = pod.status.as_ref().unwrap();
    assert_eq!((status.phase.as_deref(), status.message.as_ref()), (Some("Failed"), Some(&message)));
    let condition = status.conditions.as_ref().unwrap().iter().find(|condition| condition.type_ == "DisruptionTarget");
    let condition = condition.unwrap();
    assert_eq!((condition.status.as_str(), condition.reason.as_deref()), ("True", Some("TerminationByKubelet")));
    cluster.until_event("big", "Evicted", 1).await;
    assert!(cluster.told("big").contains(&format!("Warning Evicted {message}")), "{:?}", cluster.told("big"));
    cluster.until_status("small", "Running").await;

    pressure(&cluster, "True").await;
    cluster.create("late", one(BUSYBOX)).await;
    let late = cluster.until_status("late", "Evicted").await;
    let message = "Pod was rejected: The node had condition: [MemoryPressure]. ";
    assert_eq!(late.status.as_ref().unwrap().message.as_deref(), Some(message));
    cluster.until("big", |pod| first(pod).state.is_some_and(|state| state.terminated.is_some())).await;
    cluster.step(300);
    pressure(&cluster, "False").await;
}

/// What is stored and pulled is in the node's status, so that the scheduler can prefer it.
#[tokio::test]
async fn a_node_names_its_images() {
    let cluster = Cluster::start().await;
    let named = |status: &NodeStatus, wanted: &[&str]| {
        let names = |image: &ContainerImage| image.names.clone().unwrap_or_default();
        let all: Vec<Vec<String>> = status.images.iter().flatten().map(names).collect();
        all.len() == wanted.len() && all.iter().zip(wanted).all(|(names, wanted)| names.contains(&(*wanted).to_owned()))
    };
    until_node(&cluster, |status| named(status, &[BUSYBOX, KUARD])).await;
    cluster.node.store("zebra:1", Program::default());
    until_node(&cluster, |status| {
        // It looks again with the next renewal of its Lease, whenever it has come so far.
        cluster.step(10);
        named(status, &[BUSYBOX, KUARD, "zebra:1"])
    })
    .await;
}

/// Waits until the node says so of its memory.
async fn pressure(cluster: &Cluster, wanted: &str) {
    let said = |condition: &NodeCondition| condition.type_ == "MemoryPressure" && condition.status == wanted;
    until_node(cluster, |status| status.conditions.iter().flatten().any(said)).await;
}

async fn until_node(cluster: &Cluster, wanted: impl Fn(&NodeStatus) -> bool) {
    loop {
        let node = cluster.client.get::<Node>(None, "node1").await;
        // In the beginning there is none.
        if node.is_ok_and(|node| node.status.is_some_and(|status| wanted(&status))) {
            return;
        }
        tokio::task::yield_now().await;
    }
}
