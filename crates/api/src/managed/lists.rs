//! Which lists are one value and which have items of their own: the `+listType`, `+listMapKey`, `+mapType` and
//! `+structType` marks of k8s.io/api/*/v1/types.go in 1.32.
//!
//! They are near to, but not the same as what strategic merge patches go by ([`crate::patch::strategy`]): there
//! `hostIPs` has a merge key, here it is one value.

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// What a list is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    /// It is written as a whole.
    Atomic,
    /// Values, each once.
    Set,
    /// Objects, each with other values of these fields.
    Map(&'static [&'static str]),
}

/// `Type.field` and the keys of its items, in alphabetical order.
const MAPS: &[(&str, &[&str])] = &[
    ("Container.env", &["name"]),
    ("Container.ports", &["containerPort", "protocol"]),
    ("Container.volumeDevices", &["devicePath"]),
    ("Container.volumeMounts", &["mountPath"]),
    ("ContainerStatus.volumeMounts", &["mountPath"]),
    ("DeploymentStatus.conditions", &["type"]),
    ("EphemeralContainer.env", &["name"]),
    ("EphemeralContainer.ports", &["containerPort", "protocol"]),
    ("EphemeralContainer.volumeDevices", &["devicePath"]),
    ("EphemeralContainer.volumeMounts", &["mountPath"]),
    ("NamespaceStatus.conditions", &["type"]),
    ("NodeStatus.addresses", &["type"]),
    ("NodeStatus.conditions", &["type"]),
    ("ObjectMeta.ownerReferences", &["uid"]),
    ("PersistentVolumeClaimStatus.conditions", &["type"]),
    ("PodSpec.containers", &["name"]),
    ("PodSpec.ephemeralContainers", &["name"]),
    ("PodSpec.hostAliases", &["ip"]),
    ("PodSpec.imagePullSecrets", &["name"]),
    ("PodSpec.initContainers", &["name"]),
    ("PodSpec.resourceClaims", &["name"]),
    ("PodSpec.schedulingGates", &["name"]),
    ("PodSpec.topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("PodSpec.volumes", &["name"]),
    ("PodStatus.conditions", &["type"]),
    ("PodStatus.podIPs", &["ip"]),
    ("PodStatus.resourceClaimStatuses", &["name"]),
    ("ReplicaSetStatus.conditions", &["type"]),
    ("ResourceRequirements.claims", &["name"]),
    ("ServiceAccount.secrets", &["name"]),
    ("ServiceSpec.ports", &["port", "protocol"]),
    ("ServiceStatus.conditions", &["type"]),
];

const SETS: [&str; 2] = ["NodeSpec.podCIDRs", "ObjectMeta.finalizers"];

/// Maps and types that are written as a whole.
const ATOMIC: &[&str] = &[
    "ConfigMapKeySelector",
    "LabelSelector",
    "LocalObjectReference",
    "NodeSelector",
    "NodeSelectorTerm",
    "ObjectFieldSelector",
    "ObjectReference",
    "PodSpec.nodeSelector",
    "ResourceFieldSelector",
    "ScopeSelector",
    "ScopedResourceSelectorRequirement",
    "SecretKeySelector",
    "SecretReference",
    "ServiceSpec.selector",
    "TopologySelectorTerm",
    "TypedLocalObjectReference",
];

/// What the list in a field is made of.
#[must_use]
pub fn list_type(go_type: &str, field: &str) -> ListType {
    if SETS.iter().any(|name| order(name, go_type, field).is_eq()) {
        return ListType::Set;
    }
    let found = MAPS.binary_search_by(|(name, _)| order(name, go_type, field));
    found.map_or(ListType::Atomic, |index| ListType::Map(MAPS[index].1))
}

/// Whether a map in a field, or (without a field) an object of a type, is one value.
pub(super) fn is_atomic(go_type: &str, field: &str) -> bool {
    ATOMIC.binary_search_by(|name| order(name, go_type, field)).is_ok()
}

/// How a name in a table stands to `Type.field` (`Type` without a field). Asked for every field of every write: no text is
/// made for it.
fn order(name: &str, go_type: &str, field: &str) -> Ordering {
    let dot = if field.is_empty() { "" } else { "." };
    let (head, tail) = name.as_bytes().split_at(name.len().min(go_type.len()));
    head.cmp(go_type.as_bytes()).then_with(|| tail.iter().cmp(dot.as_bytes().iter().chain(field.as_bytes())))
}

impl ListType {
    /// How an item is told from the others, as `fieldsV1` writes it.
    pub(super) fn element(self, item: &Value) -> String {
        match self {
            Self::Map(keys) => {
                let keys: Map<String, Value> =
                    keys.iter().filter_map(|key| Some(((*key).to_owned(), item.get(key)?.clone()))).collect();
                format!("k:{}", Value::Object(keys))
            }
            Self::Set | Self::Atomic => format!("v:{item}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn the_tables_are_sorted_and_name_real_fields() {
        assert!(MAPS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(ATOMIC.windows(2).all(|pair| pair[0] < pair[1]));
        let object = |kind: &str| {
            let mut names = schema::components().keys().filter(|name| schema::go_name(name) == kind);
            names.find_map(|name| schema::object(name)).unwrap_or_else(|| panic!("no type {kind}"))
        };
        for (name, keys) in MAPS {
            let (kind, field) = name.split_once('.').unwrap();
            let schema::Shape::List(item) = &object(kind).fields[field].shape else { panic!("{name} is no list") };
            let schema::Shape::Object(item) = &**item else { panic!("{name} has no objects") };
            let item = schema::object(item).unwrap();
            assert!(keys.iter().all(|key| item.fields.contains_key(*key)), "{name}");
        }
        for name in SETS.iter().chain(ATOMIC.iter()) {
            match name.split_once('.') {
                Some((kind, field)) => assert!(object(kind).fields.contains_key(field), "{name}"),
                None => drop(object(name)),
            }
        }
    }
}
