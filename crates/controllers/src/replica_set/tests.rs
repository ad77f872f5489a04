use super::*;

fn set(replicas: i32) -> ReplicaSet {
    serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "set", "generation": 3 },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "c" }] } },
        },
    }))
    .expect("a ReplicaSet")
}

fn pod(name: &str, change: impl FnOnce(&mut serde_json::Value)) -> Arc<Pod> {
    let mut pod = json!({
        "metadata": { "name": name, "namespace": "default", "uid": name, "labels": { "app": "web" },
            "creationTimestamp": "2026-11-20T10:00:00Z",
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "set", "controller": true }] },
        "spec": { "containers": [], "nodeName": "node1" },
        "status": { "phase": "Running", "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": "2026-11-20T10:00:05Z" }] },
    });
    change(&mut pod);
    Arc::new(serde_json::from_value(pod).expect("a Pod"))
}

fn keys(names: &[&str]) -> Vec<Key> {
    names.iter().map(|name| Key::new("default", *name)).collect()
}

#[test]
fn what_is_missing_is_made_and_what_ends_is_replaced() {
    let pods = [
        pod("a", |_| {}),
        pod("ended", |pod| pod["status"]["phase"] = "Failed".into()),
        pod("ending", |pod| pod["metadata"]["deletionTimestamp"] = "2026-11-20T10:01:00Z".into()),
        pod("stranger", |pod| pod["metadata"]["ownerReferences"][0]["uid"] = "other".into()),
    ];
    assert_eq!(plan(&set(3), &pods), Plan { create: 2, ..Plan::default() });
    let made = pod_of(&set(3));
    assert_eq!(made.metadata.generate_name.as_deref(), Some("web-"));
    assert_eq!(controller_of(&made.metadata).map(|owner| owner.uid.as_str()), Some("set"));
}

#[test]
fn the_least_valuable_go_first() {
    let pods = [
        pod("old", |pod| pod["metadata"]["creationTimestamp"] = "2026-11-20T09:00:00Z".into()),
        pod("young", |_| {}),
        pod("unready", |pod| pod["status"]["conditions"][0]["status"] = "False".into()),
        pod("pending", |pod| pod["status"]["phase"] = "Pending".into()),
        pod("unplaced", |pod| pod["spec"]["nodeName"] = serde_json::Value::Null),
        pod("cheap", |pod| {
            pod["metadata"]["annotations"] = json!({ "controller.kubernetes.io/pod-deletion-cost": "-5" });
        }),
    ];
    assert_eq!(plan(&set(0), &pods).delete, keys(&["unplaced", "pending", "unready", "cheap", "young", "old"]));
    assert_eq!(plan(&set(5), &pods).delete, keys(&["unplaced"]));
}

/// The text's way to debug a Pod: change its label, and the set lets it go and makes another.
#[test]
fn a_relabelled_pod_is_released_and_a_stray_one_adopted() {
    let pods = [
        pod("quarantined", |pod| pod["metadata"]["labels"] = json!({ "app": "debug" })),
        pod("stray", |pod| pod["metadata"]["ownerReferences"] = json!([])),
    ];
    assert_eq!(
        plan(&set(2), &pods),
        Plan { adopt: keys(&["stray"]), release: keys(&["quarantined"]), create: 1, delete: vec![] }
    );
}

#[test]
fn a_set_that_is_deleted_does_nothing() {
    let mut set = set(3);
    set.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
    assert_eq!(plan(&set, &[]), Plan::default());
}

#[test]
fn status_counts_and_says_when_it_will_change() {
    let now: jiff::Timestamp = "2026-11-20T10:00:15Z".parse().expect("a time");
    let mut set = set(2);
    set.spec.as_mut().expect("a spec").min_ready_seconds = Some(30);
    let pods = [pod("a", |_| {}), pod("b", |pod| pod["status"]["conditions"][0]["status"] = "False".into())];
    let (status, again) = status::status(&set, &active(&set, &pods), None, now);
    assert_eq!((status.replicas, status.ready_replicas, status.available_replicas), (2, Some(1), None));
    assert_eq!(status.observed_generation, Some(3));
    assert_eq!(again, Again::After(std::time::Duration::from_secs(20)));
    let later = now + jiff::SignedDuration::from_secs(20);
    let (status, again) = status::status(&set, &active(&set, &pods), None, later);
    assert_eq!((status.available_replicas, again), (Some(1), Again::No));
}
