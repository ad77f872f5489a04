//! The group metrics.k8s.io, v1beta1: what `kubectl top` asks. Nothing is stored; the server measures.

use super::{Resource, Storage, TEMPLATE, verbs};

const GROUP: &str = "metrics.k8s.io";

pub(super) fn resources() -> Vec<Resource> {
    vec![
        Resource {
            group: GROUP,
            version: "v1beta1",
            kind: "NodeMetrics",
            plural: "nodes",
            namespaced: false,
            verbs: verbs::READ,
            schema: "io.k8s.metrics.pkg.apis.metrics.v1beta1.NodeMetrics",
            storage: Storage::None,
            ..TEMPLATE
        },
        Resource {
            group: GROUP,
            version: "v1beta1",
            kind: "PodMetrics",
            plural: "pods",
            verbs: verbs::READ,
            schema: "io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics",
            storage: Storage::None,
            ..TEMPLATE
        },
    ]
}
