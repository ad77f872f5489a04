//! Probes, grace periods and deadlines: what ends a container before it ends itself.

use podlab_runtime::backend::container_id;
use podlab_runtime::backend::simulated::Program;
use serde_json::json;

use super::*;
use crate::support::{BUSYBOX, Cluster, column, first};

/// golden 211, 463: three failures in a row, and the container is started anew; the Pod stays where it is.
#[tokio::test]
async fn liveness_restarts_and_readiness_does_not() {
    let cluster = Cluster::start().await;
    let complaint = "HTTP probe failed with statuscode: 500".to_owned();
    cluster
        .node
        .store("sick:1", Program { unhealthy: vec![(seconds(0), seconds(3600))], complaint, ..Program::default() });
    cluster
        .create(
            "kuard",
            json!({"containers": [{"name": "kuard", "image": "sick:1", "livenessProbe": {
            "httpGet": {"path": "/healthy", "port": 8080}, "initialDelaySeconds": 5, "periodSeconds": 10}}]}),
        )
        .await;
    cluster.until_status("kuard", "Running").await;
    // A moment passes until it is seen to run.
    cluster.step(1);
    for failures in 1..=2 {
        cluster.step(10);
        cluster.until_event("kuard", "Unhealthy", failures).await;
    }
    assert_eq!(first(&*cluster.until_status("kuard", "Running").await).restart_count, 0);
    cluster.step(10);
    let pod = cluster.until("kuard", |pod| first(pod).restart_count == 1 && column(pod) == "Running").await;
    assert!(first(&pod).ready);
    cluster.until_event("kuard", "Started", 2).await;
    let told = cluster.told("kuard");
    assert_eq!(told[3], "Warning Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 500 (x3)");
    assert_eq!(told[4], "Normal Killing Container kuard failed liveness probe, will be restarted");

    cluster.node.store("busy", Program { unhealthy: vec![(seconds(4), seconds(9))], ..Program::default() });
    cluster
        .create(
            "readiness",
            json!({"containers": [{"name": "main", "image": "busy", "readinessProbe": {
            "exec": {"command": ["true"]}, "periodSeconds": 2, "failureThreshold": 2}}]}),
        )
        .await;
    // That it runs is told together with the first answer.
    cluster.until_event("readiness", "Started", 1).await;
    cluster.step(1);
    cluster.until("readiness", |pod| first(pod).ready).await;
    for _ in 0..3 {
        cluster.step(2);
        cluster.until("readiness", |_| true).await;
        tokio::task::yield_now().await;
    }
    let pod = cluster.until("readiness", |pod| !first(pod).ready).await;
    assert_eq!(pod.status.as_ref().unwrap().phase.as_deref(), Some("Running"));
    assert_eq!(
        pod.status.as_ref().unwrap().conditions.as_ref().unwrap()[2].reason.as_deref(),
        Some("ContainersNotReady")
    );
    cluster.step(4);
    let pod = cluster.until("readiness", |pod| first(pod).ready).await;
    assert_eq!(first(&pod).restart_count, 0);
}

/// golden 209: the startup probe holds the liveness probe back, and readiness with it.
#[tokio::test]
async fn a_startup_probe_holds_the_others_back() {
    let cluster = Cluster::start().await;
    cluster.node.store("slow", Program { unhealthy: vec![(seconds(0), seconds(6))], ..Program::default() });
    let exec = json!({"command": ["cat", "/tmp/started"]});
    cluster
        .create(
            "startup",
            json!({"containers": [{"name": "main", "image": "slow",
            "startupProbe": {"exec": exec, "periodSeconds": 2, "failureThreshold": 10},
            "livenessProbe": {"exec": exec, "periodSeconds": 1, "failureThreshold": 1}}]}),
        )
        .await;
    let pod = cluster.until_status("startup", "Running").await;
    assert_eq!((first(&pod).ready, first(&pod).started), (false, Some(false)));
    cluster.step(1);
    for failures in 1..=2 {
        cluster.step(2);
        cluster.until_event("startup", "Unhealthy", failures).await;
    }
    cluster.step(2);
    let pod = cluster.until("startup", |pod| first(pod).ready).await;
    assert_eq!((first(&pod).started, first(&pod).restart_count), (Some(true), 0));
    assert!(cluster.told("startup").iter().all(|line| !line.contains("Liveness")));
}

/// golden 210 and MEASURED: a process that does not care for SIGTERM has its grace period, then it is killed.
#[tokio::test]
async fn whoever_does_not_go_is_killed_after_the_grace_period() {
    let cluster = Cluster::start().await;
    cluster.node.store("stubborn", Program { ends_on_term: None, ..Program::default() });
    let mut spec = one("stubborn");
    spec["terminationGracePeriodSeconds"] = 8.into();
    cluster.create("grace", spec.clone()).await;
    cluster.until_status("grace", "Running").await;
    cluster.delete("grace", None).await;
    cluster.until_event("grace", "Killing", 1).await;
    cluster.step(7);
    let pod = cluster.until_status("grace", "Terminating").await;
    let uid = pod.metadata.uid.clone().unwrap();
    assert_eq!(cluster.node.starts(&container_id(&uid, "main", 0)), 1);
    cluster.step(1);
    cluster.until_gone("grace").await;

    // By force: the object goes at once, the process two seconds later.
    cluster.create("forced", spec).await;
    cluster.until_status("forced", "Running").await;
    cluster.delete("forced", Some(0)).await;
    cluster.until_gone("forced").await;
    cluster.until_event("forced", "Killing", 1).await;
    let mut left = usize::MAX;
    while left > 0 {
        cluster.step(1);
        tokio::task::yield_now().await;
        left = podlab_runtime::backend::Backend::pods(&cluster.node).await.unwrap().len();
    }
}

#[tokio::test]
async fn a_deadline_fails_the_pod() {
    let cluster = Cluster::start().await;
    let mut spec = one(BUSYBOX);
    spec["activeDeadlineSeconds"] = 30.into();
    cluster.create("late", spec).await;
    cluster.until_status("late", "Running").await;
    cluster.step(29);
    cluster.until_status("late", "Running").await;
    cluster.step(1);
    let pod = cluster.until_status("late", "DeadlineExceeded").await;
    let status = pod.status.as_ref().unwrap();
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.message.as_deref(), Some("Pod was active on the node longer than the specified deadline"));
    cluster.until_event("late", "DeadlineExceeded", 1).await;
}
