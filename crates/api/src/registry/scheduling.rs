//! The group scheduling.k8s.io, v1.

use super::rows::policy;
use super::{Resource, TEMPLATE};
use crate::{defaults, prepare, validation};

pub(super) fn resources() -> Vec<Resource> {
    vec![Resource {
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        plural: "priorityclasses",
        singular: "priorityclass",
        short_names: &["pc"],
        namespaced: false,
        columns: policy::PRIORITY_CLASS_COLUMNS,
        row: policy::priority_class,
        default: defaults::policy::priority_class,
        prepare: prepare::generation,
        validate: validation::policy::priority_class,
        schema: "io.k8s.api.scheduling.v1.PriorityClass",
        ..TEMPLATE
    }]
}
