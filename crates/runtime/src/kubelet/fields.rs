//! The downward API: what a Pod can learn about itself (pkg/fieldpath, pkg/api/v1/resource).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, ResourceFieldSelector};
use podlab_api::quantity::Quantity;

use super::members;
use super::resources::amount;

/// What a field can be read from besides the Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Around {
    pub pod_ip: String,
    pub host_ip: String,
    /// In thousandths of a core: the limit of a container that has none.
    pub node_cpu_millis: u64,
    /// In bytes: the limit of a container that has none.
    pub node_memory: u64,
    /// In bytes.
    pub node_storage: u64,
}

/// The value of a field, as text; `None` for a field that does not exist.
#[must_use]
pub fn field(pod: &Pod, path: &str, around: &Around) -> Option<String> {
    let metadata = &pod.metadata;
    let spec = pod.spec.as_ref();
    let text = |value: Option<&String>| Some(value.cloned().unwrap_or_default());
    match path {
        "metadata.name" => text(metadata.name.as_ref()),
        "metadata.namespace" => text(metadata.namespace.as_ref()),
        "metadata.uid" => text(metadata.uid.as_ref()),
        "metadata.labels" => Some(lines(metadata.labels.as_ref())),
        "metadata.annotations" => Some(lines(metadata.annotations.as_ref())),
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.hostIP" | "status.hostIPs" => Some(around.host_ip.clone()),
        "status.podIP" | "status.podIPs" => Some(around.pod_ip.clone()),
        _ => {
            let (map, key) = path.strip_suffix("']")?.split_once("['")?;
            let map = match map {
                "metadata.labels" => metadata.labels.as_ref(),
                "metadata.annotations" => metadata.annotations.as_ref(),
                _ => return None,
            };
            text(map.and_then(|map| map.get(key)))
        }
    }
}

/// A map as a file shows it: a line `key="value"` an entry, in order, the value quoted as Go quotes it.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let line = |(key, value): (&String, &String)| format!("{key}={}", serde_json::Value::from(value.as_str()));
    map.into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

/// What a container may use or asks for, in units of the divisor, rounded up.
#[must_use]
pub fn resource(pod: &Pod, container: &str, selector: &ResourceFieldSelector, around: &Around) -> Option<String> {
    let name = selector.container_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(container);
    let member = members::find(pod, name)?;
    let (list, resource) = selector.resource.split_once('.')?;
    let resources = member.spec.resources.as_ref();
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let milli = match list {
        "limits" => match amount(limits, resource) {
            0 => whole_node(resource, around),
            limit => limit,
        },
        "requests" => amount(requests, resource),
        _ => return None,
    };
    let divisor = selector.divisor.as_ref().and_then(|divisor| Quantity::parse(&divisor.0).ok());
    let divisor = divisor.map(|divisor| divisor.milli_value()).filter(|divisor| *divisor > 0).unwrap_or(1000);
    Some(milli.unsigned_abs().div_ceil(divisor.unsigned_abs()).to_string())
}

/// What the whole node has, in thousandths.
fn whole_node(resource: &str, around: &Around) -> i64 {
    let milli = match resource {
        "cpu" => around.node_cpu_millis,
        "memory" => around.node_memory.saturating_mul(1000),
        "ephemeral-storage" => around.node_storage.saturating_mul(1000),
        _ => 0,
    };
    i64::try_from(milli).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_and_resources_as_text() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"b": "2", "a": "say \"1\""}},
            "spec": {"nodeName": "node1", "containers": [{"name": "c", "resources": {
                "limits": {"cpu": "500m"}, "requests": {"cpu": "250m", "memory": "32Mi"}}}]},
        }))
        .unwrap();
        let around = Around { pod_ip: "10.244.0.2".into(), node_memory: 64 << 20, ..Around::default() };
        for (path, value) in [
            ("metadata.name", Some("p")),
            ("metadata.labels['b']", Some("2")),
            ("metadata.labels['none']", Some("")),
            ("metadata.labels", Some("a=\"say \\\"1\\\"\"\nb=\"2\"")),
            ("status.podIP", Some("10.244.0.2")),
            ("spec.nodeName", Some("node1")),
            ("spec.containers", None),
        ] {
            assert_eq!(field(&pod, path, &around).as_deref(), value, "{path}");
        }
        for (resource_name, divisor, value) in [
            ("limits.cpu", "0", "1"),
            ("limits.cpu", "1m", "500"),
            ("requests.memory", "1Mi", "32"),
            ("limits.memory", "1", "67108864"),
        ] {
            let selector = serde_json::from_value(json!({"resource": resource_name, "divisor": divisor})).unwrap();
            assert_eq!(resource(&pod, "c", &selector, &around).as_deref(), Some(value), "{resource_name} / {divisor}");
        }
    }
}
