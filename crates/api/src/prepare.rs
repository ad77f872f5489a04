//! What a writer may not set, and what the server counts (k8s.io/kubernetes/pkg/registry/*/strategy.go).

use serde_json::{Value, json};

use crate::json::{at, integer, list, object_mut};
use crate::quantity::Quantity;

/// For kinds without a strategy of their own.
pub(crate) fn nothing(_: &mut Value, _: Option<&Value>, _: Option<&str>) {}

/// Status is written through its own route only, and that route writes nothing else.
pub(crate) fn status_apart(object: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
    match (old, subresource) {
        (Some(old), Some("status")) => {
            let status = object["status"].take();
            let metadata = object["metadata"].take();
            object.clone_from(old);
            object["status"] = status;
            status_metadata(object, metadata);
        }
        (Some(old), _) => object["status"] = old["status"].clone(),
        // Kinds are created with an empty status; nodes register with theirs.
        (None, _) if object["kind"] == "Node" => {}
        (None, _) => object["status"] = json!({}),
    }
}

/// A status update may change labels, annotations and the like, as upstream's does; the spec and its count stay.
fn status_metadata(object: &mut Value, metadata: Value) {
    let generation = object["metadata"]["generation"].clone();
    object["metadata"] = metadata;
    if !generation.is_null() {
        object["metadata"]["generation"] = generation;
    }
}

/// Counts changes of everything but metadata and status.
pub(crate) fn generation(object: &mut Value, old: Option<&Value>, _: Option<&str>) {
    let generation = match old {
        None => 1,
        Some(old) => {
            let part = |object: &Value| {
                let mut fields = object.as_object().cloned().unwrap_or_default();
                ["metadata", "status", "apiVersion", "kind"].iter().for_each(|key| drop(fields.remove(*key)));
                fields
            };
            integer(old, &["metadata", "generation"]) + i64::from(part(object) != part(old))
        }
    };
    object_mut(object, &["metadata"]).insert("generation".into(), generation.into());
}

/// Deployments and ReplicaSets: a status apart, and a generation.
pub(crate) fn workload(object: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
    status_apart(object, old, subresource);
    if subresource != Some("status") {
        generation(object, old, subresource);
    }
}

/// Namespaces start Active, with the finalizer that holds them until their content is gone.
pub(crate) fn namespace(object: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
    match (old, subresource) {
        (None, _) => {
            object["status"] = json!({"phase": "Active"});
            object["spec"] = json!({"finalizers": ["kubernetes"]});
        }
        (Some(old), Some("finalize")) => {
            let finalizers = object["spec"].take();
            object.clone_from(old);
            object["spec"] = finalizers;
        }
        (Some(old), subresource) => {
            status_apart(object, Some(old), subresource);
            object["spec"] = old["spec"].clone();
        }
    }
}

pub(crate) fn claim(object: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
    status_apart(object, old, subresource);
    if old.is_none() {
        object["status"] = json!({"phase": "Pending"});
    }
}

pub(crate) fn volume(object: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
    claim(object, old, subresource);
}

/// `stringData` is written, never read: it goes into `data`.
pub(crate) fn secret(object: &mut Value, _: Option<&Value>, _: Option<&str>) {
    let Some(strings) = object.as_object_mut().and_then(|fields| fields.remove("stringData")) else { return };
    let data = object_mut(object, &["data"]);
    for (key, value) in strings.as_object().into_iter().flatten() {
        data.insert(key.clone(), base64(value.as_str().unwrap_or_default().as_bytes()).into());
    }
}

/// Standard, padded base64.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = (bits >> (18 - 6 * index)) & 63;
            text.push(if index <= chunk.len() { char::from(ALPHABET[digit as usize]) } else { '=' });
        }
    }
    text
}

/// A Pod starts Pending, with its quality of service; later writes go to the status route.
pub(crate) fn pod(object: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
    match (old, subresource) {
        (None, _) => object["status"] = json!({"phase": "Pending", "qosClass": quality_of_service(object)}),
        (Some(old), Some("status")) => {
            status_apart(object, Some(old), subresource);
            // The class is the server's to say.
            let class = old["status"]["qosClass"].clone();
            if !class.is_null() {
                object["status"]["qosClass"] = class;
            }
        }
        (Some(old), Some("ephemeralcontainers")) => {
            let added = object["spec"]["ephemeralContainers"].take();
            object.clone_from(old);
            if !added.is_null() {
                object["spec"]["ephemeralContainers"] = added;
            }
        }
        (Some(old), _) => object["status"] = old["status"].clone(),
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort` (k8s.io/kubernetes/pkg/apis/core/helper/qos/qos.go).
#[must_use]
pub fn quality_of_service(pod: &Value) -> &'static str {
    const COUNTED: [&str; 2] = ["cpu", "memory"];
    let containers = || {
        let spec = at(pod, &["spec"]);
        list(spec, &["initContainers"]).iter().chain(list(spec, &["containers"]))
    };
    let amount = |container: &Value, part: &str, resource: &str| {
        Quantity::from_json(at(container, &["resources", part, resource])).filter(|quantity| !quantity.is_zero())
    };
    let mut any = false;
    let mut guaranteed = true;
    for container in containers() {
        for resource in COUNTED {
            let (request, limit) = (amount(container, "requests", resource), amount(container, "limits", resource));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_of_service_follows_requests_and_limits() {
        let class = |resources: Value| {
            quality_of_service(&json!({"spec": {"containers": [{"name": "a", "resources": resources}]}}))
        };
        assert_eq!(class(json!({})), "BestEffort");
        assert_eq!(class(json!({"requests": {"cpu": "100m"}})), "Burstable");
        assert_eq!(class(json!({"limits": {"cpu": "1"}})), "Burstable");
        assert_eq!(class(json!({"limits": {"cpu": "1", "memory": "1Gi"}})), "Guaranteed");
        assert_eq!(
            class(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}})),
            "Burstable"
        );
    }

    #[test]
    fn a_status_write_leaves_the_spec_alone() {
        let old = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "node1"},
            "status": {"phase": "Pending", "qosClass": "BestEffort"}});
        let mut new = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "x"},
            "status": {"phase": "Running"}});
        pod(&mut new, Some(&old), Some("status"));
        assert_eq!(new["spec"]["nodeName"], "node1");
        assert_eq!(new["status"], json!({"phase": "Running", "qosClass": "BestEffort"}));
        let mut new = json!({"kind": "Pod", "spec": {"nodeName": "x"}, "status": {"phase": "Failed"}});
        pod(&mut new, Some(&old), None);
        assert_eq!(new["status"]["phase"], "Pending");
    }

    #[test]
    fn secrets_keep_strings_as_data() {
        let mut object = json!({"stringData": {"a": "hello", "b": ""}, "data": {"c": "eA=="}});
        secret(&mut object, None, None);
        assert_eq!(object, json!({"data": {"a": "aGVsbG8=", "b": "", "c": "eA=="}}));
        assert_eq!((base64(b"ab"), base64(b"abc"), base64(b"a")), ("YWI=".into(), "YWJj".into(), "YQ==".into()));
    }
}
