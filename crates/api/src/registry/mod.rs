//! One registry of resources: routes, discovery, OpenAPI, tables and what the built-in `kubectl` knows all come from it.
//!
//! A kind is added in one place: an entry here, in the file of its group.

mod apps;
mod cells;
mod coordination;
mod core;
mod discovery;
mod events;
mod metrics;
mod review;
mod rows;
mod scheduling;
mod storage;
mod verbs;

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::error::FieldError;

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
    /// In the order discovery prints them.
    pub subresources: &'static [Subresource],
    /// Fields besides `metadata.name` and `metadata.namespace` that a field selector may name.
    pub selectable_fields: &'static [&'static str],
    pub columns: &'static [Column],
    /// The cells of an object's row, one a column. `now` is what ages are computed from.
    pub row: fn(object: &Value, now: jiff::Timestamp) -> Vec<Value>,
    /// Fills in what the writer left open (k8s.io/kubernetes/pkg/apis/*/v1/defaults.go).
    pub default: fn(object: &mut Value),
    /// Clears or sets what the writer may not (k8s.io/kubernetes/pkg/registry/*/strategy.go): status on create, say.
    /// Counts `metadata.generation` where the kind has one.
    pub prepare: fn(object: &mut Value, old: Option<&Value>, subresource: Option<&str>),
    /// All findings at once, in the real server's order.
    pub validate: fn(object: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError>,
    /// The name of its schema: `io.k8s.api.core.v1.Pod`.
    pub schema: &'static str,
    /// Where its objects lie.
    pub storage: Storage,
}

/// Where the objects of a resource lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the store, under the resource's own group and plural.
    Own,
    /// In the store, among the core events; [`crate::events`] converts.
    CoreEvents,
    /// Nowhere: a question that is answered by whoever serves it (reviews, bindings, metrics).
    None,
}

/// A part of an object with a route of its own.
pub struct Subresource {
    pub name: &'static str,
    /// As discovery tells it; differs from the parent's for `scale`, `binding`, `eviction`, `token`.
    pub kind: &'static str,
    /// Empty where it is the parent's.
    pub group: &'static str,
    /// Empty where it is the parent's.
    pub version: &'static str,
    pub verbs: &'static [&'static str],
}

/// A column of the table that `kubectl get` prints.
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `date`.
    pub kind: &'static str,
    pub format: &'static str,
    pub doc: Doc,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: i32,
}

/// Where the description of a column stands.
#[derive(Clone, Copy, Debug)]
pub enum Doc {
    /// Here.
    Text(&'static str),
    /// In the schema of a type, at a field.
    Field(&'static str, &'static str),
}

impl Column {
    /// What the column shows.
    #[must_use]
    pub fn description(&self) -> &'static str {
        match self.doc {
            Doc::Text(text) => text,
            Doc::Field(schema, field) => crate::schema::components()
                .get(schema)
                .and_then(|schema| schema.pointer(&format!("/properties/{field}/description")))
                .and_then(Value::as_str)
                .unwrap_or_default(),
        }
    }
}

static ALL: LazyLock<Vec<Resource>> = LazyLock::new(|| {
    // Groups in the order in which the real /apis lists them, resources in alphabetical order.
    let mut all = core::resources();
    all.extend(apps::resources());
    all.extend(events::resources());
    all.extend(review::resources());
    all.extend(storage::resources());
    all.extend(scheduling::resources());
    all.extend(coordination::resources());
    all.extend(discovery::resources());
    all.extend(metrics::resources());
    all
});

/// Every resource the server has, grouped, in the order of discovery.
#[must_use]
pub fn all() -> &'static [Resource] {
    &ALL
}

/// The resource at a path.
#[must_use]
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    all().iter().find(|resource| resource.plural == plural && resource.group == group && resource.version == version)
}

/// The resource of a kind.
#[must_use]
pub fn find_kind(group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
    all().iter().find(|resource| resource.kind == kind && resource.group == group && resource.version == version)
}

/// `v1`, or `apps/v1`.
#[must_use]
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Group and version of an `apiVersion`.
#[must_use]
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

impl Resource {
    /// `v1`, or `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }

    /// The kind of a list of these: `PodList`.
    #[must_use]
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// The subresource of this name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource>
    where
        Self: 'static,
    {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// `columnDefinitions` of the resource's Table.
    #[must_use]
    pub fn column_definitions(&self) -> Value {
        self.columns
            .iter()
            .map(|column| {
                json!({
                    "name": column.name,
                    "type": column.kind,
                    "format": column.format,
                    "description": column.description(),
                    "priority": column.priority,
                })
            })
            .collect()
    }

    /// Whether status has a route of its own, so that other writers cannot touch it.
    #[must_use]
    pub fn has_status(&self) -> bool {
        self.subresources.iter().any(|subresource| subresource.name == "status")
    }
}

impl Subresource {
    /// The schema of what is sent to it and comes back: `Scale`, `Binding`; the parent's where it has the same kind.
    #[must_use]
    pub fn schema(&self, parent: &Resource) -> &'static str {
        match self.kind {
            "Binding" => "io.k8s.api.core.v1.Binding",
            "Eviction" => "io.k8s.api.policy.v1.Eviction",
            "Scale" => "io.k8s.api.autoscaling.v1.Scale",
            "TokenRequest" => "io.k8s.api.authentication.v1.TokenRequest",
            _ => parent.schema,
        }
    }
}

/// What most entries leave as it is.
const TEMPLATE: Resource = Resource {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: verbs::ALL,
    subresources: &[],
    selectable_fields: &[],
    columns: cells::NAME_AND_AGE,
    row: cells::name_and_age,
    default: crate::defaults::nothing,
    prepare: crate::prepare::nothing,
    validate: crate::validation::metadata_only,
    schema: "",
    storage: Storage::Own,
};
