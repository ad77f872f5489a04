//! The group storage.k8s.io, v1.

use super::rows::volume;
use super::{Resource, TEMPLATE};
use crate::{defaults, validation};

pub(super) fn resources() -> Vec<Resource> {
    vec![Resource {
        group: "storage.k8s.io",
        kind: "StorageClass",
        plural: "storageclasses",
        singular: "storageclass",
        short_names: &["sc"],
        namespaced: false,
        columns: volume::CLASS_COLUMNS,
        row: volume::class,
        default: defaults::volume::class,
        validate: validation::persistent::class,
        schema: "io.k8s.api.storage.v1.StorageClass",
        ..TEMPLATE
    }]
}
