//! The downward API: what a Pod may learn about itself (pkg/fieldpath, pkg/api/v1/resource).

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{resources, spec};
use crate::backend::NodeFacts;

/// The value of a field of the Pod. `None` for a field that is not offered.
pub fn field(pod: &Pod, path: &str, address: &str, node: &NodeFacts) -> Option<String> {
    let metadata = &pod.metadata;
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => &metadata.labels,
            "metadata.annotations" => &metadata.annotations,
            _ => return None,
        };
        return Some(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    let of_spec = |get: fn(&k8s_openapi::api::core::v1::PodSpec) -> Option<&String>| {
        pod.spec.as_ref().and_then(get).cloned().unwrap_or_default()
    };
    Some(match path {
        "metadata.name" => metadata.name.clone().unwrap_or_default(),
        "metadata.namespace" => metadata.namespace.clone().unwrap_or_default(),
        "metadata.uid" => metadata.uid.clone().unwrap_or_default(),
        "metadata.labels" => lines(metadata.labels.as_ref()),
        "metadata.annotations" => lines(metadata.annotations.as_ref()),
        "spec.nodeName" => of_spec(|spec| spec.node_name.as_ref()),
        "spec.serviceAccountName" => of_spec(|spec| spec.service_account_name.as_ref()),
        "status.podIP" | "status.podIPs" => address.to_owned(),
        "status.hostIP" | "status.hostIPs" => node.internal_ip.clone(),
        _ => return None,
    })
}

/// `metadata.labels['app']` in its two parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// All labels or annotations as a file holds them: `key="value"`, sorted.
fn lines(map: Option<&std::collections::BTreeMap<String, String>>) -> String {
    map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
}

/// The value of a container's request or limit, in units of the divisor, rounded up. A limit that is not set is what
/// the node has.
pub fn resource(
    pod: &Pod,
    container: &Container,
    selector: &ResourceFieldSelector,
    node: &NodeFacts,
) -> Option<String> {
    let named = selector.container_name.as_deref().filter(|name| !name.is_empty());
    let container = match named {
        Some(name) => spec::container(pod, name)?.1,
        None => container,
    };
    let (list, name) = selector.resource.split_once('.')?;
    let resources_of = container.resources.as_ref();
    let amounts = match list {
        "limits" => resources_of.and_then(|resources| resources.limits.as_ref()),
        "requests" => resources_of.and_then(|resources| resources.requests.as_ref()),
        _ => return None,
    };
    let set = amounts.and_then(|amounts| amounts.get(name)).and_then(resources::millis);
    let value = set.or_else(|| match (list, name) {
        ("limits", "cpu") => Some(node.cpu_millis),
        ("limits", "memory") => node.memory.checked_mul(1000),
        ("limits", "ephemeral-storage") => node.ephemeral_storage.checked_mul(1000),
        _ => Some(0),
    })?;
    let one = Quantity("1".to_owned());
    let divisor = selector.divisor.as_ref().filter(|divisor| divisor.0 != "0").unwrap_or(&one);
    let divisor = resources::millis(divisor).filter(|divisor| *divisor > 0)?;
    Some(value.div_ceil(divisor).to_string())
}
