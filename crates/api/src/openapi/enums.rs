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

/// What the values of some enumerations mean, as the comments upstream say it; the others' values speak for themselves.
/// An enumeration is known by its values.
const MEANINGS: &[(&[&str], &[&str])] = &[
    (
        &["Always", "IfNotPresent", "Never"],
        &[
            "means that kubelet always attempts to pull the latest image. Container will fail If the pull fails.",
            "means that kubelet pulls if the image isn't present on disk. Container will fail if the image isn't present \
             and the pull fails.",
            "means that kubelet never pulls an image, but only uses a local image. Container will fail if the image isn't \
             present",
        ],
    ),
    (
        &["FallbackToLogsOnError", "File"],
        &[
            "will read the most recent contents of the container logs for the container status message when the container \
             exits with an error and the terminationMessagePath has no contents.",
            "is the default behavior and will set the container status message to the contents of the container's \
             terminationMessagePath when the container exits.",
        ],
    ),
    (&["SCTP", "TCP", "UDP"], &["is the SCTP protocol.", "is the TCP protocol.", "is the UDP protocol."]),
    (
        &["HTTP", "HTTPS"],
        &["means that the scheme used will be http://", "means that the scheme used will be https://"],
    ),
    (
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        &[
            "indicates that the pod should use cluster DNS first unless hostNetwork is true, if it is available, then \
             fall back on the default (as determined by kubelet) DNS settings.",
            "indicates that the pod should use cluster DNS first, if it is available, then fall back on the default (as \
             determined by kubelet) DNS settings.",
            "indicates that the pod should use the default (as determined by kubelet) DNS settings.",
            "indicates that the pod should use empty DNS settings. DNS parameters such as nameservers and search paths \
             should be defined via DNSConfig.",
        ],
    ),
    (
        &["Never", "PreemptLowerPriority"],
        &[
            "means that pod never preempts other pods with lower priority.",
            "means that pod can preempt other pods with lower priority.",
        ],
    ),
    (
        &["Recreate", "RollingUpdate"],
        &[
            "Kill all existing pods before creating new ones.",
            "Replace the old ReplicaSets by new one using rolling update i.e gradually scale down the old ReplicaSets and \
             scale up the new one.",
        ],
    ),
    (
        &["NoExecute", "NoSchedule", "PreferNoSchedule"],
        &[
            "Evict any already-running pods that do not tolerate the taint. Currently enforced by NodeController.",
            "Do not allow new pods to schedule onto the node unless they tolerate the taint, but allow all pods submitted \
             to Kubelet without going through the scheduler to start, and allow all already-running pods to continue \
             running. Enforced by the scheduler.",
            "Like TaintEffectNoSchedule, but the scheduler tries not to schedule new pods onto the node, rather than \
             prohibiting new pods from scheduling onto the node entirely. Enforced by the scheduler.",
        ],
    ),
    (
        &["DoNotSchedule", "ScheduleAnyway"],
        &[
            "instructs the scheduler not to schedule the pod when constraints are not satisfied.",
            "instructs the scheduler to schedule the pod even if constraints are not satisfied.",
        ],
    ),
    (
        &["Honor", "Ignore"],
        &[
            "means use this scheduling directive when calculating pod topology spread skew.",
            "means ignore this scheduling directive when calculating pod topology spread skew.",
        ],
    ),
    (
        &["Failed", "Pending", "Running", "Succeeded", "Unknown"],
        &[
            "means that all containers in the pod have terminated, and at least one container has terminated in a failure \
             (exited with a non-zero exit code or was stopped by the system).",
            "means the pod has been accepted by the system, but one or more of the containers has not been started. This \
             includes time before being bound to a node, as well as time spent pulling images onto the host.",
            "means the pod has been bound to a node and all of the containers have been started. At least one container \
             is still running or is in the process of being restarted.",
            "means that all containers in the pod have voluntarily terminated with a container exit code of 0, and the \
             system is not going to restart any of these containers.",
            "means that for some reason the state of the pod could not be obtained, typically due to an error in \
             communicating with the host of the pod. Deprecated: It isn't being set since 2015 \
             (74da3b14b0c0f658b3bb8d2def5094686d0e9095)",
        ],
    ),
    (
        &["BestEffort", "Burstable", "Guaranteed"],
        &["is the BestEffort qos class.", "is the Burstable qos class.", "is the Guaranteed qos class."],
    ),
    (
        &["Delete", "Recycle", "Retain"],
        &[
            "means the volume will be deleted from Kubernetes on release from its claim. The volume plugin must support \
             Deletion.",
            "means the volume will be recycled back into the pool of unbound persistent volumes on release from its claim. \
             The volume plugin must support Recycling.",
            "means the volume will be left in its current phase (Released) for manual reclamation by the administrator. \
             The default policy is Retain.",
        ],
    ),
    (
        &["Block", "Filesystem"],
        &[
            "means the volume will not be formatted with a filesystem and will remain a raw block device.",
            "means the volume will be or is formatted with a filesystem.",
        ],
    ),
];

/// What the description of a field says of its values, after all else.
pub(super) fn description(values: &[&str]) -> String {
    let meanings = MEANINGS.iter().find(|(known, _)| *known == values).map_or(&[][..], |(_, meanings)| meanings);
    let mut text = String::from("\n\nPossible enum values:");
    for (index, value) in values.iter().enumerate() {
        text.push_str(&format!("\n - `{value:?}`"));
        if let Some(meaning) = meanings.get(index) {
            text.push_str(&format!(" {meaning}"));
        }
    }
    text
}

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
        for (values, meanings) in MEANINGS {
            assert_eq!(values.len(), meanings.len(), "{values:?}");
            assert!(ENUMS.iter().any(|(_, known)| known == values), "{values:?}");
        }
    }

    /// Golden 370.
    #[test]
    fn values_are_described_with_what_is_known_of_them() {
        assert_eq!(
            description(&["Always", "Never", "OnFailure"]),
            "\n\nPossible enum values:\n - `\"Always\"`\n - `\"Never\"`\n - `\"OnFailure\"`"
        );
        assert!(
            description(&["HTTP", "HTTPS"]).ends_with("\n - `\"HTTPS\"` means that the scheme used will be https://")
        );
    }
}
