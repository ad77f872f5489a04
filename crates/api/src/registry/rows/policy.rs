//! Rows of quotas, limit ranges and priority classes.

use jiff::Timestamp;
use serde_json::Value;

use crate::json::{at, entries, integer, text, truth};
use crate::registry::cells::{self, AGE, NAME, column, number};
use crate::registry::{Column, Doc};

pub(in crate::registry) const QUOTA_COLUMNS: &[Column] = &[
    NAME,
    AGE,
    column("Request", Doc::Text("Request represents a minimum amount of cpu/memory that a container may consume.")),
    column(
        "Limit",
        Doc::Text(
            "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
        ),
    ),
];

/// Golden 358: `pods: 1/1, requests.cpu: 100m/1`, limits apart.
pub(in crate::registry) fn quota(quota: &Value, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in entries(quota, &["status", "hard"]) {
        let used = at(quota, &["status", "used", resource]).as_str().unwrap_or("0");
        let cell = format!("{resource}: {used}/{}", hard.as_str().unwrap_or_default());
        if resource.starts_with("limits") { limits.push(cell) } else { requests.push(cell) }
    }
    vec![cells::name(quota), cells::age(quota, now), requests.join(", ").into(), limits.join(", ").into()]
}

pub(in crate::registry) const LIMIT_RANGE_COLUMNS: &[Column] =
    &[NAME, column("Created At", Doc::Field("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "creationTimestamp"))];

pub(in crate::registry) fn limit_range(object: &Value, _: Timestamp) -> Vec<Value> {
    vec![cells::name(object), text(object, &["metadata", "creationTimestamp"]).into()]
}

const PRIORITY_CLASS: &str = "io.k8s.api.scheduling.v1.PriorityClass";

pub(in crate::registry) const PRIORITY_CLASS_COLUMNS: &[Column] = &[
    NAME,
    number("Value", Doc::Field(PRIORITY_CLASS, "value")),
    Column {
        name: "Global-Default",
        kind: "boolean",
        format: "",
        doc: Doc::Field(PRIORITY_CLASS, "globalDefault"),
        priority: 0,
    },
    AGE,
    column("PreemptionPolicy", Doc::Field(PRIORITY_CLASS, "preemptionPolicy")),
];

pub(in crate::registry) fn priority_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        cells::name(object),
        integer(object, &["value"]).into(),
        truth(object, &["globalDefault"]).into(),
        cells::age(object, now),
        text(object, &["preemptionPolicy"]).into(),
    ]
}
