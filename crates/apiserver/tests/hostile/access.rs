//! Doors: which there are, and for whom they open.

use std::collections::BTreeMap;

use http::Request;
use podlab_api::registry;
use podlab_api::schema::{self, Shape};
use podlab_apiserver::{Body, Identity};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::Cluster;

const PODS: &str = "/api/v1/namespaces/default/pods";
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// Every resource and subresource there is: group, `plural` or `plural/subresource`, and whether it has a namespace.
fn doors() -> Vec<(&'static str, String, bool)> {
    let whole = |resource: &registry::Resource| (resource.group, resource.plural.to_owned(), resource.namespaced);
    let parts = |resource: &'static registry::Resource| {
        let name = move |part: &registry::Subresource| format!("{}/{}", resource.plural, part.name);
        resource.subresources.iter().map(move |part| (resource.group, name(part), resource.namespaced))
    };
    registry::all().iter().flat_map(|resource| std::iter::once(whole(resource)).chain(parts(resource))).collect()
}

/// Whoever adds a resource sees here who may do what with it. Administrators may do everything and are not listed.
#[tokio::test]
async fn who_may_do_what() {
    let cluster = Cluster::start().await;
    cluster.running_pod("p", &["a"]).await;
    let logged_in = "system:authenticated";
    let mut told = String::new();
    for (who, user, groups, namespace, name) in [
        ("nobody", "system:anonymous", vec!["system:unauthenticated"], "default", "p"),
        ("somebody", "alice", vec![logged_in], "default", "p"),
        ("a service account, at home", "system:serviceaccount:default:default", vec![logged_in], "default", "p"),
        ("a service account, abroad", "system:serviceaccount:default:default", vec![logged_in], "other", "p"),
        (
            "a service account of kube-system",
            "system:serviceaccount:kube-system:coredns",
            vec![logged_in, "system:serviceaccounts:kube-system"],
            "default",
            "p",
        ),
        ("node n1, with its own", "system:node:n1", vec![logged_in, "system:nodes"], "default", "p"),
        ("node n2, with those of n1", "system:node:n2", vec![logged_in, "system:nodes"], "default", "p"),
    ] {
        // By what is allowed: the doors for which just that is.
        let mut allowed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (group, resource, namespaced) in doors() {
            let (plural, part) = resource.split_once('/').unwrap_or((&resource, ""));
            let name = if plural == "nodes" || plural == "leases" { "n1" } else { name };
            let namespace = if plural == "leases" { "kube-node-lease" } else { namespace };
            let mut verbs = Vec::new();
            for verb in VERBS {
                let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
                    "user": user, "groups": groups, "resourceAttributes": {"verb": verb, "group": group, "name": name,
                    "resource": plural, "subresource": part, "namespace": if namespaced { namespace } else { "" }}}});
                let answer = cluster.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await;
                if answer["status"]["allowed"] == true {
                    verbs.push(verb);
                }
            }
            let door = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
            allowed.entry(verbs.join(",")).or_default().push(door);
        }
        allowed.remove("");
        told.push_str(&format!("{who}\n"));
        for (verbs, doors) in allowed {
            told.push_str(&format!("  {verbs}\n    {}\n", doors.join("\n    ")));
        }
    }
    insta::assert_snapshot!(told);
}

/// What a kubelet may do to others of its kind, and to their Pods: look, mostly.
#[tokio::test]
async fn a_node_touches_only_its_own() {
    let cluster = Cluster::start().await;
    cluster.running_pod("p", &["a"]).await;
    let meta = |kind: &str, version: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
    let token = |bound: Value| {
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [], "boundObjectRef": bound}})
    };
    let bound = json!({"kind": "Pod", "apiVersion": "v1", "name": "p"});
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let tokens = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n2"}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}});
    let nothing = json!({});
    // In order: what n2 may not do before n1 has done it.
    for (node, method, path, body, expected) in [
        ("n2", "POST", "/api/v1/nodes", meta("Node", "v1", "n1"), 403),
        ("n1", "POST", "/api/v1/nodes", meta("Node", "v1", "n1"), 201),
        ("n2", "PATCH", "/api/v1/nodes/n1", json!({"metadata": {"labels": {"a": "b"}}}), 403),
        ("n1", "PATCH", "/api/v1/nodes/n1", json!({"metadata": {"labels": {"a": "b"}}}), 200),
        ("n2", "PATCH", "/api/v1/nodes/n1/status", nothing.clone(), 403),
        ("n1", "PATCH", "/api/v1/nodes/n1/status", nothing.clone(), 200),
        ("n1", "DELETE", "/api/v1/nodes/n1", nothing.clone(), 403),
        ("n1", "DELETE", "/api/v1/nodes", nothing.clone(), 403),
        ("n2", "POST", leases, meta("Lease", "coordination.k8s.io/v1", "n1"), 403),
        ("n1", "POST", leases, meta("Lease", "coordination.k8s.io/v1", "n1"), 201),
        ("n2", "PATCH", &format!("{leases}/n1"), nothing.clone(), 403),
        ("n1", "PATCH", &format!("{leases}/n1"), nothing.clone(), 200),
        ("n1", "POST", PODS, pod, 403),
        ("n1", "POST", &format!("{PODS}/p/binding"), binding, 403),
        ("n1", "POST", &format!("{PODS}/p/eviction"), nothing.clone(), 403),
        ("n1", "PATCH", &format!("{PODS}/p"), nothing.clone(), 403),
        ("n1", "GET", &format!("{PODS}/p/exec?command=sh&stdout=1"), nothing.clone(), 403),
        ("n2", "PATCH", &format!("{PODS}/p/status"), nothing.clone(), 403),
        ("n1", "PATCH", &format!("{PODS}/p/status"), nothing.clone(), 200),
        ("n1", "POST", tokens, token(Value::Null), 403),
        ("n2", "POST", tokens, token(bound.clone()), 403),
        ("n1", "POST", tokens, token(bound), 201),
        ("n1", "POST", "/api/v1/namespaces/default/secrets", meta("Secret", "v1", "s"), 403),
        ("n2", "DELETE", &format!("{PODS}/p"), nothing.clone(), 403),
        ("n1", "DELETE", PODS, nothing.clone(), 403),
        ("n1", "DELETE", &format!("{PODS}/p?gracePeriodSeconds=0"), nothing.clone(), 200),
    ] {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.body(Body::from(body.to_string())).unwrap();
        let answer = cluster.server.service(Identity::node(node)).oneshot(request).await.unwrap();
        let code = answer.status().as_u16();
        let text = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        assert_eq!(code, expected, "{node} {method} {path}: {}", String::from_utf8_lossy(&text));
    }
}

/// A request of a node's kubelet: the code and the message it gets.
async fn asked_by(cluster: &Cluster, node: &str, method: &str, path: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let answer = cluster.server.service(Identity::node(node)).oneshot(request).await.unwrap();
    let code = answer.status().as_u16();
    if code == 200 {
        return (code, String::new());
    }
    let text = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    let status: Value = serde_json::from_slice(&text).unwrap();
    (code, status["message"].as_str().unwrap_or_default().to_owned())
}

/// A kubelet reads what its Pods refer to, by name, and nothing else; the words are those of the real server.
#[tokio::test]
async fn a_node_reads_what_its_pods_refer_to() {
    let cluster = Cluster::start().await;
    let core = "/api/v1/namespaces/default";
    for (kind, plural, name) in [
        ("Secret", "secrets", "used"),
        ("Secret", "secrets", "other"),
        ("ConfigMap", "configmaps", "used"),
        ("ConfigMap", "configmaps", "other"),
    ] {
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        cluster.post(&format!("{core}/{plural}"), &object).await;
    }
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "used"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    cluster.post(&format!("{core}/persistentvolumeclaims"), &claim).await;
    for (name, claimed) in [("used", "used"), ("other", "nosuch")] {
        let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/v"},
                "claimRef": {"namespace": "default", "name": claimed}}});
        cluster.post("/api/v1/persistentvolumes", &volume).await;
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "n1",
        "volumes": [{"name": "c", "persistentVolumeClaim": {"claimName": "used"}}],
        "containers": [{"name": "a", "image": "i", "envFrom": [{"secretRef": {"name": "used"}}],
            "env": [{"name": "E", "valueFrom": {"configMapKeyRef": {"name": "used", "key": "k"}}}]}]}});
    cluster.post(PODS, &pod).await;

    let selected = "?fieldSelector=metadata.name%3Dused";
    for path in [
        format!("{core}/secrets/used"),
        format!("{core}/secrets{selected}"),
        format!("{core}/configmaps/used"),
        format!("{core}/configmaps{selected}"),
        format!("{core}/persistentvolumeclaims/used"),
        "/api/v1/persistentvolumes/used".to_owned(),
        format!("{PODS}/p"),
    ] {
        assert_eq!(asked_by(&cluster, "n1", "GET", &path).await, (200, String::new()), "{path}");
        let (code, message) = asked_by(&cluster, "n2", "GET", &path).await;
        let why = "no relationship found between node 'n2' and this object";
        assert!(code == 403 && message.ends_with(why), "{path}: {code} {message}");
    }
    let mut told = String::new();
    for (method, path) in [
        ("GET", format!("{core}/secrets/other")),
        ("GET", format!("{core}/secrets/nosuch")),
        ("GET", format!("{core}/configmaps/other")),
        ("GET", format!("{core}/secrets")),
        ("GET", "/api/v1/secrets".to_owned()),
        ("GET", format!("{core}/secrets?fieldSelector=metadata.name%3Dother&watch=1")),
        ("PUT", format!("{core}/secrets/used")),
        ("DELETE", format!("{core}/configmaps/used")),
        ("GET", "/api/v1/persistentvolumes/other".to_owned()),
        ("GET", "/api/v1/persistentvolumes".to_owned()),
        ("GET", "/api/v1/pods".to_owned()),
        ("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn2".to_owned()),
        ("GET", "/api/v1/nodes".to_owned()),
        ("GET", "/api/v1/nodes/n2".to_owned()),
        ("PATCH", "/api/v1/nodes/n2".to_owned()),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/n1".to_owned()),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2".to_owned()),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases".to_owned()),
        ("POST", format!("{core}/serviceaccounts/other/token")),
        ("GET", format!("{core}/serviceaccounts/default")),
        ("GET", "/api/v1/namespaces/default".to_owned()),
    ] {
        let (code, message) = asked_by(&cluster, "n1", method, &path).await;
        assert_eq!(code, 403, "{method} {path}: {message}");
        told.push_str(&format!("{method} {path}\n  {message}\n"));
    }
    for (method, path) in [("DELETE", format!("{PODS}/p")), ("PATCH", format!("{PODS}/p/status"))] {
        let (code, message) = asked_by(&cluster, "n2", method, &path).await;
        assert_eq!(code, 403, "{method} {path}: {message}");
        told.push_str(&format!("n2: {method} {path}\n  {message}\n"));
    }
    assert_eq!(asked_by(&cluster, "n1", "GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await.0, 200);
    insta::assert_snapshot!(told);
}

/// The code of an answer to somebody.
async fn code(cluster: &Cluster, identity: Identity, method: &str, path: &str) -> u16 {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(Body::from("{}")).unwrap();
    cluster.server.service(identity).oneshot(request).await.unwrap().status().as_u16()
}

/// Without credentials every door is shut, those of things that do not exist included.
#[tokio::test]
async fn nobody_gets_in_anywhere() {
    let cluster = Cluster::start().await;
    cluster.running_pod("p", &["a"]).await;
    let mut paths: Vec<String> = [
        "/",
        "/api",
        "/apis",
        "/api/v1",
        "/apis/apps",
        "/apis/apps/v1",
        "/openapi/v2",
        "/openapi/v3",
        "/metrics",
        "/logs",
        "/debug/pprof",
        "/debug/flags/v",
        "/configz",
        "/api/v1/componentstatuses",
    ]
    .map(str::to_owned)
    .to_vec();
    for (group, resource, namespaced) in doors() {
        let version = registry::all().iter().find(|known| known.group == group).unwrap().version;
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let (plural, part) = resource.split_once('/').unwrap_or((&resource, ""));
        let place = if namespaced { format!("{root}/namespaces/default/{plural}") } else { format!("{root}/{plural}") };
        for name in ["p", "nosuch"] {
            paths.push(if part.is_empty() { format!("{place}/{name}") } else { format!("{place}/{name}/{part}") });
        }
        paths.push(place);
        paths.push(format!("{root}/{plural}?watch=1"));
    }
    let before = crate::revision(&cluster).await;
    for path in &paths {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"] {
            if method == "CONNECT" {
                continue;
            }
            assert_eq!(code(&cluster, Identity::anonymous(), method, path).await, 403, "{method} {path}");
        }
    }
    for path in ["/healthz", "/livez", "/readyz", "/readyz/ping", "/version"] {
        assert_eq!(code(&cluster, Identity::anonymous(), "GET", path).await, 200, "{path}");
        assert_eq!(code(&cluster, Identity::anonymous(), "POST", path).await, 403, "{path}");
    }
    assert_eq!(crate::revision(&cluster).await, before, "nothing was written");
}

/// What is wrong with a container, wherever it stands.
fn faults() -> Vec<(&'static str, Value)> {
    vec![
        ("name", json!({"name": "Not A Name"})),
        ("image", json!({"image": ""})),
        ("imagePullPolicy", json!({"imagePullPolicy": "Sometimes"})),
        ("terminationMessagePolicy", json!({"terminationMessagePolicy": "Nowhere"})),
        ("env[0].name", json!({"env": [{"value": "x"}]})),
        (
            "env[0].valueFrom",
            json!({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
        ),
        (
            "env[0].valueFrom.secretKeyRef.key",
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": ""}}}]}),
        ),
        ("envFrom[0]", json!({"envFrom": [{}]})),
        ("volumeMounts[0].name", json!({"volumeMounts": [{"name": "nosuch", "mountPath": "/x"}]})),
        ("securityContext.runAsUser", json!({"securityContext": {"runAsUser": -1}})),
    ]
}

/// A rule that holds for one list of containers holds for all; and there are three lists.
#[tokio::test]
async fn every_list_of_containers_is_looked_at() {
    let lists = ["containers", "ephemeralContainers", "initContainers"];
    let fields = &schema::object("io.k8s.api.core.v1.PodSpec").unwrap().fields;
    let of_containers = fields.iter().filter(|(_, field)| match &field.shape {
        Shape::List(item) => matches!(&**item, Shape::Object(name) if name.ends_with("Container")),
        _ => false,
    });
    let found: Vec<&String> = of_containers.map(|(name, _)| name).collect();
    assert_eq!(found, lists, "a new list of containers: every rule has to look at it");

    let cluster = Cluster::start().await;
    cluster.running_pod("p", &["a"]).await;
    for list in lists {
        for (field, fault) in faults() {
            let mut container = json!({"name": "c", "image": "i"});
            container.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
            let (code, answer) = if list == "ephemeralContainers" {
                let patch = json!({"spec": {list: [container]}}).to_string().into_bytes();
                let kind = "application/strategic-merge-patch+json";
                cluster.request("PATCH", &format!("{PODS}/p/ephemeralcontainers"), kind, patch).await
            } else {
                let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q"},
                    "spec": {"containers": [{"name": "main", "image": "i"}]}});
                pod["spec"][list] = json!([container]);
                cluster.request("POST", PODS, "application/json", pod.to_string().into_bytes()).await
            };
            let place = format!("spec.{list}[0].{field}");
            let causes = answer["details"]["causes"].as_array().cloned().unwrap_or_default();
            let told = causes.iter().any(|cause| cause["field"].as_str().unwrap().starts_with(&place));
            assert!(code == 422 && told, "{place}: {code} {answer}");
        }
    }
    // Admission: a range, a quota and an account speak of init containers as well.
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}});
    cluster.post("/api/v1/namespaces/default/limitranges", &range).await;
    for list in ["containers", "initContainers"] {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q"},
            "spec": {"containers": [{"name": "main", "image": "i"}]}});
        pod["spec"][list] = json!([{"name": "c", "image": "i", "resources": {"limits": {"cpu": "2"}}}]);
        let (code, answer) = cluster.request("POST", PODS, "application/json", pod.to_string().into_bytes()).await;
        let text = "maximum cpu usage per Container is 1, but limit is 2";
        assert!(code == 403 && answer["message"].as_str().unwrap().contains(text), "{list}: {answer}");
    }
}
