//! How lists and maps are merged: the `patchStrategy` and `patchMergeKey` tags of k8s.io/api/*/v1/types.go.
//!
//! The schemas do not carry them, so they stand here; strategic merge and the OpenAPI documents (which kubectl computes
//! its patches from) read the same table.

/// How a patch changes a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// The field of an item that tells which one is meant; empty for lists of plain values.
    pub merge_key: &'static str,
    /// Items are merged; otherwise the list is replaced.
    pub merge: bool,
    /// Keys that the patch does not retain are removed first.
    pub retain_keys: bool,
}

const fn merge(merge_key: &'static str) -> Strategy {
    Strategy { merge_key, merge: true, retain_keys: false }
}

/// Lists of plain values that are merged as sets.
const SET: Strategy = merge("");

/// `Type.field`, in alphabetical order.
const TABLE: &[(&str, Strategy)] = &[
    ("Container.env", merge("name")),
    ("Container.ports", merge("containerPort")),
    ("Container.volumeDevices", merge("devicePath")),
    ("Container.volumeMounts", merge("mountPath")),
    ("ContainerStatus.allocatedResourcesStatus", merge("name")),
    ("ContainerStatus.volumeMounts", merge("mountPath")),
    ("DeploymentSpec.strategy", Strategy { merge_key: "", merge: false, retain_keys: true }),
    ("DeploymentStatus.conditions", merge("type")),
    ("EphemeralContainer.env", merge("name")),
    ("EphemeralContainer.ports", merge("containerPort")),
    ("EphemeralContainer.volumeDevices", merge("devicePath")),
    ("EphemeralContainer.volumeMounts", merge("mountPath")),
    ("NamespaceStatus.conditions", merge("type")),
    ("NodeSpec.podCIDRs", SET),
    ("NodeStatus.addresses", merge("type")),
    ("NodeStatus.conditions", merge("type")),
    ("ObjectMeta.finalizers", SET),
    ("ObjectMeta.ownerReferences", merge("uid")),
    ("PersistentVolumeClaimStatus.conditions", merge("type")),
    ("PodSpec.containers", merge("name")),
    ("PodSpec.ephemeralContainers", merge("name")),
    ("PodSpec.hostAliases", merge("ip")),
    ("PodSpec.imagePullSecrets", merge("name")),
    ("PodSpec.initContainers", merge("name")),
    ("PodSpec.resourceClaims", Strategy { merge_key: "name", merge: true, retain_keys: true }),
    ("PodSpec.schedulingGates", merge("name")),
    ("PodSpec.topologySpreadConstraints", merge("topologyKey")),
    ("PodSpec.volumes", Strategy { merge_key: "name", merge: true, retain_keys: true }),
    ("PodStatus.conditions", merge("type")),
    ("PodStatus.hostIPs", merge("ip")),
    ("PodStatus.podIPs", merge("ip")),
    ("PodStatus.resourceClaimStatuses", Strategy { merge_key: "name", merge: true, retain_keys: true }),
    ("ReplicaSetStatus.conditions", merge("type")),
    ("ServiceAccount.secrets", merge("name")),
    ("ServiceSpec.ports", merge("port")),
    ("ServiceStatus.conditions", merge("type")),
];

/// The strategy of a field; the default replaces lists and merges objects.
#[must_use]
pub fn strategy(go_type: &str, field: &str) -> Strategy {
    let key = format!("{go_type}.{field}");
    match TABLE.binary_search_by(|(name, _)| (*name).cmp(&key)) {
        Ok(index) => TABLE[index].1,
        Err(_) => Strategy { merge_key: "", merge: false, retain_keys: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn the_table_is_sorted_and_names_real_fields() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (name, strategy) in TABLE {
            let (kind, field) = name.split_once('.').unwrap();
            let object = schema::components()
                .keys()
                .filter(|schema| schema::go_name(schema) == kind)
                .find_map(|schema| schema::object(schema))
                .unwrap_or_else(|| panic!("no type {kind}"));
            let shape = &object.fields.get(field).unwrap_or_else(|| panic!("no field {name}")).shape;
            if let schema::Shape::List(item) = shape
                && let schema::Shape::Object(item) = &**item
            {
                assert!(schema::object(item).unwrap().fields.contains_key(strategy.merge_key), "{name}");
            }
        }
    }
}
