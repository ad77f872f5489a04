//! Names and paths that no well-behaved client would ask for.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::Cluster;
use crate::{measured, revision, runtime};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";

/// What could be a name, a way out of one, or the end of a string, in a path.
const ODD: &[&str] = &[
    ".",
    "..",
    "%2e",
    "%2e%2e",
    "a%2fb",
    "..%2f..%2fetc%2fpasswd",
    "a%5cb",
    "a%00b",
    "%00",
    "%ff%fe",
    "%c3%a4",
    "A_B",
    "-a",
    "a-",
    "a..b",
    "%20",
    "a%0d%0aX-Injected:%201",
    "*",
    "%25",
    "%252e%252e",
    "{a}",
    "a%3Fwatch=1",
    "a%23b",
    "~",
    ";",
];

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

#[tokio::test]
async fn odd_names_name_nothing() {
    let cluster = Cluster::start().await;
    let before = revision(&cluster).await;
    let long = "a".repeat(300);
    for name in ODD.iter().copied().chain([long.as_str()]) {
        let decoded = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
        let body = map(&decoded).to_string().into_bytes();
        for (method, path) in [
            ("GET", format!("{MAPS}/{name}")),
            ("PUT", format!("{MAPS}/{name}")),
            ("PATCH", format!("{MAPS}/{name}")),
            ("DELETE", format!("{MAPS}/{name}")),
            ("GET", format!("/api/v1/namespaces/{name}/pods/p")),
            ("POST", format!("/api/v1/namespaces/{name}/configmaps")),
            ("GET", format!("/api/v1/{name}")),
            ("GET", format!("/apis/{name}/v1/pods")),
            ("GET", format!("/apis/apps/{name}")),
            ("GET", format!("/openapi/v3/{name}")),
            ("GET", format!("/{name}")),
        ] {
            let kind = if method == "PATCH" { "application/merge-patch+json" } else { JSON };
            let (code, answer) = cluster.request(method, &path, kind, body.clone()).await;
            assert!((400..500).contains(&code), "{method} {path}: {code} {answer}");
            assert_eq!(answer["kind"], "Status", "{method} {path}");
        }
        // What no path can name, no body names either.
        let (code, answer) = cluster.request("POST", MAPS, JSON, body).await;
        assert_eq!((code, &answer["reason"]), (422, &json!("Invalid")), "{name}: {answer}");
    }
    assert_eq!(revision(&cluster).await, before, "nothing was written");
}

#[test]
fn twenty_thousand_paths_leave_nothing() {
    let runtime = runtime();
    let cluster = runtime.block_on(Cluster::start());
    let ask = async |range: std::ops::Range<usize>| {
        for number in range {
            let path = match number % 5 {
                0 => format!("/nope/{number}"),
                1 => format!("{MAPS}/m{number}"),
                2 => format!("/api/v1/namespaces/n{number}/pods?labelSelector=a{number}"),
                3 => format!("/apis/group{number}/v1"),
                _ => format!("/openapi/v3/apis/group{number}/v1"),
            };
            cluster.request("GET", &path, "", Vec::new()).await;
        }
    };
    // What is made once (the documents, the thread's own buffers) is made now.
    runtime.block_on(ask(0..500));
    let ((), info) = measured(&runtime, ask(500..20_500));
    assert!(info.bytes_current < 64 * 1024, "{} bytes are kept", info.bytes_current);
    assert!(info.bytes_max < 4 << 20, "{} bytes at a time", info.bytes_max);
}

#[tokio::test]
async fn names_that_begin_alike_are_kept_apart() {
    let cluster = Cluster::start().await;
    let namespaces = ["a", "a-b", "ab", "a.b"];
    for namespace in &namespaces[..3] {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        cluster.post("/api/v1/namespaces", &object).await;
        for name in ["x", "x-y", "x.y", "xy"] {
            cluster.post(&format!("/api/v1/namespaces/{namespace}/configmaps"), &map(name)).await;
        }
    }
    let names = async |path: &str| -> Vec<String> {
        let list = cluster.get(path).await;
        let items = list["items"].as_array().unwrap().clone();
        let name = |item: &Value, field: &str| item["metadata"][field].as_str().unwrap().to_owned();
        items.iter().map(|item| format!("{}/{}", name(item, "namespace"), name(item, "name"))).collect()
    };
    for namespace in &namespaces[..3] {
        let listed = names(&format!("/api/v1/namespaces/{namespace}/configmaps")).await;
        let expected = ["x", "x-y", "x.y", "xy"].map(|name| format!("{namespace}/{name}"));
        assert_eq!(listed, expected);
        let page = names(&format!("/api/v1/namespaces/{namespace}/configmaps?limit=3")).await;
        assert_eq!(page, expected[..3]);
        let one = names(&format!("/api/v1/namespaces/{namespace}/configmaps?fieldSelector=metadata.name%3Dx")).await;
        assert_eq!(one, expected[..1]);
    }
    cluster.request("DELETE", "/api/v1/namespaces/a/configmaps", "", Vec::new()).await;
    assert_eq!(names("/api/v1/namespaces/a/configmaps").await, Vec::<String>::new());
    assert_eq!(names("/api/v1/namespaces/ab/configmaps").await.len(), 4);
    assert_eq!(names("/api/v1/namespaces/a-b/configmaps").await.len(), 4);
    // A resource whose name begins another's: pods and podtemplates.
    let template = json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "t"},
        "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}});
    cluster.post("/api/v1/namespaces/ab/podtemplates", &template).await;
    assert_eq!(names("/api/v1/namespaces/ab/pods").await, Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the path, there is an answer, and what was stored can be found by its name again.
    #[test]
    fn any_path_is_answered(
        parts in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "api", "apis", "v1", "apps", "namespaces", "default", "pods", "configmaps", "status", "log", "exec",
                    "proxy", "scale", "token", "binding", "finalize", "openapi", "v3", "",
                ]).prop_map(str::to_owned),
                prop::sample::select(ODD.to_vec()).prop_map(str::to_owned),
                "[a-z0-9.%_~-]{0,12}",
            ],
            0..9,
        ),
        query in "([a-zA-Z]{1,16}=[a-z0-9%=,!-]{0,12}&){0,4}",
        method in prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"]),
        body in ".{0,40}",
    ) {
        // A watch would be an answer without an end.
        prop_assume!(!query.to_lowercase().contains("watch"));
        let path = format!("/{}?{query}", parts.join("/"));
        prop_assume!(path.parse::<http::Uri>().is_ok());
        let runtime = runtime();
        runtime.block_on(async {
            let cluster = Cluster::start().await;
            let (code, _) = cluster.request(method, &path, JSON, body.into_bytes()).await;
            assert!((200..600).contains(&code) && code != 500, "{method} {path}: {code}");
            for kind in ["pods", "configmaps", "namespaces", "secrets", "services", "nodes"] {
                let list = cluster.get(&format!("/api/v1/{kind}")).await;
                for item in list["items"].as_array().unwrap() {
                    let name = item["metadata"]["name"].as_str().unwrap();
                    let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || "-.".contains(character);
                    assert!(!name.is_empty() && name.chars().all(plain), "{method} {path}: {name:?}");
                }
            }
        });
    }
}
