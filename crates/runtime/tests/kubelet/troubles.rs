//! What is missing, fails or is killed.

use podlab_runtime::backend::simulated::Program;
use podlab_runtime::backend::{VolumeSource, container_id};
use podlab_runtime::clock::Clock;
use serde_json::json;

use super::*;
use crate::support::{BUSYBOX, Cluster, column, first};

/// golden 230-describe-cm-missing: no address, no container; and it goes on as soon as the ConfigMap is there.
#[tokio::test]
async fn a_missing_config_map_is_waited_for() {
    let cluster = Cluster::start().await;
    let mut spec = one(BUSYBOX);
    spec["volumes"] = json!([{"name": "v", "configMap": {"name": "later"}}]);
    cluster.create("cm", spec).await;
    let event = cluster.until_event("cm", "FailedMount", 1).await;
    assert_eq!(
        event.message.as_deref(),
        Some("MountVolume.SetUp failed for volume \"v\" : configmap \"later\" not found")
    );
    let pod = cluster.until_status("cm", "ContainerCreating").await;
    assert_eq!(pod.status.as_ref().unwrap().pod_ip, None);
    cluster.post("configmaps", json!({"kind": "ConfigMap", "metadata": {"name": "later"}, "data": {"a": "1"}})).await;
    let pod = cluster.until_status("cm", "Running").await;
    let VolumeSource::Files { files, .. } =
        cluster.node.volume(&pod.metadata.uid.clone().unwrap(), "v").unwrap().source
    else {
        panic!("not files");
    };
    assert_eq!(files["a"].content, b"1");
}

/// golden 521-status-badcommand and 521-status-nonroot.
#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let cluster = Cluster::start().await;
    let text = "failed to create containerd task: exec: \"/no/such/binary\": no such file or directory: unknown";
    cluster.node.store("broken", Program { start_error: Some(text.into()), ..Program::default() });
    cluster.create("badcommand", one("broken")).await;
    let pod = cluster.until("badcommand", |pod| first(pod).restart_count == 1).await;
    let status = first(&pod);
    let waiting = status.state.unwrap().waiting.unwrap();
    assert_eq!((waiting.reason.as_deref(), waiting.message.as_deref()), (Some("RunContainerError"), Some(text)));
    let ended = status.last_state.unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (128, Some("StartError")));
    assert_eq!(ended.started_at.unwrap().0.as_second(), 0);
    assert_eq!(ended.container_id, status.container_id);

    let mut spec = one(BUSYBOX);
    spec["securityContext"] = json!({"runAsNonRoot": true});
    cluster.create("nonroot", spec).await;
    let pod = cluster.until_status("nonroot", "CreateContainerConfigError").await;
    let uid = pod.metadata.uid.clone().unwrap();
    let text = format!(
        "container has runAsNonRoot and image will run as root (pod: \"nonroot_default({uid})\", container: main)"
    );
    assert_eq!(first(&pod).state.unwrap().waiting.unwrap().message, Some(text));
    assert_eq!(first(&pod).container_id, None);
    cluster.step(12);
    cluster.until_event("nonroot", "Failed", 2).await;
}

/// golden 520-describe-hooks: a container whose postStart hook fails is stopped.
#[tokio::test]
async fn a_failing_post_start_hook_ends_its_container() {
    let cluster = Cluster::start().await;
    let always = vec![(seconds(0), seconds(3600))];
    cluster.node.store("hook:1", Program { unhealthy: always, ends_on_term: None, ..Program::default() });
    cluster
        .create(
            "hooks",
            json!({"terminationGracePeriodSeconds": 5, "containers": [{"name": "main", "image": "hook:1",
            "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "exit 1"]}}}}]}),
        )
        .await;
    cluster.until_event("hooks", "Killing", 1).await;
    assert_eq!(
        cluster.told("hooks")[2..],
        [
            "Normal Started Started container main",
            "Warning FailedPostStartHook PostStartHook failed",
            "Normal Killing FailedPostStartHook",
        ]
    );
    cluster.step(5);
    let pod = cluster.until("hooks", |pod| first(pod).restart_count == 1).await;
    assert_eq!(first(&pod).last_state.unwrap().terminated.unwrap().exit_code, 137);
}

/// Killed anywhere and started again, the kubelet starts nothing twice and misses no end.
#[tokio::test]
async fn a_killed_kubelet_goes_on_where_it_was() {
    let mut cluster = Cluster::start().await;
    cluster.node.store("hour", Program::ending(seconds(3600), 7));
    cluster.create("long", one("hour")).await;
    let pod = cluster.until_status("long", "Running").await;
    let uid = pod.metadata.uid.clone().unwrap();
    let before = first(&pod);

    cluster.kill_kubelet().await;
    cluster.start_kubelet();
    cluster.create("marker", one(BUSYBOX)).await;
    cluster.until_status("marker", "Running").await;
    assert_eq!(cluster.node.starts(&container_id(&uid, "main", 0)), 1);
    assert_eq!(first(&*cluster.until_status("long", "Running").await), before);

    // It ends, and another Pod is deleted, while nobody looks.
    cluster.kill_kubelet().await;
    cluster.step(3600);
    cluster.delete("marker", Some(0)).await;
    let before_start = cluster.clock.now();
    cluster.start_kubelet();
    let pod = cluster.until("long", |pod| first(pod).restart_count == 1 && column(pod) == "Running").await;
    let ended = first(&pod).last_state.unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (7, Some("Error")));
    assert!(ended.finished_at.unwrap().0 <= before_start);
    let left = podlab_runtime::backend::Backend::pods(&cluster.node).await.unwrap();
    assert_eq!(left.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["long"]);
}

/// The plug of one Pod is pulled: its containers are started again in new namespaces.
#[tokio::test]
async fn lost_namespaces_are_made_again() {
    let cluster = Cluster::start().await;
    cluster.create("pod", one(BUSYBOX)).await;
    let pod = cluster.until_status("pod", "Running").await;
    cluster.node.kill_pod(&pod.metadata.uid.clone().unwrap());
    let again = cluster.until("pod", |pod| first(pod).restart_count == 1 && column(pod) == "Running").await;
    assert_ne!(again.status.as_ref().unwrap().pod_ip, pod.status.as_ref().unwrap().pod_ip);
    cluster.until_event("pod", "SandboxChanged", 1).await;
}
