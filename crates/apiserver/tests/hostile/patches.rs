//! Patches that multiply what they touch.

use serde_json::{Value, json};

use crate::support::Cluster;
use crate::{measured, revision, runtime};

const MAP: &str = "/api/v1/namespaces/default/configmaps/m";
const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const MIB: usize = 1 << 20;
const LIMIT: usize = 3 * MIB;

async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "x".repeat(1000)}});
    cluster.post("/api/v1/namespaces/default/configmaps", &map).await;
    cluster
}

fn add(index: usize) -> Value {
    json!({"op": "add", "path": "/data/b", "value": index.to_string()})
}

fn copies(count: usize) -> Value {
    (0..count).map(|index| json!({"op": "copy", "from": "/data/a", "path": format!("/data/c{index}")})).collect()
}

/// What is sent, and the codes that may come back.
fn patches() -> Vec<(&'static str, &'static str, Vec<u8>, u16)> {
    let text = |patch: Value| patch.to_string().into_bytes();
    // Every copy doubles the object.
    let doubling: Value =
        (0..60).map(|index| json!({"op": "copy", "from": "/data", "path": format!("/data/d{index}")})).collect();
    let nested = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000)).into_bytes();
    let many = |items: usize| vec!["{}"; items].join(",");
    vec![
        ("too many operations", JSON, text((0..10_001).map(add).collect()), 413),
        ("copies over the limit", JSON, text(copies(4_000)), 413),
        ("copies of copies", JSON, text(doubling), 413),
        ("a missing place", JSON, text(json!([{"op": "remove", "path": "/nope"}])), 422),
        ("a place that is none", JSON, text(json!([{"op": "add", "path": "data", "value": 1}])), 400),
        (
            "an index without end",
            JSON,
            text(json!([{"op": "add", "path": "/data/99999999999999999999", "value": []}])),
            400,
        ),
        ("an operation that is none", JSON, text(json!([{"op": "explode", "path": "/data"}])), 400),
        ("no list", JSON, b"{}".to_vec(), 400),
        ("deep", JSON, nested.clone(), 400),
        ("deep", MERGE, nested.clone(), 400),
        ("deep", STRATEGIC, nested, 400),
        ("too large", MERGE, vec![b' '; LIMIT + 1], 413),
        ("many values", MERGE, format!("{{\"data\":{{\"x\":[{}]}}}}", many(200_000)).into_bytes(), 400),
        ("many values", STRATEGIC, format!("{{\"data\":{{\"x\":[{}]}}}}", many(200_000)).into_bytes(), 400),
        ("an unknown directive", STRATEGIC, text(json!({"$patch": "explode"})), 400),
        ("an order that is none", STRATEGIC, text(json!({"metadata": {"$setElementOrder/finalizers": 1}})), 400),
        ("another object", MERGE, text(json!({"metadata": {"name": "other"}})), 400),
        ("another kind", MERGE, text(json!({"kind": "Secret"})), 400),
        ("no object at all", MERGE, b"[]".to_vec(), 400),
        ("no object at all", STRATEGIC, b"1".to_vec(), 400),
    ]
}

#[test]
fn hostile_patches_end_in_an_error() {
    let runtime = runtime();
    let cluster = runtime.block_on(cluster());
    let before = runtime.block_on(revision(&cluster));
    let mut failures = Vec::new();
    for (name, kind, patch, code) in patches() {
        let ((told, answer), info) = measured(&runtime, cluster.request("PATCH", MAP, kind, patch));
        if told != code || answer["kind"] != "Status" || answer["reason"].as_str().is_none_or(str::is_empty) {
            failures.push(format!("{name} ({kind}): {told} {answer:.300}"));
        }
        if info.bytes_max > 64 * MIB as u64 {
            failures.push(format!("{name} ({kind}): {} MiB", info.bytes_max / MIB as u64));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(runtime.block_on(revision(&cluster)), before, "nothing was written");
}

/// One less passes, one more does not.
#[tokio::test]
async fn the_edges_of_the_limits_hold() {
    let cluster = cluster().await;
    let patch = async |patch: Value| {
        let path = format!("{MAP}?dryRun=All");
        cluster.request("PATCH", &path, JSON, patch.to_string().into_bytes()).await
    };
    assert_eq!(patch((0..10_000).map(add).collect()).await.0, 200);
    let (code, answer) = patch((0..10_001).map(add).collect()).await;
    let text = "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001";
    assert_eq!((code, answer["message"].as_str()), (413, Some(text)));
    // A copied value counts with its quotes: 1002 bytes. What passes this limit is stopped by that of an object's size.
    let (code, answer) = patch(copies(LIMIT / 1002)).await;
    assert_eq!((code, answer["message"].as_str().unwrap().contains("accumulated size")), (422, false), "{answer}");
    let (code, answer) = patch(copies(LIMIT / 1002 + 1)).await;
    assert_eq!((code, answer["message"].as_str().unwrap().contains("accumulated size")), (413, true), "{answer}");
}

/// Every patch is small; the object stops growing all the same.
#[tokio::test]
async fn an_object_does_not_grow_without_end() {
    let cluster = cluster().await;
    let services = "/api/v1/namespaces/default/replicasets";
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    cluster.post(&services.replace("/api/v1", "/apis/apps/v1"), &set).await;
    let path = "/apis/apps/v1/namespaces/default/replicasets/r";
    for round in 0..4 {
        let before = cluster.get(path).await;
        let value = "x".repeat(MIB);
        let patch = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "c", "env": [{"name": format!("E{round}"), "value": value}]}]}}}});
        let (code, answer) = cluster.request("PATCH", path, STRATEGIC, patch.to_string().into_bytes()).await;
        if round == 0 {
            assert_eq!(code, 200, "{answer:.300}");
        } else {
            let text = answer["message"].as_str().unwrap();
            assert_eq!((code, text), (413, "Request entity too large: the object is too large: limit is 1572864"));
            assert_eq!(cluster.get(path).await, before);
        }
    }
}
