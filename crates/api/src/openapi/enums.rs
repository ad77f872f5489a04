//! The values that a text may have, where the types upstream are enumerations (`+enum` in k8s.io/api/*/v1/types.go).

/// `Type.field` and its values, the values in alphabetical order.
const ENUMS: &[(&str, &[&str])] = &[
    ("AppArmorProfile.type", &["Localhost", "RuntimeDefault", "Unconfined"]),
    ("Container.imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    ("Container.terminationMessagePolicy", &["FallbackToLogsOnError", "File"]),
    ("ContainerPort.protocol", &["SCTP", "TCP", "UDP"]),
    ("DeploymentStrategy.type", &["Recreate", "RollingUpdate"]),
    ("EndpointPort.protocol", &["SCTP", "TCP", "UDP"]),
    ("EphemeralContainer.imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    ("EphemeralContainer.terminationMessagePolicy", &["FallbackToLogsOnError", "File"]),
    ("HTTPGetAction.scheme", &["HTTP", "HTTPS"]),
    (
        "HostPathVolumeSource.type",
        &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"],
    ),
    ("ImageVolumeSource.pullPolicy", &["Always", "IfNotPresent", "Never"]),
    ("NamespaceStatus.phase", &["Active", "Terminating"]),
    ("NodeSelectorRequirement.operator", &["DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn"]),
    ("NodeStatus.phase", &["Pending", "Running", "Terminated"]),
    ("PersistentVolumeClaimSpec.accessModes", &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]),
    ("PersistentVolumeClaimSpec.volumeMode", &["Block", "Filesystem"]),
    (
        "PersistentVolumeClaimStatus.accessModes",
        &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"],
    ),
    ("PersistentVolumeClaimStatus.phase", &["Bound", "Lost", "Pending"]),
    ("PersistentVolumeSpec.accessModes", &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]),
    ("PersistentVolumeSpec.persistentVolumeReclaimPolicy", &["Delete", "Recycle", "Retain"]),
    ("PersistentVolumeSpec.volumeMode", &["Block", "Filesystem"]),
    ("PersistentVolumeStatus.phase", &["Available", "Bound", "Failed", "Pending", "Released"]),
    ("PodSecurityContext.fsGroupChangePolicy", &["Always", "OnRootMismatch"]),
    ("PodSecurityContext.supplementalGroupsPolicy", &["Merge", "Strict"]),
    ("PodSpec.dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ("PodSpec.preemptionPolicy", &["Never", "PreemptLowerPriority"]),
    ("PodSpec.restartPolicy", &["Always", "Never", "OnFailure"]),
    ("PodStatus.phase", &["Failed", "Pending", "Running", "Succeeded", "Unknown"]),
    ("PodStatus.qosClass", &["BestEffort", "Burstable", "Guaranteed"]),
    ("PortStatus.protocol", &["SCTP", "TCP", "UDP"]),
    ("PriorityClass.preemptionPolicy", &["Never", "PreemptLowerPriority"]),
    (
        "ResourceQuotaSpec.scopes",
        &["BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating"],
    ),
    ("ScopedResourceSelectorRequirement.operator", &["DoesNotExist", "Exists", "In", "NotIn"]),
    (
        "ScopedResourceSelectorRequirement.scopeName",
        &["BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating"],
    ),
    ("SeccompProfile.type", &["Localhost", "RuntimeDefault", "Unconfined"]),
    ("SecurityContext.procMount", &["Default", "Unmasked"]),
    ("ServicePort.protocol", &["SCTP", "TCP", "UDP"]),
    ("ServiceSpec.externalTrafficPolicy", &["Cluster", "Local"]),
    ("ServiceSpec.internalTrafficPolicy", &["Cluster", "Local"]),
    ("ServiceSpec.ipFamilies", &["IPv4", "IPv6"]),
    ("ServiceSpec.ipFamilyPolicy", &["PreferDualStack", "RequireDualStack", "SingleStack"]),
    ("ServiceSpec.sessionAffinity", &["ClientIP", "None"]),
    ("ServiceSpec.type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
    ("StorageClass.reclaimPolicy", &["Delete", "Recycle", "Retain"]),
    ("StorageClass.volumeBindingMode", &["Immediate", "WaitForFirstConsumer"]),
    ("Taint.effect", &["NoExecute", "NoSchedule", "PreferNoSchedule"]),
    ("Toleration.effect", &["NoExecute", "NoSchedule", "PreferNoSchedule"]),
    ("Toleration.operator", &["Equal", "Exists"]),
    ("TopologySpreadConstraint.nodeAffinityPolicy", &["Honor", "Ignore"]),
    ("TopologySpreadConstraint.nodeTaintsPolicy", &["Honor", "Ignore"]),
    ("TopologySpreadConstraint.whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]),
    ("VolumeMount.mountPropagation", &["Bidirectional", "HostToContainer", "None"]),
    ("EndpointSlice.addressType", &["FQDN", "IPv4", "IPv6"]),
];

/// The values of a field, if only some are allowed.
pub(super) fn values(go_type: &str, field: &str) -> Option<&'static [&'static str]> {
    let key = format!("{go_type}.{field}");
    ENUMS.iter().find(|(name, _)| *name == key).map(|(_, values)| *values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn the_table_names_real_fields() {
        for (name, values) in ENUMS {
            let (kind, field) = name.split_once('.').unwrap();
            let mut objects = schema::components().keys().filter(|schema| schema::go_name(schema) == kind);
            assert!(
                objects.any(|schema| schema::object(schema).is_some_and(|object| object.fields.contains_key(field))),
                "{name}"
            );
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{name}");
        }
    }
}
