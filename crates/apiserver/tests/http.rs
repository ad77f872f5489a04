//! Answers over HTTP, as the real server gives them to a program (goldens 560 to 580).

mod support;

use std::io::Read;

use http_body_util::BodyExt;
use podlab_apiserver::{Body, Identity};
use serde_json::{Value, json};
use support::Cluster;
use support::raw::Raw;
use tower::ServiceExt;

const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "a", "image": "b"}]}})
}

fn failure(message: &str, reason: &str, details: Value, code: u16) -> Value {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code});
    if !details.is_null() {
        status["details"] = details;
    }
    status
}

#[tokio::test]
async fn refusals_have_the_real_words() {
    let cluster = Cluster::start().await;
    cluster.post(PODS, &pod("p")).await;
    let twice = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"},
        "spec": {"containers": [{"name": "a", "image": "b"}, {"name": "a", "image": "b"}]}});
    let strict = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"},
        "spec": {"nope": 1, "containers": [{"name": "a", "image": "b"}]}});
    let json_type = "application/json";
    for (method, path, kind, body, expected) in [
        (
            "GET",
            format!("{PODS}/nosuch"),
            "",
            Value::Null,
            failure("pods \"nosuch\" not found", "NotFound", json!({"name": "nosuch", "kind": "pods"}), 404),
        ),
        (
            "POST",
            PODS.into(),
            json_type,
            pod("p"),
            failure("pods \"p\" already exists", "AlreadyExists", json!({"name": "p", "kind": "pods"}), 409),
        ),
        (
            "POST",
            PODS.into(),
            json_type,
            twice,
            failure(
                "Pod \"bad\" is invalid: spec.containers[1].name: Duplicate value: \"a\"",
                "Invalid",
                json!({"name": "bad", "kind": "Pod", "causes": [{"reason": "FieldValueDuplicate",
                    "message": "Duplicate value: \"a\"", "field": "spec.containers[1].name"}]}),
                422,
            ),
        ),
        (
            "POST",
            format!("{PODS}?fieldValidation=Strict"),
            json_type,
            strict,
            failure(
                "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"spec.nope\"",
                "BadRequest",
                Value::Null,
                400,
            ),
        ),
        (
            "POST",
            PODS.into(),
            "text/plain",
            json!("x"),
            failure(
                "the body of the request was in an unknown format - accepted media types include: application/json, \
                 application/yaml, application/vnd.kubernetes.protobuf",
                "UnsupportedMediaType",
                Value::Null,
                415,
            ),
        ),
        (
            "POST",
            format!("{PODS}/p"),
            json_type,
            json!({}),
            failure(
                "the server does not allow this method on the requested resource",
                "MethodNotAllowed",
                json!({}),
                405,
            ),
        ),
        (
            "GET",
            "/nope".into(),
            "",
            Value::Null,
            failure("the server could not find the requested resource", "NotFound", json!({}), 404),
        ),
        (
            "DELETE",
            "/api/v1/namespaces/kube-system".into(),
            "",
            Value::Null,
            failure(
                "namespaces \"kube-system\" is forbidden: this namespace may not be deleted",
                "Forbidden",
                json!({"name": "kube-system", "kind": "namespaces"}),
                403,
            ),
        ),
    ] {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (code, answer) = cluster.request(method, &path, kind, body).await;
        assert_eq!(answer, expected, "{method} {path}");
        assert_eq!(code, expected["code"].as_u64().unwrap() as u16);
    }
}

#[tokio::test]
async fn views_are_what_was_asked_for() {
    let cluster = Cluster::start().await;
    for name in ["a", "b", "c"] {
        cluster.post(PODS, &pod(name)).await;
    }
    let table = cluster.get_as(&format!("{PODS}?limit=2"), "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    let names: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    let expected = ["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates"];
    assert_eq!(names, expected);
    assert_eq!(table["rows"].as_array().unwrap().len(), 2);
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(table["metadata"]["remainingItemCount"], 1);
    let token = table["metadata"]["continue"].as_str().unwrap();
    let rest = cluster.get(&format!("{PODS}?limit=2&continue={token}")).await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(rest["items"][0]["metadata"]["name"], "c");
    assert!(rest["metadata"]["continue"].is_null());
    // The client library's two ways to ask for less.
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let partial = cluster.get_as(PODS, accept).await;
    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert!(partial["items"][0]["spec"].is_null());
    let refused = cluster.get_as(PODS, "text/html").await;
    assert_eq!(refused["code"], 406);
    for (selector, count) in [
        ("fieldSelector=metadata.name%3Db", 1),
        ("fieldSelector=status.phase!%3DPending", 0),
        ("fieldSelector=spec.nodeName%3D", 3),
        ("labelSelector=x", 0),
        ("labelSelector=!x&limit=1", 1),
    ] {
        let list = cluster.get(&format!("{PODS}?{selector}")).await;
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{selector}");
    }
}

/// From 128 KiB on, for who accepts it: below, packing costs more than it saves.
#[tokio::test]
async fn large_answers_are_packed_for_who_accepts_it() {
    let cluster = Cluster::start().await;
    for number in 0..2 {
        let text = "x".repeat(100 << 10);
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("map-{number}")},
            "data": {"text": text}});
        cluster.post("/api/v1/namespaces/default/configmaps", &map).await;
    }
    let all = "/api/v1/namespaces/default/configmaps";
    let get = async |path: &str, accept: &str| {
        let request = http::Request::builder().uri(path).header("accept-encoding", accept);
        let service = cluster.server.service(Identity::admin());
        let response = service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let packed = response.headers().get("content-encoding").is_some_and(|coding| coding == "gzip");
        (packed, response.into_body().collect().await.unwrap().to_bytes())
    };
    let (packed, plain) = get(all, "identity").await;
    assert!(!packed && plain.len() > 200 << 10);
    let (packed, bytes) = get(all, "deflate, gzip").await;
    assert!(packed && bytes.len() < 10 << 10, "{packed}, {} bytes", bytes.len());
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    assert!(text == plain);
    let (packed, _) = get(&format!("{all}/map-0"), "gzip").await;
    assert!(!packed, "100 KiB are not worth it");
}

#[tokio::test]
async fn writes_are_conditional_dry_and_generated() {
    let cluster = Cluster::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "m-"}, "data": {"a": "1"}});
    let first = cluster.post(maps, &map).await;
    let name = first["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("m-") && name.len() == 7, "{name}");
    let path = format!("{maps}/{name}");
    let put = |object: &Value| object.to_string().into_bytes();

    let mut second = first.clone();
    second["data"]["a"] = "2".into();
    let (code, updated) = cluster.request("PUT", &path, "application/json", put(&second)).await;
    assert_eq!((code, &updated["data"]["a"]), (200, &json!("2")), "{updated}");
    let (code, stale) = cluster.request("PUT", &path, "application/json", put(&second)).await;
    let message = format!(
        "Operation cannot be fulfilled on configmaps \"{name}\": the object has been modified; please apply your changes \
         to the latest version and try again"
    );
    assert_eq!((code, &stale["message"]), (409, &json!(message)));
    // Writing what is there already is no write.
    let (_, same) = cluster.request("PUT", &path, "application/json", put(&updated)).await;
    assert_eq!(same["metadata"]["resourceVersion"], updated["metadata"]["resourceVersion"]);

    for (kind, patch, expected) in [
        ("application/merge-patch+json", json!({"data": {"a": null, "b": "1"}}), json!({"b": "1"})),
        (
            "application/json-patch+json",
            json!([{"op": "add", "path": "/data/c", "value": "2"}]),
            json!({"b": "1", "c": "2"}),
        ),
        ("application/strategic-merge-patch+json", json!({"data": {"b": null}}), json!({"c": "2"})),
    ] {
        let dry = format!("{path}?dryRun=All");
        let (_, before) = cluster.request("GET", &path, "", Vec::new()).await;
        let (code, told) = cluster.request("PATCH", &dry, kind, put(&patch)).await;
        assert_eq!((code, &told["data"]), (200, &expected), "{kind}");
        assert_eq!(cluster.get(&path).await, before, "a dry run writes nothing");
        let (_, told) = cluster.request("PATCH", &path, kind, put(&patch)).await;
        assert_eq!(told["data"], expected);
    }
    let (code, applied) = cluster.request("PATCH", &path, "application/apply-patch+yaml", b"{}".to_vec()).await;
    assert_eq!(code, 400);
    assert!(applied["message"].as_str().unwrap().contains("server-side apply"), "{applied}");

    let wrong = json!({"preconditions": {"uid": "other"}});
    assert_eq!(cluster.request("DELETE", &path, "application/json", put(&wrong)).await.0, 409);
    let (code, gone) = cluster.request("DELETE", &path, "application/json", Vec::new()).await;
    assert_eq!((code, &gone["status"], &gone["details"]["name"]), (200, &json!("Success"), &json!(name)));
}

#[tokio::test]
async fn deletions_wait_for_grace_and_finalizers() {
    let cluster = Cluster::start().await;
    cluster.running_pod("p", &["a"]).await;
    let path = format!("{PODS}/p");
    let (code, going) =
        cluster.request("DELETE", &path, "application/json", br#"{"gracePeriodSeconds":2}"#.to_vec()).await;
    assert_eq!((code, &going["metadata"]["deletionGracePeriodSeconds"]), (200, &json!(2)), "{going}");
    assert!(cluster.get(&path).await["metadata"]["deletionTimestamp"].is_string());
    // The kubelet's last word.
    let last = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": going["metadata"]["uid"]}});
    let (code, _) = cluster.request("DELETE", &path, "application/json", last.to_string().into_bytes()).await;
    assert_eq!((code, cluster.get(&path).await["code"].clone()), (200, json!(404)));

    let maps = "/api/v1/namespaces/default/configmaps";
    let held =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "finalizers": ["example.com/x"]}});
    cluster.post(maps, &held).await;
    let path = format!("{maps}/m");
    cluster.request("DELETE", &path, "", Vec::new()).await;
    assert!(cluster.get(&path).await["metadata"]["deletionTimestamp"].is_string());
    let free = br#"{"metadata":{"finalizers":null}}"#.to_vec();
    cluster.request("PATCH", &path, "application/merge-patch+json", free).await;
    assert_eq!(cluster.get(&path).await["code"], 404);

    for name in ["x", "y"] {
        cluster.post(maps, &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})).await;
    }
    let (code, gone) = cluster.request("DELETE", maps, "", Vec::new()).await;
    assert_eq!((code, gone["items"].as_array().unwrap().len()), (200, 2));
}

#[tokio::test]
async fn a_namespace_goes_when_its_finalizer_does() {
    let cluster = Cluster::start().await;
    let path = "/api/v1/namespaces/team-a";
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}});
    cluster.post("/api/v1/namespaces", &namespace).await;
    let (_, going) = cluster.request("DELETE", path, "", Vec::new()).await;
    assert_eq!(going["status"]["phase"], "Terminating");
    let maps = format!("{path}/configmaps");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}).to_string().into_bytes();
    let (code, refused) = cluster.request("POST", &maps, "application/json", map).await;
    let text = "configmaps \"m\" is forbidden: unable to create new content in namespace team-a because it is being terminated";
    assert_eq!((code, &refused["message"]), (403, &json!(text)));
    let mut finished = going.clone();
    finished["spec"]["finalizers"] = json!([]);
    let body = finished.to_string().into_bytes();
    let (code, answer) = cluster.request("PUT", &format!("{path}/finalize"), "application/json", body).await;
    assert_eq!(code, 200, "{answer}");
    assert_eq!(cluster.get(path).await["code"], 404);
}

#[tokio::test]
async fn the_scheduler_binds_once() {
    let cluster = Cluster::start().await;
    cluster.post(PODS, &pod("p")).await;
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "n1"}});
    let path = format!("{PODS}/p/binding");
    let bound = cluster.post(&path, &binding).await;
    assert_eq!(bound["status"], "Success");
    let pod = cluster.get(&format!("{PODS}/p")).await;
    assert_eq!(pod["spec"]["nodeName"], "n1");
    assert_eq!(pod["status"]["conditions"][0]["type"], "PodScheduled");
    let (code, again) = cluster.request("POST", &path, "application/json", binding.to_string().into_bytes()).await;
    let text = "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\"";
    assert_eq!((code, &again["message"]), (409, &json!(text)));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_see_health_and_version_only() {
    let cluster = Cluster::start().await;
    let get = |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    let ask = async |text: String| Raw::connect(cluster.address, &cluster.ca_certificate).await.exchange(&text).await;
    let here = "Host: localhost\r\n";
    let answer = ask(get("/api/v1/pods", here)).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let text = r#""message":"pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" at the cluster scope""#;
    assert!(answer.contains(text), "{answer}");
    for (path, code) in
        [("/healthz", 200), ("/readyz", 200), ("/version", 200), ("/api", 403), ("/", 403), ("/nope", 403)]
    {
        let answer = ask(get(path, here)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{path}: {answer}");
    }
    for headers in [
        "Host: example.com\r\n",
        "Host: localhost\r\nOrigin: http://example.com\r\n",
        "Host: localhost\r\nAuthorization: Bearer nonsense\r\n",
    ] {
        let answer = ask(get("/version", headers)).await;
        let code = if headers.contains("Bearer") { 401 } else { 403 };
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{headers}: {answer}");
    }
    // A refused upgrade leaves nothing behind: what follows is judged by itself.
    let upgrade = format!(
        "GET {PODS}/p/exec?command=sh&stdout=1 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: \
         websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n"
    );
    let answer = ask(upgrade + &get("/api/v1/secrets", here)).await;
    assert_eq!(answer.matches("HTTP/1.1 403 ").count(), 2, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_its_service_account() {
    let cluster = Cluster::start().await;
    cluster.running_pod("p", &["a"]).await;
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": [], "expirationSeconds": 3607,
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}});
    let answer = cluster.post(path, &request).await;
    let token = answer["status"]["token"].as_str().unwrap().to_owned();
    let get = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n")
    };
    let ask = async |text: String| Raw::connect(cluster.address, &cluster.ca_certificate).await.exchange(&text).await;
    assert!(ask(get(PODS)).await.starts_with("HTTP/1.1 200 "));
    let secrets = ask(get("/api/v1/namespaces/default/secrets")).await;
    let text = r#"User \"system:serviceaccount:default:default\" cannot list resource \"secrets\" in API group \"\" in the namespace \"default\""#;
    assert!(secrets.starts_with("HTTP/1.1 403 ") && secrets.contains(text), "{secrets}");
    assert!(ask(get("/api/v1/namespaces/kube-system/pods")).await.starts_with("HTTP/1.1 403 "));
    // With its Pod, the token ends.
    cluster.request("DELETE", &format!("{PODS}/p?gracePeriodSeconds=0"), "", Vec::new()).await;
    assert!(ask(get(PODS)).await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn everything_that_arrives_has_a_limit() {
    let cluster = Cluster::start().await;
    let revision = cluster.get(PODS).await["metadata"]["resourceVersion"].clone();
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let mut large = pod("large");
    large["metadata"]["annotations"] = json!({"a": "x".repeat(4 << 20)});
    let bomb = (0..9).fold("a: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
        let items = vec![format!("*a{level}"); 9].join(",");
        format!("{text}b{level}: &a{} [{items}]\n", level + 1)
    });
    let json_type = "application/json";
    for (path, kind, body, codes) in [
        (PODS.to_owned(), json_type, large.to_string(), [413, 413]),
        (PODS.to_owned(), json_type, nested(100_000), [400, 400]),
        (PODS.to_owned(), json_type, format!("{{\"metadata\":{}}}", nested(100_000)), [400, 400]),
        (PODS.to_owned(), "application/yaml", nested(100_000), [400, 400]),
        (PODS.to_owned(), "application/yaml", bomb, [400, 400]),
        (PODS.to_owned(), json_type, "\u{0}".to_owned(), [400, 400]),
        (PODS.to_owned(), "application/vnd.kubernetes.protobuf", "k8s\u{0}\u{7f}\u{7f}".to_owned(), [400, 400]),
        (format!("{PODS}?{}", "a&".repeat(5000)), json_type, pod("x").to_string(), [400, 400]),
        (format!("{PODS}/{}", "a".repeat(9000)), json_type, pod("x").to_string(), [404, 405]),
    ] {
        let (code, answer) = cluster.request("POST", &path, kind, body.into_bytes()).await;
        assert!(codes.contains(&code), "{code} {answer}");
        assert_eq!(answer["kind"], "Status");
    }
    for name in ["..", "%2e%2e", "a%2fb", "a%00b", "A_B", "%ff", &"a".repeat(300)] {
        let code = cluster.request("GET", &format!("{PODS}/{name}"), "", Vec::new()).await.0;
        assert_eq!(code, 404, "{name}");
    }
    assert_eq!(cluster.get(PODS).await["metadata"]["resourceVersion"], revision, "nothing was written");
}

#[tokio::test]
async fn quotas_are_kept_and_told() {
    let cluster = Cluster::start().await;
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"pods": "1", "requests.cpu": "1", "requests.memory": "256Mi"}}});
    cluster.post(quotas, &quota).await;
    let used = async || cluster.get(&format!("{quotas}/q")).await["status"]["used"].clone();
    assert_eq!(used().await, json!({"pods": "0", "requests.cpu": "0", "requests.memory": "0"}));
    let create = async |name: &str, requests: Value| {
        let mut object = pod(name);
        object["spec"]["containers"][0]["resources"] = json!({"requests": requests});
        let (_, answer) = cluster.request("POST", PODS, "application/json", object.to_string().into_bytes()).await;
        answer["message"].as_str().unwrap_or("created").to_owned()
    };
    let small = json!({"cpu": "100m", "memory": "64Mi"});
    assert_eq!(create("one", small.clone()).await, "created");
    assert_eq!(used().await, json!({"pods": "1", "requests.cpu": "100m", "requests.memory": "64Mi"}));
    let exceeded = "pods \"two\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1";
    assert_eq!(create("two", small.clone()).await, exceeded);
    let silent =
        "pods \"three\" is forbidden: failed quota: q: must specify requests.cpu for: a; requests.memory for: a";
    assert_eq!(create("three", json!({})).await, silent);
    cluster.request("DELETE", &format!("{PODS}/one"), "", Vec::new()).await;
    assert_eq!(used().await["pods"], "0");
    assert_eq!(create("two", small).await, "created");
}
