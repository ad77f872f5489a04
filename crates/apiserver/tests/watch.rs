//! Watches: what they tell, from where, and how they end.

mod support;

use serde_json::{Value, json};
use support::Cluster;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, color: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"color": color}}})
}

async fn recolor(cluster: &Cluster, name: &str, color: &str) {
    let patch = json!({"metadata": {"labels": {"color": color}}}).to_string().into_bytes();
    let (code, answer) =
        cluster.request("PATCH", &format!("{MAPS}/{name}"), "application/merge-patch+json", patch).await;
    assert_eq!(code, 200, "{answer}");
}

/// Type and name of an event.
fn told(event: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
}

#[tokio::test]
async fn what_enters_or_leaves_a_selection_is_added_or_deleted() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, &map("old", "red")).await;
    let mut watch = cluster.watch(&format!("{MAPS}?watch=1&labelSelector=color%3Dred"), "").await;
    assert_eq!(told(&watch.next().await.unwrap()), ("ADDED".into(), "old".into()));
    cluster.post(MAPS, &map("blue", "blue")).await;
    recolor(&cluster, "old", "blue").await;
    let left = watch.next().await.unwrap();
    assert_eq!(told(&left), ("DELETED".into(), "old".into()));
    assert_eq!(left["object"]["metadata"]["labels"]["color"], "blue");
    recolor(&cluster, "blue", "red").await;
    assert_eq!(told(&watch.next().await.unwrap()), ("ADDED".into(), "blue".into()));
    cluster.request("DELETE", &format!("{MAPS}/blue"), "", Vec::new()).await;
    let gone = watch.next().await.unwrap();
    assert_eq!(told(&gone), ("DELETED".into(), "blue".into()));
    let revision = cluster.get(MAPS).await["metadata"]["resourceVersion"].clone();
    assert_eq!(gone["object"]["metadata"]["resourceVersion"], revision, "a deletion has a revision of its own");
}

#[tokio::test]
async fn a_watch_goes_on_from_a_revision_until_its_time_is_over() {
    let cluster = Cluster::start().await;
    let first = cluster.post(MAPS, &map("a", "red")).await;
    cluster.post(MAPS, &map("b", "red")).await;
    let from = first["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{MAPS}?watch=1&resourceVersion={from}&timeoutSeconds=3&allowWatchBookmarks=1");
    let mut watch = cluster.watch(&path, "").await;
    assert_eq!(told(&watch.next().await.unwrap()), ("ADDED".into(), "b".into()));
    // Two seconds before the end.
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_streamed_list_ends_with_a_marked_bookmark() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, &map("a", "red")).await;
    let options = "watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let mut watch = cluster.watch(&format!("{MAPS}?{options}"), "").await;
    assert_eq!(told(&watch.next().await.unwrap()), ("ADDED".into(), "a".into()));
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let (code, _) = cluster.request("GET", &format!("{MAPS}?watch=1&sendInitialEvents=true"), "", Vec::new()).await;
    assert_eq!(code, 400);
}

#[tokio::test]
async fn a_revision_that_is_gone_ends_in_a_usable_error() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, &map("a", "red")).await;
    for round in 0..4200 {
        recolor(&cluster, "a", &format!("c{round}")).await;
    }
    let mut watch = cluster.watch(&format!("{MAPS}?watch=1&resourceVersion=2"), "").await;
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(event["object"]["reason"], "Expired");
    assert!(event["object"]["message"].as_str().unwrap().starts_with("too old resource version: 2 ("), "{event}");
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_table_watch_has_its_columns_once() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, &map("a", "red")).await;
    let mut watch = cluster.watch(&format!("{MAPS}?watch=1"), "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    let first = watch.next().await.unwrap();
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    recolor(&cluster, "a", "blue").await;
    let second = watch.next().await.unwrap();
    assert_eq!(second["type"], "MODIFIED");
    assert_eq!(second["object"]["columnDefinitions"], Value::Null);
}

#[tokio::test]
async fn both_groups_of_events_show_the_same_events() {
    let cluster = Cluster::start().await;
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "Started", "message": "hi",
        "type": "Normal", "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}});
    cluster.post("/api/v1/namespaces/default/events", &event).await;
    let other = cluster.get("/apis/events.k8s.io/v1/namespaces/default/events").await;
    assert_eq!(other["kind"], "EventList");
    assert_eq!((&other["items"][0]["note"], &other["items"][0]["regarding"]["name"]), (&json!("hi"), &json!("p")));
    // Each group's own names for the same fields, whichever is asked for first.
    for (path, selector, count) in [
        ("/apis/events.k8s.io/v1/events", "regarding.name%3Dp,regarding.kind%3DPod", 1),
        ("/api/v1/events", "involvedObject.name%3Dp,reason%3DStarted", 1),
        ("/apis/events.k8s.io/v1/events", "regarding.name%3Dq", 0),
        ("/api/v1/events", "involvedObject.kind%3DNode", 0),
    ] {
        let list = cluster.get(&format!("{path}?fieldSelector={selector}")).await;
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{path} {selector}: {list}");
    }
    let mut watch = cluster.watch("/apis/events.k8s.io/v1/events?watch=1", "").await;
    assert_eq!(watch.next().await.unwrap()["object"]["apiVersion"], "events.k8s.io/v1");
}
