//! The cache against a server that plays a part: it ends watches, forgets revisions, and falls silent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use k8s_openapi::api::core::v1::ConfigMap;
use podlab_client::cache::{Change, Key};
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, ListOptions, Object};
use serde_json::{Value, json};

/// The answers to come, and the requests so far.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    requests: Arc<Mutex<Vec<String>>>,
    waits: Arc<Mutex<Vec<Duration>>>,
    more: Arc<tokio::sync::Notify>,
}

impl Script {
    fn of(answers: impl IntoIterator<Item = (u16, String)>) -> Self {
        Script { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Script::default() }
    }

    fn client(&self) -> Client {
        let script = self.clone();
        Client::from_service(tower::service_fn(move |request: http::Request<podlab_client::Body>| {
            let script = script.clone();
            async move {
                script.requests.lock().expect("whole").push(request.uri().to_string());
                let (code, body) = loop {
                    let answer = script.answers.lock().expect("whole").pop_front();
                    match answer {
                        Some(answer) => break answer,
                        None => script.more.notified().await,
                    }
                };
                let response = http::Response::builder().status(code).body(Full::new(Bytes::from(body)));
                Ok::<_, Infallible>(response.expect("a response"))
            }
        }))
    }

    fn sleeper(&self) -> Sleeper {
        let waits = self.waits.clone();
        Sleeper::new(move |duration| {
            waits.lock().expect("whole").push(duration);
            std::future::ready(())
        })
    }
}

fn map(name: &str, revision: u32) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "default", "uid": name, "resourceVersion": revision.to_string() } })
}

fn list(revision: u32, items: &[Value]) -> (u16, String) {
    (200, json!({ "metadata": { "resourceVersion": revision.to_string() }, "items": items }).to_string())
}

fn watch(events: &[(&str, Value)]) -> (u16, String) {
    let lines = events.iter().map(|(kind, object)| json!({ "type": kind, "object": object }).to_string());
    (200, lines.map(|line| line + "\n").collect())
}

fn gone() -> Value {
    json!({ "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old resource version" })
}

fn told(changes: Vec<Change<ConfigMap>>) -> Vec<String> {
    let revision = |map: Option<Arc<ConfigMap>>| {
        map.and_then(|map| map.metadata.resource_version.clone()).unwrap_or_else(|| "-".to_owned())
    };
    changes
        .into_iter()
        .map(|change| format!("{}: {} to {}", change.key, revision(change.old), revision(change.new)))
        .collect()
}

/// Runs the cache until the script is at its end.
async fn play(script: &Script) -> Cache<ConfigMap> {
    let (cache, reflect) = Cache::new(script.client(), None, ListOptions::default(), script.sleeper());
    // What the last answer brought is there once the request after it has been made.
    let all = script.answers.lock().expect("whole").len() + 1;
    let end = async {
        while script.requests.lock().expect("whole").len() < all {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = reflect => unreachable!("it goes on for ever"),
        () = end => {}
    }
    cache
}

#[tokio::test]
async fn a_watch_goes_on_where_the_last_one_ended() {
    let script = Script::of([
        list(5, &[map("a", 3)]),
        watch(&[("ADDED", map("b", 6)), ("BOOKMARK", map("", 9))]),
        watch(&[("MODIFIED", map("a", 10)), ("DELETED", map("b", 11))]),
    ]);
    let cache = play(&script).await;
    assert_eq!(cache.all().iter().map(|map| map.name().to_owned()).collect::<Vec<_>>(), ["a"]);
    let requests = script.requests.lock().expect("whole").clone();
    let from = |request: &String| request.split("resourceVersion=").nth(1).map(str::to_owned);
    assert_eq!(
        requests.iter().map(from).collect::<Vec<_>>(),
        [None, Some("5".into()), Some("9".into()), Some("11".into())]
    );
    assert!(script.waits.lock().expect("whole").is_empty(), "nothing failed");
}

#[tokio::test]
async fn after_a_gap_it_lists_again_and_tells_the_difference() {
    let script = Script::of([list(5, &[map("a", 3), map("b", 4), map("c", 5)])]);
    let (cache, reflect) = Cache::new(script.client(), None, ListOptions::default(), script.sleeper());
    let mut changes = cache.changes();
    let follow = async {
        let first = told(changes.next().await);
        assert_eq!(first, ["default/a: - to 3", "default/b: - to 4", "default/c: - to 5"]);
        script.answers.lock().expect("whole").extend([
            watch(&[("BOOKMARK", map("", 6))]),
            watch(&[("ERROR", gone())]),
            list(9, &[map("a", 3), map("b", 8), map("d", 9)]),
        ]);
        script.more.notify_one();
        told(changes.next().await)
    };
    let second = tokio::select! {
        () = reflect => unreachable!("it goes on for ever"),
        second = follow => second,
    };
    assert_eq!(second, ["default/c: 5 to -", "default/b: 4 to 8", "default/d: - to 9"], "a is unchanged");
    assert!(script.waits.lock().expect("whole").is_empty(), "a gap is no reason to wait");
}

#[tokio::test]
async fn failures_are_waited_out_longer_each_time() {
    let refused = || (503, json!({ "kind": "Status", "message": "starting" }).to_string());
    let script = Script::of([refused(), refused(), refused(), list(1, &[]), watch(&[("ADDED", map("a", 2))])]);
    let cache = play(&script).await;
    assert_eq!(cache.len(), 1);
    let waits: Vec<u128> = script.waits.lock().expect("whole").iter().map(Duration::as_millis).collect();
    assert_eq!(waits, [50, 100, 200]);
}

#[tokio::test]
async fn an_endless_line_is_refused() {
    let script = Script::of([list(1, &[]), (200, "x".repeat(9 << 20))]);
    play(&script).await;
    assert_eq!(script.waits.lock().expect("whole").len(), 1, "the watch failed, and was tried again");
}

#[test]
fn a_slow_reader_sees_one_change_an_object() {
    let cache = Cache::<ConfigMap>::detached();
    let typed = |value: Value| serde_json::from_value::<ConfigMap>(value).expect("a ConfigMap");
    cache.insert(typed(map("a", 1)));
    let mut changes = cache.changes();
    for revision in 2..100 {
        cache.insert(typed(map("a", revision)));
        cache.insert(typed(map("b", revision)));
    }
    cache.remove(&Key::new("default", "b"));
    assert_eq!(told(changes.take()), ["default/a: - to 99", "default/b: - to -"]);
    assert!(changes.take().is_empty());
    cache.insert(typed(map("a", 50)));
    assert_eq!(told(changes.take()), Vec::<String>::new(), "an older one is left out");
}
