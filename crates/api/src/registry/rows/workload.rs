//! Rows of Deployments and ReplicaSets.

use jiff::Timestamp;
use serde_json::Value;

use crate::json::{at, integer};
use crate::registry::cells::{self, AGE, NAME, column, number, wide};
use crate::registry::{Column, Doc};

const DEPLOYMENT_STATUS: &str = "io.k8s.api.apps.v1.DeploymentStatus";
const REPLICA_SET_STATUS: &str = "io.k8s.api.apps.v1.ReplicaSetStatus";
const CONTAINERS: Column = wide("Containers", Doc::Text("Names of each container in the template."));
const IMAGES: Column = wide("Images", Doc::Text("Images referenced by each container in the template."));

pub(in crate::registry) const DEPLOYMENT_COLUMNS: &[Column] = &[
    NAME,
    column("Ready", Doc::Text("Number of the pod with ready state")),
    number("Up-to-date", Doc::Field(DEPLOYMENT_STATUS, "updatedReplicas")),
    number("Available", Doc::Field(DEPLOYMENT_STATUS, "availableReplicas")),
    AGE,
    CONTAINERS,
    IMAGES,
    wide("Selector", Doc::Field("io.k8s.api.apps.v1.DeploymentSpec", "selector")),
];

pub(in crate::registry) fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = |key: &str| integer(object, &["status", key]);
    let [names, images] = cells::containers(at(object, &["spec", "template", "spec"]));
    vec![
        cells::name(object),
        format!("{}/{}", status("readyReplicas"), integer(object, &["spec", "replicas"])).into(),
        status("updatedReplicas").into(),
        status("availableReplicas").into(),
        cells::age(object, now),
        names,
        images,
        cells::label_selector(at(object, &["spec", "selector"])).into(),
    ]
}

pub(in crate::registry) const REPLICA_SET_COLUMNS: &[Column] = &[
    NAME,
    number("Desired", Doc::Field("io.k8s.api.apps.v1.ReplicaSetSpec", "replicas")),
    number("Current", Doc::Field(REPLICA_SET_STATUS, "replicas")),
    number("Ready", Doc::Field(REPLICA_SET_STATUS, "readyReplicas")),
    AGE,
    CONTAINERS,
    IMAGES,
    wide("Selector", Doc::Field("io.k8s.api.apps.v1.ReplicaSetSpec", "selector")),
];

pub(in crate::registry) fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = cells::containers(at(object, &["spec", "template", "spec"]));
    vec![
        cells::name(object),
        integer(object, &["spec", "replicas"]).into(),
        integer(object, &["status", "replicas"]).into(),
        integer(object, &["status", "readyReplicas"]).into(),
        cells::age(object, now),
        names,
        images,
        cells::label_selector(at(object, &["spec", "selector"])).into(),
    ]
}
