//! What the real API server makes at its first start: the four namespaces, its own Service, the two priority classes of
//! the system. On a later start they are there already.

use podlab_api::registry;
use serde_json::{Value, json};

use crate::http::{place, stamp};
use crate::server::Server;
use crate::store::{Draft, Key, WriteError};

/// The cluster IP of the API server, from inside Pods.
const SERVICE_IP: &str = "10.96.0.1";

pub(crate) async fn first_objects(server: &Server) -> Result<(), WriteError> {
    // All at once: what waits together is committed together, and the start waits for the disk only once.
    futures_util::future::try_join_all(objects().into_iter().map(|object| make(server, object))).await?;
    Ok(())
}

fn objects() -> Vec<Value> {
    let mut objects = Vec::new();
    for name in ["kube-system", "kube-public", "kube-node-lease", "default"] {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        objects.push(namespace);
    }
    objects.push(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"type": "ClusterIP", "clusterIP": SERVICE_IP, "clusterIPs": [SERVICE_IP],
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]},
    }));
    for (name, value, what) in [
        (
            "system-cluster-critical",
            2_000_000_000_u32,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    ] {
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "description": what,
        });
        objects.push(class);
    }
    objects
}

/// Stores an object unless it is there.
async fn make(server: &Server, mut object: Value) -> Result<(), WriteError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let (group, version) = registry::split_api_version(&api_version);
    let Some(resource) = registry::find_kind(group, version, &kind) else { return Ok(()) };
    let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    let key = Key::new(place(resource), &namespace, &name);
    if server.store().get(&key).is_some() {
        return Ok(());
    }
    object["metadata"]["uid"] = uuid::Uuid::new_v4().to_string().into();
    object["metadata"]["creationTimestamp"] = stamp(server.now()).into();
    (resource.default)(&mut object);
    match server.store().create(key, Draft::new(&object)).await {
        Ok(_) | Err(WriteError::Exists) => Ok(()),
        Err(error) => Err(error),
    }
}
