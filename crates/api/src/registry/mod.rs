//! One registry of resources: routes, discovery, OpenAPI, tables and what the built-in `kubectl` knows all come from it.
//!
//! A kind is added in one place: an entry here, in the file of its group.

use serde_json::Value;

use crate::error::{ApiError, FieldError};

/// A kind of object and everything the parts around it need to know.
pub struct Resource {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    /// `all` makes it part of `kubectl get all`.
    pub categories: &'static [&'static str],
    pub namespaced: bool,
    /// In the order discovery prints them.
    pub verbs: &'static [&'static str],
    pub subresources: &'static [Subresource],
    /// Fields besides `metadata.name` and `metadata.namespace` that a field selector may name.
    pub selectable_fields: &'static [&'static str],
    pub columns: &'static [Column],
    /// The cells of an object's row, one a column. `now` is what ages are computed from.
    pub row: fn(object: &Value, now: jiff::Timestamp) -> Vec<Value>,
    /// Decodes into the typed object and back: wrong types are an error, unknown fields are reported.
    pub decode: fn(object: Value) -> Result<Decoded, ApiError>,
    /// Fills in what the writer left open (k8s.io/kubernetes/pkg/apis/*/v1/defaults.go).
    pub default: fn(object: &mut Value),
    /// Clears or sets what the writer may not (k8s.io/kubernetes/pkg/registry/*/strategy.go): status on create, say.
    pub prepare: fn(object: &mut Value, old: Option<&Value>, subresource: Option<&str>),
    /// All findings at once, in the real server's order.
    pub validate: fn(object: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError>,
    /// The name of its schema: `io.k8s.api.core.v1.Pod`.
    pub schema: &'static str,
}

/// A part of an object with a route of its own.
pub struct Subresource {
    pub name: &'static str,
    /// As discovery tells it; differs from the parent's for `scale`, `binding`, `eviction`, `token`.
    pub kind: &'static str,
    pub group: &'static str,
    pub version: &'static str,
    pub verbs: &'static [&'static str],
}

/// A column of the table that `kubectl get` prints.
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `date`.
    pub kind: &'static str,
    pub format: &'static str,
    pub description: &'static str,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: i32,
}

/// An object that went through its type, and the fields its type does not have.
pub struct Decoded {
    pub object: Value,
    /// Paths as the real server prints them, sorted: `spec.containers[0].resouces`.
    pub unknown_fields: Vec<String>,
}

/// Every resource the server has.
pub fn all() -> &'static [Resource] {
    &[]
}
