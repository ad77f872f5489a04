//! What holds for every kind, whatever is in it. Whoever adds a kind adds an example of it here, and nothing else.

mod support;

use podlab_api::registry::{self, Resource, Storage};
use serde_json::{Value, json};
use support::Cluster;

const JSON: &str = "application/json";
const PATCHES: [&str; 3] =
    ["application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json"];
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const STREAMED: &str = "watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";

/// The least that makes a valid object of a kind.
fn example(resource: &Resource, name: &str) -> Value {
    let pods = json!({"containers": [{"name": "a", "image": "x:1"}]});
    let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": pods});
    let replicated = json!({"selector": {"matchLabels": {"app": "x"}}, "template": template});
    let mut object = match resource.kind {
        "Pod" => json!({"spec": pods}),
        "PodTemplate" => json!({"template": template}),
        "Deployment" | "ReplicaSet" => json!({"spec": replicated}),
        "Service" => json!({"spec": {"ports": [{"port": 80}]}}),
        "PersistentVolume" => json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "hostPath": {"path": "/v"}}}),
        "PersistentVolumeClaim" => json!({"spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}}),
        "LimitRange" => json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}),
        "EndpointSlice" => json!({"addressType": "IPv4", "endpoints": []}),
        "StorageClass" => json!({"provisioner": "example.com/none"}),
        "PriorityClass" => json!({"value": 5}),
        "Event" if resource.group.is_empty() => {
            json!({"involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "R"})
        }
        "Event" => json!({"regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "R",
            "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "c.example.com", "reportingInstance": "i",
            "action": "A", "type": "Normal"}),
        _ => json!({}),
    };
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.into();
    object["metadata"] = json!({"name": name, "labels": {"example": name}});
    object
}

fn collection(resource: &Resource) -> String {
    let root =
        if resource.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}", resource.api_version()) };
    let place = if resource.namespaced { "/namespaces/default" } else { "" };
    format!("{root}{place}/{}", resource.plural)
}

/// Adds a label, in each of the patch languages.
fn patch(kind: &str, value: &str) -> Vec<u8> {
    let patch = if kind.contains("json-patch") {
        json!([{"op": "add", "path": "/metadata/labels/new", "value": value}])
    } else {
        json!({"metadata": {"labels": {"new": value}}})
    };
    patch.to_string().into_bytes()
}

/// Every kind that lies in the store.
fn kinds() -> impl Iterator<Item = &'static Resource> {
    registry::all().iter().filter(|resource| resource.storage != Storage::None)
}

/// Names of a list's items that are not on their way out.
async fn names(cluster: &Cluster, path: &str) -> Vec<String> {
    let list = cluster.get(path).await;
    let items = list["items"].as_array().unwrap_or_else(|| panic!("{path}: {list}"));
    let staying = items.iter().filter(|item| item["metadata"]["deletionTimestamp"].is_null());
    staying.map(|item| item["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn every_kind_is_written_as_its_verbs_say() {
    let cluster = Cluster::start().await;
    for resource in kinds() {
        let all = collection(resource);
        let one = format!("{all}/a");
        let body = |name: &str| example(resource, name).to_string().into_bytes();
        // Dry: told as if it were there, and it is not.
        let (code, dry) = cluster.request("POST", &format!("{all}?dryRun=All"), JSON, body("a")).await;
        assert_eq!((code, &dry["metadata"]["name"]), (201, &json!("a")), "{all}: {dry}");
        assert_eq!(cluster.request("GET", &one, "", Vec::new()).await.0, 404, "{all}: a dry run wrote something");

        cluster.post(&all, &example(resource, "a")).await;
        // A quota is told at once what is used.
        let made = cluster.get(&one).await;
        assert_eq!((&made["kind"], &made["apiVersion"]), (&json!(resource.kind), &json!(resource.api_version())));
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            assert!(made["metadata"][field].as_str().is_some_and(|text| !text.is_empty()), "{all}: {field}: {made}");
        }
        assert!(made["metadata"]["managedFields"][0]["fieldsV1"].is_object(), "{all}: {made}");
        assert_eq!(cluster.request("POST", &all, JSON, body("a")).await.0, 409, "{all}: twice");

        let mut changed = made.clone();
        changed["metadata"]["labels"]["new"] = "put".into();
        let put = changed.to_string().into_bytes();
        let (code, dry) = cluster.request("PUT", &format!("{one}?dryRun=All"), JSON, put.clone()).await;
        assert_eq!((code, &dry["metadata"]["labels"]["new"]), (200, &json!("put")), "{all}: {dry}");
        for kind in PATCHES {
            let (code, dry) = cluster.request("PATCH", &format!("{one}?dryRun=All"), kind, patch(kind, "dry")).await;
            assert_eq!((code, &dry["metadata"]["labels"]["new"]), (200, &json!("dry")), "{all} {kind}: {dry}");
        }
        let (code, _) = cluster.request("DELETE", &format!("{one}?dryRun=All"), "", Vec::new()).await;
        assert_eq!(code, 200, "{all}");
        assert_eq!(cluster.get(&one).await, made, "{all}: dry runs wrote something");

        let (code, told) = cluster.request("PUT", &one, JSON, put.clone()).await;
        assert_eq!((code, &told["metadata"]["labels"]["new"]), (200, &json!("put")), "{all}: {told}");
        assert_eq!(cluster.request("PUT", &one, JSON, put).await.0, 409, "{all}: from a version that is gone");
        for kind in PATCHES {
            let (code, told) = cluster.request("PATCH", &one, kind, patch(kind, "patched")).await;
            assert_eq!((code, &told["metadata"]["labels"]["new"]), (200, &json!("patched")), "{all} {kind}: {told}");
        }
        let (code, told) = cluster.request("PATCH", &one, "application/apply-patch+yaml", b"{}".to_vec()).await;
        let message = told["message"].as_str().unwrap();
        assert!(code == 400 && message.contains("server-side apply"), "{all}: {told}");
        assert_eq!(cluster.request("POST", &all, "text/plain", body("b")).await.0, 415, "{all}");
        assert_eq!(cluster.request("PATCH", &one, JSON, patch(PATCHES[0], "x")).await.0, 415, "{all}");
        assert_eq!(cluster.request("POST", &one, JSON, body("a")).await.0, 405, "{all}");
        assert_eq!(cluster.request("PUT", &all, JSON, body("a")).await.0, 405, "{all}");

        let selected = format!("{all}?labelSelector=example%3Db");
        cluster.post(&all, &example(resource, "b")).await;
        if resource.verbs.contains(&"deletecollection") {
            let (code, _) = cluster.request("DELETE", &format!("{selected}&dryRun=All"), "", Vec::new()).await;
            assert_eq!((code, names(&cluster, &selected).await), (200, vec!["b".to_owned()]), "{all}");
            let (code, told) = cluster.request("DELETE", &selected, "", Vec::new()).await;
            assert_eq!(code, 200, "{all}: {told}");
            assert_eq!(names(&cluster, &selected).await, [""; 0], "{all}");
        } else {
            assert_eq!(cluster.request("DELETE", &selected, "", Vec::new()).await.0, 405, "{all}");
        }
        assert!(names(&cluster, &all).await.contains(&"a".to_owned()), "{all}: more was deleted than was selected");
        assert_eq!(cluster.request("DELETE", &one, "", Vec::new()).await.0, 200, "{all}");
        assert!(!names(&cluster, &all).await.contains(&"a".to_owned()), "{all}: it stays");
    }
}

#[tokio::test]
async fn every_kind_is_read_as_its_verbs_say() {
    let cluster = Cluster::start().await;
    for resource in kinds() {
        let all = collection(resource);
        for name in ["a", "b", "c"] {
            cluster.post(&all, &example(resource, name)).await;
        }
        let ours = format!("{all}?labelSelector=example+in+(a,b,c)");
        assert_eq!(names(&cluster, &ours).await, ["a", "b", "c"], "{all}");
        for (selector, expected) in [
            ("fieldSelector=metadata.name%3Db", &["b"][..]),
            ("labelSelector=example%3Dc", &["c"]),
            ("labelSelector=example+in+(a,b,c)&fieldSelector=metadata.name!%3Db", &["a", "c"]),
            ("labelSelector=example%3Dd", &[]),
        ] {
            assert_eq!(names(&cluster, &format!("{all}?{selector}")).await, expected, "{all} {selector}");
        }
        for field in resource.selectable_fields {
            let path = format!("{ours}&fieldSelector={field}%3Dno-such-value");
            assert_eq!(names(&cluster, &path).await, [""; 0], "{all} {field}");
        }
        let refused = cluster.get(&format!("{all}?fieldSelector=spec.nope%3D1")).await;
        assert_eq!(refused["message"], "field label not supported: spec.nope", "{all}");

        // Pages: each once, in order.
        let mut paged = Vec::new();
        let mut token = String::new();
        loop {
            let page = cluster.get(&format!("{ours}&limit=1&continue={token}")).await;
            paged.extend(page["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone()));
            match page["metadata"]["continue"].as_str() {
                Some(next) if paged.len() < 10 => next.clone_into(&mut token),
                _ => break,
            }
        }
        assert_eq!(paged, ["a", "b", "c"], "{all}");

        // A row has a cell for every column.
        let table = cluster.get_as(&ours, TABLE).await;
        assert_eq!(table["columnDefinitions"], resource.column_definitions(), "{all}");
        for row in table["rows"].as_array().unwrap() {
            assert_eq!(row["cells"].as_array().unwrap().len(), resource.columns.len(), "{all}: {row}");
        }
        let partial = cluster.get_as(&ours, PARTIAL).await;
        assert_eq!(
            (&partial["kind"], partial["items"].as_array().unwrap().len()),
            (&json!("PartialObjectMetadataList"), 3)
        );
        assert_eq!(cluster.get_as(&all, "text/html").await["code"], 406, "{all}");

        // A list as a watch, whole and as tables.
        let mut watch = cluster.watch(&format!("{ours}&{STREAMED}"), "").await;
        for name in ["a", "b", "c"] {
            let event = watch.next().await.unwrap();
            let object = &event["object"];
            assert_eq!((&event["type"], &object["metadata"]["name"]), (&json!("ADDED"), &json!(name)), "{all}");
            assert_eq!(
                (&object["kind"], &object["apiVersion"]),
                (&json!(resource.kind), &json!(resource.api_version()))
            );
        }
        let bookmark = watch.next().await.unwrap();
        let end = &bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"];
        assert_eq!((&bookmark["type"], end), (&json!("BOOKMARK"), &json!("true")), "{all}");
        let mut tables = cluster.watch(&format!("{ours}&watch=1"), TABLE).await;
        let first = tables.next().await.unwrap();
        assert_eq!(first["object"]["columnDefinitions"], resource.column_definitions(), "{all}");
        let row = &first["object"]["rows"][0];
        assert_eq!(row["cells"].as_array().unwrap().len(), resource.columns.len(), "{all}: {row}");
        let (code, _) = cluster.request("PATCH", &format!("{all}/b"), PATCHES[0], patch(PATCHES[0], "now")).await;
        assert_eq!(code, 200, "{all}");
        let event = watch.next().await.unwrap();
        assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("MODIFIED"), &json!("b")), "{all}");
        // The next resource with the same objects finds none: the two groups of events share theirs.
        for name in ["a", "b", "c"] {
            cluster.request("DELETE", &format!("{all}/{name}"), "", Vec::new()).await;
        }
    }
}

/// `kubectl explain` has something to say about every kind there is, down to the last field.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_explained() {
    let Some(kubectl) = support::kubectl() else { return };
    let cluster = Cluster::start().await;
    let mut told = String::new();
    for resource in kinds() {
        let name = if resource.group.is_empty() {
            resource.plural.to_owned()
        } else {
            format!("{} --api-version={}", resource.plural, resource.api_version())
        };
        let plain = cluster.transcript(&kubectl, &format!("explain {name}")).await;
        assert!(plain.contains("DESCRIPTION:\n    ") && !plain.contains("<empty>"), "{name}: {plain}");
        let recursive = cluster.transcript(&kubectl, &format!("explain {name} --recursive")).await;
        let head: Vec<&str> = recursive.lines().skip(2).take_while(|line| !line.is_empty()).collect();
        let fields = recursive.lines().skip_while(|line| *line != "FIELDS:");
        let fields: Vec<&str> = fields.filter(|line| line.contains('\t')).collect();
        assert!(recursive.starts_with("# exit code: 0\n") && fields.len() > 10, "{name}: {recursive}");
        let untyped: Vec<&&str> = fields.iter().filter(|line| !line.contains('<')).collect();
        assert!(untyped.is_empty(), "{name}: {untyped:?}");
        told.push_str(&format!("{} fields: {}\n", fields.len(), head.join(" ")));
    }
    insta::assert_snapshot!(told);
}
