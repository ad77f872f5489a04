//! What the server has, as discovery tells it: all of it from the registry.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::prepare::base64;
use crate::registry::{self, Resource, Storage, Subresource};

/// Groups and their versions in the order of the registry; the core group is the empty one.
fn groups() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for resource in registry::all() {
        match groups.iter_mut().find(|(group, _)| *group == resource.group) {
            Some((_, versions)) if versions.contains(&resource.version) => {}
            Some((_, versions)) => versions.push(resource.version),
            None => groups.push((resource.group, vec![resource.version])),
        }
    }
    groups
}

fn resources(group: &str, version: &str) -> Vec<&'static Resource> {
    let mut found: Vec<&Resource> =
        registry::all().iter().filter(|resource| resource.group == group && resource.version == version).collect();
    found.sort_by_key(|resource| resource.plural);
    found
}

/// `GET /api` (golden 381); `address` is the server's host and port.
#[must_use]
pub fn api_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `GET /apis` (golden 382).
#[must_use]
pub fn api_group_list() -> Value {
    let named = groups().into_iter().filter(|(group, _)| !group.is_empty());
    let groups: Vec<Value> = named.map(|(group, versions)| api_group_value(group, &versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `GET /apis/GROUP`.
#[must_use]
pub fn api_group(group: &str) -> Option<Value> {
    let (group, versions) = groups().into_iter().find(|(name, _)| *name == group && !name.is_empty())?;
    let mut value = api_group_value(group, &versions);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

fn api_group_value(group: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": registry::api_version(group, version), "version": version}))
        .collect();
    json!({"name": group, "preferredVersion": versions[0], "versions": versions})
}

/// `GET /api/v1` and `GET /apis/GROUP/VERSION` (golden 389).
#[must_use]
pub fn api_resource_list(group: &str, version: &str) -> Option<Value> {
    let resources = resources(group, version);
    if resources.is_empty() {
        return None;
    }
    let mut list = Vec::new();
    for resource in resources {
        list.push(plain(resource));
        list.extend(resource.subresources.iter().map(|subresource| plain_part(resource, subresource)));
    }
    let mut value = json!({"kind": "APIResourceList"});
    // The core group's lists are as old as the server, and have no apiVersion.
    if !group.is_empty() {
        value["apiVersion"] = "v1".into();
    }
    value["groupVersion"] = registry::api_version(group, version).into();
    value["resources"] = list.into();
    Some(value)
}

fn plain(resource: &Resource) -> Value {
    let mut value = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": resource.verbs,
    });
    names(&mut value, resource);
    if resource.storage != Storage::None {
        value["storageVersionHash"] = storage_version_hash(resource).into();
    }
    value
}

/// Tells in which version objects are stored (k8s.io/apiserver/pkg/endpoints/discovery/storageversionhash.go).
fn storage_version_hash(resource: &Resource) -> String {
    const BYTES: usize = 8;
    // Both views of events are stored in the core version.
    let group = if resource.storage == Storage::CoreEvents { "" } else { resource.group };
    let hash = Sha256::digest(format!("{group}/{}/{}", resource.version, resource.kind));
    base64(&hash[..BYTES])
}

fn plain_part(resource: &Resource, part: &Subresource) -> Value {
    let mut value = json!({
        "name": format!("{}/{}", resource.plural, part.name),
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": part.kind,
        "verbs": part.verbs,
    });
    if !part.version.is_empty() {
        value["group"] = part.group.into();
        value["version"] = part.version.into();
    }
    value
}

/// Short names and categories, where there are any.
fn names(value: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        value["shortNames"] = resource.short_names.into();
    }
    if !resource.categories.is_empty() {
        value["categories"] = resource.categories.into();
    }
}

/// `GET /api` or `GET /apis` as one `APIGroupDiscoveryList` (golden 562). `version` is `v2`, or `v2beta1` for kubectl
/// before 1.30; the two differ in nothing else.
#[must_use]
pub fn aggregated(core: bool, version: &str) -> Value {
    let items: Vec<Value> = groups()
        .into_iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let mut metadata = Map::new();
            if !group.is_empty() {
                metadata.insert("name".into(), group.into());
            }
            metadata.insert("creationTimestamp".into(), Value::Null);
            let versions: Vec<Value> = versions.iter().map(|version| aggregated_version(group, version)).collect();
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn aggregated_version(group: &str, version: &str) -> Value {
    // The core group's kinds name neither group nor version; clients take them from around it.
    let kind = |kind: &str| {
        let (group, version) = if group.is_empty() { ("", "") } else { (group, version) };
        json!({"group": group, "version": version, "kind": kind})
    };
    let resources: Vec<Value> = resources(group, version)
        .into_iter()
        .map(|resource| {
            let mut value = json!({
                "resource": resource.plural,
                "responseKind": kind(resource.kind),
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": resource.singular,
                "verbs": resource.verbs,
            });
            names(&mut value, resource);
            let parts: Vec<Value> = resource
                .subresources
                .iter()
                .map(|part| {
                    let response_kind = if part.version.is_empty() {
                        kind(part.kind)
                    } else {
                        json!({"group": part.group, "version": part.version, "kind": part.kind})
                    };
                    json!({"subresource": part.name, "responseKind": response_kind, "verbs": part.verbs})
                })
                .collect();
            if !parts.is_empty() {
                value["subresources"] = parts.into();
            }
            value
        })
        .collect();
    json!({"version": version, "resources": resources, "freshness": "Current"})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden 562.
    #[test]
    fn aggregated_discovery_shows_pods_as_the_real_server() {
        let list = aggregated(true, "v2");
        let resources = list["items"][0]["versions"][0]["resources"].as_array().unwrap();
        let pods = resources.iter().find(|resource| resource["resource"] == "pods").unwrap();
        assert_eq!(pods["responseKind"], json!({"group": "", "version": "", "kind": "Pod"}));
        assert_eq!(pods["categories"], json!(["all"]));
        let parts: Vec<&str> =
            pods["subresources"].as_array().unwrap().iter().filter_map(|part| part["subresource"].as_str()).collect();
        assert_eq!(
            parts,
            ["attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy", "status"]
        );
        assert_eq!(
            pods["subresources"][3]["responseKind"],
            json!({"group": "policy", "version": "v1", "kind": "Eviction"})
        );
    }

    /// Golden 389.
    #[test]
    fn plain_discovery_lists_subresources_after_their_resource() {
        let list = api_resource_list("", "v1").unwrap();
        let names: Vec<&str> =
            list["resources"].as_array().unwrap().iter().filter_map(|resource| resource["name"].as_str()).collect();
        assert_eq!(&names[..4], ["bindings", "configmaps", "endpoints", "events"]);
        assert!(names.windows(2).any(|pair| pair == ["serviceaccounts", "serviceaccounts/token"]));
        assert_eq!(list.get("apiVersion"), None);
        assert_eq!(list["resources"][1]["storageVersionHash"], "qFsyl6wFWjQ=");
        assert_eq!(api_resource_list("apps", "v1").unwrap()["apiVersion"], "v1");
        assert_eq!(api_resource_list("nope", "v1"), None);
    }

    #[test]
    fn the_group_list_names_every_group_once() {
        let list = api_group_list();
        let names: Vec<&str> =
            list["groups"].as_array().unwrap().iter().filter_map(|group| group["name"].as_str()).collect();
        assert_eq!(
            names,
            [
                "apps",
                "events.k8s.io",
                "authentication.k8s.io",
                "authorization.k8s.io",
                "storage.k8s.io",
                "scheduling.k8s.io",
                "coordination.k8s.io",
                "discovery.k8s.io",
                "metrics.k8s.io",
            ]
        );
    }
}
