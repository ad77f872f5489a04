//! Rows of ConfigMaps, Secrets, ServiceAccounts, Leases and Pod templates.

use jiff::Timestamp;
use serde_json::Value;

use crate::json::{at, entries, list, text};
use crate::registry::cells::{self, AGE, NAME, column};
use crate::registry::{Column, Doc};

pub(in crate::registry) const CONFIG_MAP_COLUMNS: &[Column] =
    &[NAME, column("Data", Doc::Field("io.k8s.api.core.v1.ConfigMap", "data")), AGE];

pub(in crate::registry) fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = entries(object, &["data"]).count() + entries(object, &["binaryData"]).count();
    vec![cells::name(object), count.into(), cells::age(object, now)]
}

pub(in crate::registry) const SECRET_COLUMNS: &[Column] = &[
    NAME,
    column("Type", Doc::Field("io.k8s.api.core.v1.Secret", "type")),
    column("Data", Doc::Field("io.k8s.api.core.v1.Secret", "data")),
    AGE,
];

pub(in crate::registry) fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = entries(object, &["data"]).count();
    vec![cells::name(object), text(object, &["type"]).into(), count.into(), cells::age(object, now)]
}

pub(in crate::registry) const SERVICE_ACCOUNT_COLUMNS: &[Column] =
    &[NAME, column("Secrets", Doc::Field("io.k8s.api.core.v1.ServiceAccount", "secrets")), AGE];

pub(in crate::registry) fn service_account(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![cells::name(object), list(object, &["secrets"]).len().into(), cells::age(object, now)]
}

pub(in crate::registry) const LEASE_COLUMNS: &[Column] =
    &[NAME, column("Holder", Doc::Field("io.k8s.api.coordination.v1.LeaseSpec", "holderIdentity")), AGE];

pub(in crate::registry) fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![cells::name(object), text(object, &["spec", "holderIdentity"]).into(), cells::age(object, now)]
}

pub(in crate::registry) const POD_TEMPLATE_COLUMNS: &[Column] = &[
    NAME,
    column("Containers", Doc::Text("Names of each container in the template.")),
    column("Images", Doc::Text("Images referenced by each container in the template.")),
    column("Pod Labels", Doc::Text("The labels for the pod template.")),
];

pub(in crate::registry) fn pod_template(object: &Value, _: Timestamp) -> Vec<Value> {
    let [names, images] = cells::containers(at(object, &["template", "spec"]));
    vec![cells::name(object), names, images, cells::labels(object, &["template", "metadata", "labels"]).into()]
}
