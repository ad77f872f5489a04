//! Tables, and objects reduced to their metadata: the views that `kubectl get` and controllers ask for.

use podlab_api::registry::{Resource, Storage};
use serde_json::{Map, Value, json};

use super::Call;
use super::negotiate::MetaVersion;
use crate::server::Server;

/// What a row carries besides its cells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Include {
    Nothing,
    Metadata,
    Object,
}

/// What of a request decides how its tables look.
#[derive(Clone)]
pub(super) struct Options {
    resource: &'static Resource,
    include: Include,
    server: Server,
}

impl Options {
    pub(super) fn of(call: &Call, resource: &'static Resource) -> Self {
        let include = match call.query.given("includeObject") {
            Some("None") => Include::Nothing,
            Some("Object") => Include::Object,
            _ => Include::Metadata,
        };
        Self { resource, include, server: call.server.clone() }
    }

    pub(super) fn start(&self, version: MetaVersion) -> Table {
        let now = self.server.now();
        Table { resource: self.resource, version, include: self.include, now, rows: Vec::new() }
    }
}

/// A table under construction.
pub(super) struct Table {
    resource: &'static Resource,
    version: MetaVersion,
    include: Include,
    now: jiff::Timestamp,
    rows: Vec<Value>,
}

impl Table {
    pub(super) fn new(call: &Call, resource: &'static Resource, version: MetaVersion) -> Self {
        Options::of(call, resource).start(version)
    }

    pub(super) fn push(&mut self, object: &Value) {
        let cells = (self.resource.row)(object, self.now);
        let object = match self.include {
            Include::Nothing => Value::Null,
            Include::Metadata => partial(self.version, object),
            Include::Object => object.clone(),
        };
        self.rows.push(json!({"cells": cells, "object": object}));
    }

    /// The table, with the metadata of the list.
    pub(super) fn finish(self, metadata: &Value) -> Value {
        self.build(metadata, true)
    }

    /// The table of one event of a watch: only the first needs the columns.
    pub(super) fn event(self, metadata: &Value, columns: bool) -> Value {
        self.build(metadata, columns)
    }

    fn build(self, metadata: &Value, columns: bool) -> Value {
        let columns: Vec<Value> = self
            .resource
            .columns
            .iter()
            .filter(|_| columns)
            .map(|column| {
                json!({
                    "name": column.name,
                    "type": column.kind,
                    "format": column.format,
                    "description": column.description(),
                    "priority": column.priority,
                })
            })
            .collect();
        let columns = if columns.is_empty() { Value::Null } else { columns.into() };
        json!({
            "kind": "Table",
            "apiVersion": self.version.api_version(),
            "metadata": metadata,
            "columnDefinitions": columns,
            "rows": self.rows,
        })
    }
}

/// The metadata of an object as an object of its own.
pub(super) fn partial(version: MetaVersion, object: &Value) -> Value {
    let mut partial = Map::new();
    partial.insert("kind".into(), "PartialObjectMetadata".into());
    partial.insert("apiVersion".into(), version.api_version().into());
    partial.insert("metadata".into(), object["metadata"].clone());
    Value::Object(partial)
}

/// Whether an object of this resource is told as it lies in the store.
pub(super) fn as_stored(resource: &Resource) -> bool {
    resource.storage != Storage::CoreEvents
}

/// An object of the store as this resource tells it.
pub(super) fn converted(resource: &Resource, object: Value) -> Value {
    if as_stored(resource) { object } else { podlab_api::events::from_core(object) }
}

/// The other way round: how an object that was told by this resource lies in the store.
pub(super) fn stored(resource: &Resource, object: Value) -> Value {
    if as_stored(resource) { object } else { podlab_api::events::to_core(object) }
}
