//! The group events.k8s.io, v1: another view of the core events.

use super::rows::event;
use super::{Resource, Storage, TEMPLATE};
use crate::validation;

pub(super) fn resources() -> Vec<Resource> {
    vec![Resource {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        selectable_fields: &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        columns: event::COLUMNS,
        row: |event, now| event::row(&crate::events::to_core(event.clone()), now),
        validate: validation::event::new_style,
        schema: "io.k8s.api.events.v1.Event",
        storage: Storage::CoreEvents,
        ..TEMPLATE
    }]
}
