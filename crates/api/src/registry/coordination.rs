//! The group coordination.k8s.io, v1: the nodes' heartbeats.

use super::rows::config;
use super::{Resource, TEMPLATE};
use crate::validation;

pub(super) fn resources() -> Vec<Resource> {
    vec![Resource {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        singular: "lease",
        columns: config::LEASE_COLUMNS,
        row: config::lease,
        validate: validation::config::lease,
        schema: "io.k8s.api.coordination.v1.Lease",
        ..TEMPLATE
    }]
}
