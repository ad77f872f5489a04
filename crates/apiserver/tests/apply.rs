//! `kubectl apply`: three sides (what was applied last, what is applied now, what is there) come to one object.
//!
//! The patches are the real kubectl's, made from our OpenAPI documents, so list types and merge keys are tried as well as
//! what the server makes of a patch. All first manifests are applied by one command, and all second ones by another.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod support;

use serde_json::{Value, json};
use support::Cluster;

/// What happens to one object.
struct Case {
    /// What the case is about; also the object's name.
    name: &'static str,
    first: Value,
    /// What somebody else changes in between, as a merge patch; Null when nobody does.
    meanwhile: Value,
    second: Value,
    /// What has to be there then. Null stands for what must not be there; lists are told whole.
    expected: Value,
}

/// A Deployment with these parts of its specification, and this one of its Pods.
fn deployment(name: &str, mut spec: Value, pod: Value) -> Value {
    spec["selector"] = json!({"matchLabels": {"app": name}});
    spec["template"] = json!({"metadata": {"labels": {"app": name}}, "spec": pod});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

/// The part of a Deployment that its Pods are made from.
fn template(pod: Value) -> Value {
    json!({"spec": {"template": {"spec": pod}}})
}

/// Cases of Deployments whose only container is called `a`.
fn of_a_container(name: &'static str, first: Value, second: Value, expected: Value) -> Case {
    let container = |fields: Value| {
        let mut container = json!({"name": "a", "image": "x:1"});
        container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"containers": [container]})
    };
    Case {
        name,
        first: deployment(name, json!({}), container(first)),
        meanwhile: Value::Null,
        second: deployment(name, json!({}), container(second)),
        expected: template(json!({"containers": [expected]})),
    }
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data})
}

fn with_metadata(mut object: Value, metadata: Value) -> Value {
    object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    object
}

fn fields() -> Vec<Case> {
    let data = |a: &str| json!({"a": a});
    vec![
        of_a_container("added", json!({}), json!({"workingDir": "/w"}), json!({"workingDir": "/w", "image": "x:1"})),
        of_a_container("removed", json!({"workingDir": "/w"}), json!({}), json!({"workingDir": null})),
        of_a_container("changed", json!({"image": "x:1"}), json!({"image": "x:2"}), json!({"image": "x:2"})),
        of_a_container(
            "atomic-list",
            json!({"command": ["sh", "-c"], "args": ["one", "two"]}),
            json!({"command": ["sh"], "args": ["two", "three"]}),
            json!({"command": ["sh"], "args": ["two", "three"]}),
        ),
        Case {
            name: "field-of-another",
            first: deployment("field-of-another", json!({}), json!({"containers": [{"name": "a", "image": "x:1"}]})),
            meanwhile: json!({"spec": {"replicas": 3}}),
            second: deployment("field-of-another", json!({}), json!({"containers": [{"name": "a", "image": "x:2"}]})),
            expected: json!({"spec": {"replicas": 3, "template": {"spec": {"containers": [{"image": "x:2"}]}}}}),
        },
        Case {
            name: "taken-back",
            first: config_map("taken-back", data("mine")),
            meanwhile: json!({"data": {"a": "theirs", "b": "theirs"}}),
            second: config_map("taken-back", data("mine")),
            expected: json!({"data": {"a": "mine", "b": "theirs"}}),
        },
        Case {
            name: "removed-by-another",
            first: config_map("removed-by-another", json!({"a": "1", "b": "2"})),
            meanwhile: json!({"data": {"a": null}}),
            second: config_map("removed-by-another", json!({"a": "1"})),
            expected: json!({"data": {"a": "1", "b": null}}),
        },
        Case {
            name: "labels",
            first: with_metadata(config_map("labels", json!({"a": "1"})), json!({"labels": {"a": "1", "b": "2"}})),
            meanwhile: json!({"metadata": {"labels": {"b": "theirs", "c": "3"}}}),
            second: with_metadata(config_map("labels", json!({"a": "1"})), json!({"labels": {"b": "2"}})),
            expected: json!({"metadata": {"labels": {"a": null, "b": "2", "c": "3"}}}),
        },
        // The strategy's other fields were the server's, and mean nothing beside the new type.
        Case {
            name: "retained-keys",
            first: deployment(
                "retained-keys",
                json!({"strategy": {"type": "RollingUpdate"}}),
                json!({"containers": [{"name": "a", "image": "x:1"}]}),
            ),
            meanwhile: Value::Null,
            second: deployment(
                "retained-keys",
                json!({"strategy": {"type": "Recreate"}}),
                json!({"containers": [{"name": "a", "image": "x:1"}]}),
            ),
            expected: json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}),
        },
    ]
}

fn lists() -> Vec<Case> {
    let containers = |names: &[&str]| {
        let all: Vec<Value> = names.iter().map(|name| json!({"name": name, "image": "x:1"})).collect();
        json!({"containers": all})
    };
    // A merge patch has a list whole.
    let beside = |names: &[&str]| template(containers(names));
    let of = |name: &str, names: &[&str]| deployment(name, json!({}), containers(names));
    let expected = |names: &[&str]| {
        let all: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        template(json!({"containers": all}))
    };
    let volume = |source: Value| {
        let mut volume = json!({"name": "v"});
        volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        json!({"containers": [{"name": "a", "image": "x:1"}], "volumes": [volume]})
    };
    let finalizers = |name: &str, list: &[&str]| {
        let list: Vec<String> = list.iter().map(|name| format!("example.com/{name}")).collect();
        with_metadata(config_map(name, json!({"a": "1"})), json!({"finalizers": list}))
    };
    let service = |ports: Value| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "service-ports", "namespace": "default"},
            "spec": {"selector": {"app": "x"}, "ports": ports}})
    };
    let account = |secrets: &[&str]| {
        let secrets: Vec<Value> = secrets.iter().map(|name| json!({"name": name})).collect();
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "secrets-by-name",
            "namespace": "default"}, "secrets": secrets, "imagePullSecrets": secrets})
    };
    vec![
        Case {
            name: "item-of-another",
            first: of("item-of-another", &["a"]),
            meanwhile: beside(&["a", "theirs"]),
            second: of("item-of-another", &["a", "b"]),
            expected: expected(&["a", "b", "theirs"]),
        },
        Case {
            name: "item-removed",
            first: of("item-removed", &["a", "b"]),
            meanwhile: beside(&["a", "b", "theirs"]),
            second: of("item-removed", &["a"]),
            expected: expected(&["a", "theirs"]),
        },
        Case {
            name: "other-order",
            first: of("other-order", &["a", "b", "c"]),
            meanwhile: Value::Null,
            second: of("other-order", &["c", "a", "b"]),
            expected: expected(&["c", "a", "b"]),
        },
        of_a_container(
            "ports-by-number",
            json!({"ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 90}]}),
            json!({"ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 100}]}),
            json!({"ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 100}]}),
        ),
        of_a_container(
            "environment",
            json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}),
            json!({"env": [{"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
            json!({"env": [{"name": "B", "value": null, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
        ),
        Case {
            name: "volume-source",
            first: deployment("volume-source", json!({}), volume(json!({"emptyDir": {}}))),
            meanwhile: Value::Null,
            second: deployment("volume-source", json!({}), volume(json!({"hostPath": {"path": "/h"}}))),
            expected: template(json!({"volumes": [{"name": "v", "emptyDir": null, "hostPath": {"path": "/h"}}]})),
        },
        Case {
            name: "tolerations",
            first: deployment(
                "tolerations",
                json!({}),
                json!({"containers": [{"name": "a", "image": "x:1"}], "tolerations": [{"key": "a", "operator": "Exists"}]}),
            ),
            meanwhile: Value::Null,
            second: deployment(
                "tolerations",
                json!({}),
                json!({"containers": [{"name": "a", "image": "x:1"}], "tolerations": [{"key": "b", "operator": "Exists"}]}),
            ),
            expected: template(json!({"tolerations": [{"key": "b", "operator": "Exists"}]})),
        },
        Case {
            name: "primitives",
            first: finalizers("primitives", &["a", "b"]),
            meanwhile: json!({"metadata": {"finalizers": ["example.com/a", "example.com/b", "example.com/theirs"]}}),
            second: finalizers("primitives", &["b", "c"]),
            expected: json!({"metadata": {"finalizers": ["example.com/b", "example.com/c", "example.com/theirs"]}}),
        },
        Case {
            name: "service-ports",
            first: service(json!([{"name": "a", "port": 80, "targetPort": 8080}, {"name": "b", "port": 81}])),
            meanwhile: Value::Null,
            second: service(json!([{"name": "a", "port": 80, "targetPort": "http"}])),
            expected: json!({"spec": {"ports": [{"name": "a", "port": 80, "targetPort": "http"}]}}),
        },
        Case {
            name: "secrets-by-name",
            first: account(&["a", "b"]),
            meanwhile: json!({"secrets": [{"name": "a"}, {"name": "b"}, {"name": "theirs"}],
                "imagePullSecrets": [{"name": "a"}, {"name": "b"}, {"name": "theirs"}]}),
            second: account(&["b"]),
            // The one list has a merge key, the other has none.
            expected: json!({"secrets": [{"name": "b"}, {"name": "theirs"}], "imagePullSecrets": [{"name": "b"}]}),
        },
    ]
}

/// Where an object lies.
fn path(object: &Value) -> String {
    let root = match object["kind"].as_str().unwrap() {
        "Deployment" => "/apis/apps/v1/namespaces/default/deployments",
        "ConfigMap" => "/api/v1/namespaces/default/configmaps",
        "Service" => "/api/v1/namespaces/default/services",
        _ => "/api/v1/namespaces/default/serviceaccounts",
    };
    format!("{root}/{}", object["metadata"]["name"].as_str().unwrap())
}

/// Whether the object shows what is expected.
fn shows(object: Option<&Value>, expected: &Value) -> bool {
    match (object, expected) {
        (object, Value::Null) => object.is_none_or(Value::is_null),
        (Some(object), Value::Object(fields)) => fields.iter().all(|(name, value)| shows(object.get(name), value)),
        (Some(Value::Array(items)), Value::Array(expected)) => {
            let pairs = items.iter().zip(expected);
            items.len() == expected.len() && pairs.into_iter().all(|(item, expected)| shows(Some(item), expected))
        }
        (object, expected) => object == Some(expected),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_sides_come_to_one_object() {
    for kubectl in support::kubectls() {
        let cluster = Cluster::start().await;
        let cases: Vec<Case> = fields().into_iter().chain(lists()).collect();
        let manifests = |side: fn(&Case) -> &Value| {
            let items: Vec<&Value> = cases.iter().map(side).collect();
            json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
        };
        cluster.write("first.json", &manifests(|case| &case.first));
        cluster.write("second.json", &manifests(|case| &case.second));

        let first = cluster.kubectl(&kubectl, "apply -f first.json", "").await;
        assert!(first.status.success(), "{kubectl:?}: {first:?}");
        for case in cases.iter().filter(|case| !case.meanwhile.is_null()) {
            let kind = "application/merge-patch+json";
            let patch = case.meanwhile.to_string().into_bytes();
            let (code, answer) = cluster.request("PATCH", &path(&case.first), kind, patch).await;
            assert_eq!(code, 200, "{}: {answer}", case.name);
        }
        let second = cluster.kubectl(&kubectl, "apply -f second.json", "").await;
        assert!(second.status.success(), "{kubectl:?}: {second:?}");
        for case in &cases {
            let object = cluster.get(&path(&case.first)).await;
            assert!(shows(Some(&object), &case.expected), "{kubectl:?}: {}: {object:#}", case.name);
            let last = &object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
            let mut last: Value = serde_json::from_str(last.as_str().unwrap()).unwrap();
            // kubectl adds an empty one.
            last["metadata"].as_object_mut().unwrap().remove("annotations");
            assert_eq!(last, case.second, "{kubectl:?}: {}: what was applied is kept", case.name);
        }
        // Once more, and nothing is left to do. Where a list has items of somebody else, kubectl asks for its own order
        // each time and says so, but that is no write either.
        let before: Vec<Value> = versions(&cluster, &cases).await;
        let again = cluster.kubectl(&kubectl, "apply -f second.json", "").await;
        let told = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(again.status.success(), "{kubectl:?}: {again:?}");
        for case in cases.iter().filter(|case| case.meanwhile.is_null()) {
            let unchanged = told.lines().any(|line| line.ends_with(&format!("/{} unchanged", case.name)));
            assert!(unchanged, "{kubectl:?}: {}: {told}", case.name);
        }
        assert_eq!(versions(&cluster, &cases).await, before);
    }
}

async fn versions(cluster: &Cluster, cases: &[Case]) -> Vec<Value> {
    let mut versions = Vec::new();
    for case in cases {
        versions.push(cluster.get(&path(&case.first)).await["metadata"]["resourceVersion"].clone());
    }
    versions
}

/// Somebody writes between kubectl's reading and its patch: kubectl's patch says what it was made from where it has to,
/// and is made anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_names_a_version_is_not_applied_to_another() {
    let Some(kubectl) = support::kubectl() else { return };
    let cluster = Cluster::start().await;
    cluster.write("map.json", &config_map("map", json!({"a": "1"})).to_string());
    assert!(cluster.kubectl(&kubectl, "apply -f map.json", "").await.status.success());
    let version = cluster.get("/api/v1/namespaces/default/configmaps/map").await["metadata"]["resourceVersion"].clone();
    let stale = with_metadata(config_map("map", json!({"a": "2"})), json!({"resourceVersion": version}));
    cluster.write("stale.json", &stale.to_string());
    let patch = json!({"data": {"b": "theirs"}}).to_string().into_bytes();
    let path = "/api/v1/namespaces/default/configmaps/map";
    cluster.request("PATCH", path, "application/merge-patch+json", patch).await;
    let refused = cluster.kubectl(&kubectl, "apply -f stale.json", "").await;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("the object has been modified"), "{told}");
    assert_eq!(cluster.get(path).await["data"], json!({"a": "1", "b": "theirs"}), "nothing was written");
}
