//! What happens to an object between its decoding and its storing: limits, priorities, and who is refused.

mod support;

use serde_json::{Value, json};
use support::Cluster;

const PODS: &str = "/api/v1/namespaces/default/pods";
const RANGES: &str = "/api/v1/namespaces/default/limitranges";
const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";

fn pod(name: &str, resources: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}})
}

/// The Pod, or why there is none.
async fn create(cluster: &Cluster, pod: &Value) -> Result<Value, String> {
    let (code, answer) = cluster.request("POST", PODS, "application/json", pod.to_string().into_bytes()).await;
    if code == 201 { Ok(answer) } else { Err(format!("{code} {}", answer["message"].as_str().unwrap_or_default())) }
}

async fn range(cluster: &Cluster, name: &str, limits: Value) {
    let range =
        json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": name}, "spec": {"limits": limits}});
    cluster.post(RANGES, &range).await;
}

#[tokio::test]
async fn a_limit_range_fills_in_what_a_container_does_not_say() {
    let cluster = Cluster::start().await;
    let limits = json!([{"type": "Container", "default": {"cpu": "500m", "memory": "64Mi"},
        "defaultRequest": {"cpu": "100m"}}]);
    range(&cluster, "defaults", limits).await;
    let made = create(&cluster, &pod("silent", &json!({}))).await.unwrap();
    assert_eq!(
        made["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}})
    );
    let told = &made["metadata"]["annotations"]["kubernetes.io/limit-ranger"];
    assert_eq!(told, "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c");
    // What is said stays; nothing is told of it.
    let all = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}});
    let made = create(&cluster, &pod("talkative", &all)).await.unwrap();
    assert_eq!(made["spec"]["containers"][0]["resources"], all);
    assert_eq!(made["metadata"]["annotations"], Value::Null);
}

#[tokio::test]
async fn a_limit_range_refuses_what_is_out_of_bounds() {
    let cluster = Cluster::start().await;
    let old = create(&cluster, &pod("old", &json!({}))).await.unwrap();
    range(
        &cluster,
        "bounds",
        json!([
            {"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "4"},
                "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}},
            {"type": "Pod", "max": {"memory": "1Gi"}},
            {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}},
        ]),
    )
    .await;
    let memory = json!({"memory": "100Mi"});
    let resources = |requests: &str, limits: &str| json!({"requests": {"cpu": requests, "memory": "100Mi"}, "limits": {"cpu": limits, "memory": "100Mi"}});
    for (resources, expected) in [
        (resources("50m", "200m"), "minimum cpu usage per Container is 100m, but request is 50m"),
        (resources("1", "3"), "maximum cpu usage per Container is 2, but limit is 3"),
        (
            resources("100m", "500m"),
            "cpu max limit to request ratio per Container is 4, but provided ratio is 5.000000",
        ),
        (
            json!({"requests": memory, "limits": {"memory": "2Gi"}}),
            "maximum memory usage per Pod is 1Gi, but limit is 2Gi",
        ),
        (json!({}), "maximum memory usage per Pod is 1Gi.  No limit is specified"),
        (
            resources("10m", "3"),
            "[minimum cpu usage per Container is 100m, but request is 10m, maximum cpu usage per Container is 2, but limit \
             is 3, cpu max limit to request ratio per Container is 4, but provided ratio is 300.000000]",
        ),
    ] {
        let refused = create(&cluster, &pod("p", &resources)).await.unwrap_err();
        assert_eq!(refused, format!("403 pods \"p\" is forbidden: {expected}"), "{resources}");
    }
    assert!(create(&cluster, &pod("fits", &json!({"requests": memory, "limits": memory}))).await.is_ok());
    // What was there before the range is left alone, also when it is changed.
    let path = format!("{PODS}/{}", old["metadata"]["name"].as_str().unwrap());
    let patch = json!({"spec": {"containers": [{"name": "c", "image": "other"}]}}).to_string().into_bytes();
    let (code, answer) = cluster.request("PATCH", &path, "application/strategic-merge-patch+json", patch).await;
    assert_eq!(code, 200, "{answer}");
    let claim = |storage: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}})
    };
    for (storage, expected) in [
        ("1Mi", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"),
        ("3Gi", "maximum storage usage per PersistentVolumeClaim is 2Gi, but limit is 3Gi"),
    ] {
        let path = "/api/v1/namespaces/default/persistentvolumeclaims";
        let body = claim(storage).to_string().into_bytes();
        let (code, answer) = cluster.request("POST", path, "application/json", body).await;
        let text = answer["message"].as_str().unwrap();
        assert!(code == 403 && text.contains("storage usage per PersistentVolumeClaim"), "{answer}");
        assert!(
            text.starts_with("persistentvolumeclaims \"c\" is forbidden: ") && text.len() > expected.len(),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_priority_is_that_of_the_class() {
    let cluster = Cluster::start().await;
    let with = |name: &str, spec: Value| {
        let mut pod = pod(name, &json!({}));
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        pod
    };
    let seen = |pod: &Value| (pod["spec"]["priority"].clone(), pod["spec"]["preemptionPolicy"].clone());
    let lower = json!("PreemptLowerPriority");
    let plain = create(&cluster, &pod("plain", &json!({}))).await.unwrap();
    assert_eq!(seen(&plain), (json!(0), lower.clone()));
    let refused = create(&cluster, &with("p", json!({"priorityClassName": "nosuch"}))).await.unwrap_err();
    assert_eq!(refused, "403 pods \"p\" is forbidden: no PriorityClass with name nosuch was found");

    for (name, value, default, policy) in [("high", 1000, false, "Never"), ("usual", 10, true, "PreemptLowerPriority")]
    {
        let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "globalDefault": default, "preemptionPolicy": policy});
        cluster.post(CLASSES, &class).await;
    }
    let high = create(&cluster, &with("high", json!({"priorityClassName": "high"}))).await.unwrap();
    assert_eq!(seen(&high), (json!(1000), json!("Never")));
    let usual = create(&cluster, &pod("usual", &json!({}))).await.unwrap();
    assert_eq!(seen(&usual), (json!(10), lower));
    assert_eq!(usual["spec"]["priorityClassName"], "usual");
    let given = with("given", json!({"priorityClassName": "high", "priority": 5}));
    let text = "403 pods \"given\" is forbidden: the integer value of priority (5) must not be provided in pod spec; \
                priority admission controller computed 1000 from the given PriorityClass name";
    assert_eq!(create(&cluster, &given).await.unwrap_err(), text);
    // A Pod keeps its number when the class goes.
    cluster.request("DELETE", &format!("{CLASSES}/high"), "", Vec::new()).await;
    assert_eq!(cluster.get(&format!("{PODS}/high")).await["spec"]["priority"], 1000);
}

#[tokio::test]
async fn a_pod_needs_a_namespace_and_an_account() {
    let cluster = Cluster::start().await;
    let body = pod("p", &json!({})).to_string().into_bytes();
    let (code, answer) = cluster.request("POST", "/api/v1/namespaces/nosuch/pods", "application/json", body).await;
    assert_eq!((code, &answer["message"]), (404, &json!("namespaces \"nosuch\" not found")));
    let mut other = pod("p", &json!({}));
    other["spec"]["serviceAccountName"] = "robot".into();
    let text = "403 pods \"p\" is forbidden: error looking up service account default/robot: serviceaccount \"robot\" not found";
    assert_eq!(create(&cluster, &other).await.unwrap_err(), text);
    let made = create(&cluster, &pod("p", &json!({}))).await.unwrap();
    let tolerations: Vec<&str> =
        made["spec"]["tolerations"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(tolerations, ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]);
}
