//! The group apps, v1.

use super::rows::workload;
use super::verbs::{SCALE, status};
use super::{Resource, TEMPLATE};
use crate::{defaults, prepare, validation};

pub(super) fn resources() -> Vec<Resource> {
    vec![
        Resource {
            group: "apps",
            kind: "Deployment",
            plural: "deployments",
            singular: "deployment",
            short_names: &["deploy"],
            categories: &["all"],
            subresources: const { &[SCALE, status("Deployment")] },
            columns: workload::DEPLOYMENT_COLUMNS,
            row: workload::deployment,
            default: defaults::workload::deployment,
            prepare: prepare::workload,
            validate: validation::workload::deployment,
            schema: "io.k8s.api.apps.v1.Deployment",
            ..TEMPLATE
        },
        Resource {
            group: "apps",
            kind: "ReplicaSet",
            plural: "replicasets",
            singular: "replicaset",
            short_names: &["rs"],
            categories: &["all"],
            subresources: const { &[SCALE, status("ReplicaSet")] },
            selectable_fields: &["status.replicas"],
            columns: workload::REPLICA_SET_COLUMNS,
            row: workload::replica_set,
            default: defaults::workload::replica_set,
            prepare: prepare::workload,
            validate: validation::workload::replica_set,
            schema: "io.k8s.api.apps.v1.ReplicaSet",
            ..TEMPLATE
        },
    ]
}
