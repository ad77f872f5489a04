//! The group discovery.k8s.io, v1.

use super::rows::service;
use super::{Resource, TEMPLATE};
use crate::{defaults, prepare};

pub(super) fn resources() -> Vec<Resource> {
    vec![Resource {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        plural: "endpointslices",
        singular: "endpointslice",
        columns: service::ENDPOINT_SLICE_COLUMNS,
        row: service::endpoint_slice,
        default: defaults::service::endpoint_slice,
        prepare: prepare::generation,
        schema: "io.k8s.api.discovery.v1.EndpointSlice",
        ..TEMPLATE
    }]
}
