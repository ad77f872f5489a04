//! What the server has, as discovery tells it: all of it from the registry.
//!
//! The fields stand in the order of the real server's types, which is the order its answers have: people read them with
//! `kubectl get --raw`.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::prepare::base64;
use crate::registry::{self, Resource, Storage, Subresource};

/// `GET /api`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiVersions {
    kind: &'static str,
    versions: [&'static str; 1],
    #[serde(rename = "serverAddressByClientCIDRs")]
    server_addresses: [ServerAddress; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerAddress {
    #[serde(rename = "clientCIDR")]
    client: &'static str,
    server_address: String,
}

/// `GET /apis`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroupList {
    kind: &'static str,
    api_version: &'static str,
    groups: Vec<ApiGroup>,
}

/// `GET /apis/GROUP`, and an item of the list of groups, which has neither kind nor apiVersion.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    name: &'static str,
    versions: Vec<GroupVersion>,
    preferred_version: GroupVersion,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    group_version: String,
    version: &'static str,
}

/// `GET /api/v1` and `GET /apis/GROUP/VERSION`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResourceList {
    kind: &'static str,
    /// The core group's list is as old as the server, and has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    group_version: String,
    resources: Vec<ApiResource>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResource {
    name: String,
    singular_name: &'static str,
    namespaced: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'static [&'static str],
    #[serde(skip_serializing_if = "String::is_empty")]
    storage_version_hash: String,
}

/// `GET /api` or `GET /apis`, all at once.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Aggregated {
    kind: &'static str,
    api_version: String,
    metadata: Empty,
    items: Vec<AggregatedGroup>,
}

#[derive(Debug, Serialize)]
struct Empty {}

#[derive(Debug, Serialize)]
struct AggregatedGroup {
    metadata: GroupMetadata,
    versions: Vec<AggregatedVersion>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupMetadata {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'static str,
    /// Always null, as the real server writes it.
    creation_timestamp: (),
}

#[derive(Debug, Serialize)]
struct AggregatedVersion {
    version: &'static str,
    resources: Vec<AggregatedResource>,
    freshness: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedResource {
    resource: &'static str,
    response_kind: ResponseKind,
    scope: &'static str,
    singular_resource: &'static str,
    verbs: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'static [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<AggregatedSubresource>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedSubresource {
    subresource: &'static str,
    response_kind: ResponseKind,
    verbs: &'static [&'static str],
}

#[derive(Debug, Serialize)]
struct ResponseKind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
}

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
pub fn api_versions(address: &str) -> ApiVersions {
    let server_addresses = [ServerAddress { client: "0.0.0.0/0", server_address: address.to_owned() }];
    ApiVersions { kind: "APIVersions", versions: ["v1"], server_addresses }
}

/// `GET /apis` (golden 382).
#[must_use]
pub fn api_group_list() -> ApiGroupList {
    let named = groups().into_iter().filter(|(group, _)| !group.is_empty());
    let groups = named.filter_map(|(group, versions)| group_of(group, &versions)).collect();
    ApiGroupList { kind: "APIGroupList", api_version: "v1", groups }
}

/// `GET /apis/GROUP`.
#[must_use]
pub fn api_group(group: &str) -> Option<ApiGroup> {
    let (group, versions) = groups().into_iter().find(|(name, _)| *name == group && !name.is_empty())?;
    group_of(group, &versions).map(|group| ApiGroup { kind: Some("APIGroup"), api_version: Some("v1"), ..group })
}

fn group_of(name: &'static str, versions: &[&'static str]) -> Option<ApiGroup> {
    let version =
        |version: &&'static str| GroupVersion { group_version: registry::api_version(name, version), version };
    let versions: Vec<GroupVersion> = versions.iter().map(version).collect();
    let preferred_version = versions.first()?.clone();
    Some(ApiGroup { kind: None, api_version: None, name, versions, preferred_version })
}

/// `GET /api/v1` and `GET /apis/GROUP/VERSION` (golden 389).
#[must_use]
pub fn api_resource_list(group: &str, version: &str) -> Option<ApiResourceList> {
    let resources = resources(group, version);
    if resources.is_empty() {
        return None;
    }
    let mut list = Vec::new();
    for resource in resources {
        list.push(plain(resource));
        list.extend(resource.subresources.iter().map(|subresource| plain_part(resource, subresource)));
    }
    Some(ApiResourceList {
        kind: "APIResourceList",
        api_version: (!group.is_empty()).then_some("v1"),
        group_version: registry::api_version(group, version),
        resources: list,
    })
}

fn plain(resource: &'static Resource) -> ApiResource {
    let stored = resource.storage != Storage::None;
    ApiResource {
        name: resource.plural.to_owned(),
        singular_name: resource.singular,
        namespaced: resource.namespaced,
        group: "",
        version: "",
        kind: resource.kind,
        verbs: resource.verbs,
        short_names: resource.short_names,
        categories: resource.categories,
        storage_version_hash: if stored { storage_version_hash(resource) } else { String::new() },
    }
}

/// Tells in which version objects are stored (k8s.io/apiserver/pkg/endpoints/discovery/storageversionhash.go).
fn storage_version_hash(resource: &Resource) -> String {
    const BYTES: usize = 8;
    // Both views of events are stored in the core version.
    let group = if resource.storage == Storage::CoreEvents { "" } else { resource.group };
    let hash = Sha256::digest(format!("{group}/{}/{}", resource.version, resource.kind));
    base64(&hash[..BYTES])
}

fn plain_part(resource: &'static Resource, part: &'static Subresource) -> ApiResource {
    // A kind of the parent's group and version names neither.
    let group = if part.version.is_empty() { "" } else { part.group };
    ApiResource {
        name: format!("{}/{}", resource.plural, part.name),
        singular_name: "",
        namespaced: resource.namespaced,
        group,
        version: part.version,
        kind: part.kind,
        verbs: part.verbs,
        short_names: &[],
        categories: &[],
        storage_version_hash: String::new(),
    }
}

/// `GET /api` or `GET /apis` as one `APIGroupDiscoveryList` (golden 562). `version` is `v2`, or `v2beta1` for kubectl
/// before 1.30; the two differ in nothing else.
#[must_use]
pub fn aggregated(core: bool, version: &str) -> Aggregated {
    let groups = groups().into_iter().filter(|(group, _)| group.is_empty() == core);
    let items = groups.map(|(group, versions)| AggregatedGroup {
        metadata: GroupMetadata { name: group, creation_timestamp: () },
        versions: versions.iter().map(|version| aggregated_version(group, version)).collect(),
    });
    Aggregated {
        kind: "APIGroupDiscoveryList",
        api_version: format!("apidiscovery.k8s.io/{version}"),
        metadata: Empty {},
        items: items.collect(),
    }
}

fn aggregated_version(group: &'static str, version: &'static str) -> AggregatedVersion {
    // The core group's kinds name neither group nor version; clients take them from around it.
    let own = |kind: &'static str| {
        let (group, version) = if group.is_empty() { ("", "") } else { (group, version) };
        ResponseKind { group, version, kind }
    };
    let part = |part: &'static Subresource| AggregatedSubresource {
        subresource: part.name,
        response_kind: if part.version.is_empty() {
            own(part.kind)
        } else {
            ResponseKind { group: part.group, version: part.version, kind: part.kind }
        },
        verbs: part.verbs,
    };
    let resources = resources(group, version).into_iter().map(|resource| AggregatedResource {
        resource: resource.plural,
        response_kind: own(resource.kind),
        scope: if resource.namespaced { "Namespaced" } else { "Cluster" },
        singular_resource: resource.singular,
        verbs: resource.verbs,
        short_names: resource.short_names,
        categories: resource.categories,
        subresources: resource.subresources.iter().map(part).collect(),
    });
    AggregatedVersion { version, resources: resources.collect(), freshness: "Current" }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(told: &impl Serialize) -> Value {
        serde_json::to_value(told).unwrap()
    }

    /// Golden 562.
    #[test]
    fn aggregated_discovery_shows_pods_as_the_real_server() {
        let list = value(&aggregated(true, "v2"));
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
        let list = value(&api_resource_list("", "v1").unwrap());
        let names: Vec<&str> =
            list["resources"].as_array().unwrap().iter().filter_map(|resource| resource["name"].as_str()).collect();
        assert_eq!(&names[..4], ["bindings", "configmaps", "endpoints", "events"]);
        assert!(names.windows(2).any(|pair| pair == ["serviceaccounts", "serviceaccounts/token"]));
        assert_eq!(list.get("apiVersion"), None);
        assert_eq!(list["resources"][1]["storageVersionHash"], "qFsyl6wFWjQ=");
        assert_eq!(value(&api_resource_list("apps", "v1"))["apiVersion"], "v1");
        assert!(api_resource_list("nope", "v1").is_none());
    }

    #[test]
    fn the_group_list_names_every_group_once() {
        let list = value(&api_group_list());
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
