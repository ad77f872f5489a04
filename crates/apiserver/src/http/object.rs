//! What the server reads and writes in every object, whatever its kind.

use podlab_api::error::ApiError;
use podlab_api::registry::{self, Resource, Storage};
use serde_json::{Map, Value};

use super::Target;
use crate::store::{GroupResource, Key, WriteError};

/// Where the objects of a resource lie. Both groups of events share one place.
pub(crate) fn place(resource: &Resource) -> GroupResource {
    match resource.storage {
        Storage::CoreEvents => GroupResource { group: "", resource: "events" },
        Storage::Own | Storage::None => GroupResource { group: resource.group, resource: resource.plural },
    }
}

/// Where the objects of a core resource lie.
pub(crate) fn place_of(resource: &'static str) -> GroupResource {
    GroupResource { group: "", resource }
}

pub(crate) fn key_of(target: &Target) -> Key {
    Key::new(place(target.resource), target.namespace(), target.name())
}

/// The part of a stored object of `resource` that selectors look at: names, labels, and what a field selector may name.
pub(crate) fn projection(resource: &Resource, object: &Value) -> Value {
    // It is kept with the object, whoever asked first: both groups of events need the same.
    let core_events = || registry::find("", "v1", "events").unwrap_or(resource);
    let resource = if resource.storage == Storage::CoreEvents { core_events() } else { resource };
    // Fields whose value is found elsewhere (podlab_api::selector::field_value).
    const BESIDES: [&str; 4] = ["status.podIPs", "source.component", "reportingComponent", "metadata.labels"];
    let mut projection = Value::Object(Map::new());
    let paths = ["metadata.name", "metadata.namespace"].iter().chain(&BESIDES).chain(resource.selectable_fields);
    for path in paths {
        copy(object, path, &mut projection);
    }
    projection
}

fn copy(from: &Value, path: &str, to: &mut Value) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let (Some(value), Some(fields)) = (from.get(name), to.as_object_mut()) else { return };
    match rest {
        None => {
            fields.insert(name.to_owned(), value.clone());
        }
        Some(rest) => copy(value, rest, fields.entry(name).or_insert_with(|| Value::Object(Map::new()))),
    }
}

/// A string of `metadata`, empty when absent.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"][name].as_str().unwrap_or_default()
}

/// `metadata`, made when missing. An object that went through decoding is always a map.
pub(crate) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(Map::new());
    }
    match &mut object["metadata"] {
        Value::Object(metadata) => metadata,
        _ => unreachable!("it has just been made one"),
    }
}

/// A stamp as objects carry it: whole seconds, UTC.
pub(crate) fn stamp(time: jiff::Timestamp) -> String {
    format!("{time:.0}")
}

pub(crate) fn not_found(resource: &Resource, name: &str) -> ApiError {
    ApiError::NotFound { group: resource.group.into(), plural: resource.plural.into(), name: name.into() }
}

pub(crate) fn forbidden(resource: &Resource, name: &str, message: impl Into<String>) -> ApiError {
    ApiError::Forbidden {
        group: resource.group.into(),
        plural: resource.plural.into(),
        name: name.into(),
        message: message.into(),
    }
}

pub(crate) fn conflict(resource: &Resource, name: &str, message: impl Into<String>) -> ApiError {
    ApiError::Conflict {
        group: resource.group.into(),
        plural: resource.plural.into(),
        name: name.into(),
        message: message.into(),
    }
}

/// What a refused write means to the client.
pub(crate) fn write_error(resource: &Resource, name: &str, error: WriteError) -> ApiError {
    match error {
        WriteError::Exists => {
            ApiError::AlreadyExists { group: resource.group.into(), plural: resource.plural.into(), name: name.into() }
        }
        WriteError::NotFound => not_found(resource, name),
        WriteError::Conflict { .. } => conflict(resource, name, ApiError::MODIFIED),
        WriteError::TooLarge => ApiError::TooLarge(error.to_string()),
        WriteError::Unwritable(_) => ApiError::Internal(error.to_string()),
        WriteError::Closed => ApiError::Unavailable("the server is shutting down".into()),
    }
}
