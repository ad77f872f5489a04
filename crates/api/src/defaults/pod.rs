//! Defaults of Pods.

use serde_json::{Value, json};

use super::volume::{drop_nulls, field_ref, pod_volume};
use crate::json::{list_mut, object_mut, set_default};

/// Seconds between SIGTERM and SIGKILL.
const GRACE_SECONDS: i64 = 30;

pub(crate) fn pod(pod: &mut Value) {
    object_mut(pod, &["spec"]);
    let spec = &mut pod["spec"];
    pod_spec(spec);
    // A Pod of its own, unlike a template, also gets what depends on other fields.
    for list in ["initContainers", "containers"] {
        list_mut(spec, &[list]).iter_mut().for_each(requests_from_limits);
    }
    set_default(spec, "enableServiceLinks", true);
}

/// The spec of a Pod or of a template.
pub(crate) fn pod_spec(spec: &mut Value) {
    set_default(spec, "dnsPolicy", "ClusterFirst");
    set_default(spec, "restartPolicy", "Always");
    set_default(spec, "terminationGracePeriodSeconds", GRACE_SECONDS);
    set_default(spec, "schedulerName", "default-scheduler");
    set_default(spec, "securityContext", json!({}));
    service_account(spec);
    let host_network = spec["hostNetwork"] == true;
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in list_mut(spec, &[list]) {
            self::container(container, host_network);
        }
    }
    list_mut(spec, &["volumes"]).iter_mut().for_each(pod_volume);
    for constraint in list_mut(spec, &["topologySpreadConstraints"]) {
        set_default(constraint, "nodeAffinityPolicy", "Honor");
        set_default(constraint, "nodeTaintsPolicy", "Ignore");
    }
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both always say the same.
fn service_account(spec: &mut Value) {
    let named = |key: &str| spec[key].as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    if let Some(name) = named("serviceAccountName").or_else(|| named("serviceAccount")) {
        spec["serviceAccountName"] = name.clone().into();
        spec["serviceAccount"] = name.into();
    }
}

fn container(container: &mut Value, host_network: bool) {
    let image = container["image"].as_str().unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    set_default(container, "imagePullPolicy", policy);
    set_default(container, "terminationMessagePath", "/dev/termination-log");
    set_default(container, "terminationMessagePolicy", "File");
    for port in list_mut(container, &["ports"]) {
        set_default(port, "protocol", "TCP");
        if host_network {
            let number = port["containerPort"].clone();
            set_default(port, "hostPort", number);
        }
    }
    for variable in list_mut(container, &["env"]) {
        if variable["valueFrom"].is_object() {
            field_ref(&mut variable["valueFrom"]["fieldRef"]);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container[name].is_object() {
            probe(&mut container[name]);
        }
    }
    for hook in ["postStart", "preStop"] {
        if container["lifecycle"][hook]["httpGet"].is_object() {
            http_get(&mut container["lifecycle"][hook]["httpGet"]);
        }
    }
    drop_nulls(container);
    // What drop_nulls cannot tell from a missing key, because it is always printed.
    set_default(container, "resources", json!({}));
}

fn probe(probe: &mut Value) {
    set_default(probe, "timeoutSeconds", 1);
    set_default(probe, "periodSeconds", 10);
    set_default(probe, "successThreshold", 1);
    set_default(probe, "failureThreshold", 3);
    if probe["httpGet"].is_object() {
        http_get(&mut probe["httpGet"]);
    }
    if probe["grpc"].is_object() {
        set_default(&mut probe["grpc"], "service", "");
    }
}

fn http_get(action: &mut Value) {
    set_default(action, "path", "/");
    set_default(action, "scheme", "HTTP");
}

/// A limit without a request asks for as much as it may use.
fn requests_from_limits(container: &mut Value) {
    let Some(limits) = container["resources"]["limits"].as_object().cloned() else { return drop_nulls(container) };
    let requests = object_mut(container, &["resources", "requests"]);
    for (resource, limit) in limits {
        requests.entry(resource).or_insert(limit);
    }
    if requests.is_empty() {
        object_mut(container, &["resources"]).remove("requests");
    }
}

/// Whether an image is pulled anew each time: its tag is `latest`, or it has neither tag nor digest.
fn is_latest(image: &str) -> bool {
    if image.is_empty() || image.contains('@') || image.contains(char::is_whitespace) {
        return false;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden 259: what the real server makes of the seed's full Pod.
    #[test]
    fn kuards_probes_ports_and_resources_are_filled_in() {
        let mut object = json!({"spec": {"containers": [{
            "name": "kuard", "image": "gcr.io/kuar-demo/kuard-amd64:1",
            "ports": [{"containerPort": 8080, "name": "http"}],
            "resources": {"limits": {"cpu": "1", "memory": "256Mi"}, "requests": {"cpu": "500m"}},
            "livenessProbe": {"httpGet": {"path": "/healthy", "port": 8080}, "initialDelaySeconds": 5},
        }], "volumes": [{"name": "data", "nfs": {"server": "s", "path": "/"}}, {"name": "scratch"}]}});
        pod(&mut object);
        assert_eq!(
            object["spec"],
            json!({
                "containers": [{
                    "name": "kuard", "image": "gcr.io/kuar-demo/kuard-amd64:1", "imagePullPolicy": "IfNotPresent",
                    "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
                    "resources": {
                        "limits": {"cpu": "1", "memory": "256Mi"}, "requests": {"cpu": "500m", "memory": "256Mi"},
                    },
                    "livenessProbe": {
                        "failureThreshold": 3, "initialDelaySeconds": 5, "periodSeconds": 10, "successThreshold": 1,
                        "timeoutSeconds": 1, "httpGet": {"path": "/healthy", "port": 8080, "scheme": "HTTP"},
                    },
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }],
                "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "restartPolicy": "Always",
                "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30,
                "volumes": [{"name": "data", "nfs": {"server": "s", "path": "/"}}, {"name": "scratch", "emptyDir": {}}],
            })
        );
    }

    #[test]
    fn images_without_a_fixed_tag_are_pulled_always() {
        for image in ["nginx", "nginx:latest", "registry:5000/nginx"] {
            assert!(is_latest(image), "{image}");
        }
        for image in ["nginx:1.27", "nginx@sha256:aa", "registry:5000/nginx:1", "Not A Valid:::image"] {
            assert!(!is_latest(image), "{image}");
        }
    }
}
