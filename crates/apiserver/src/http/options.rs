//! The options that lists and watches share (metav1.ListOptions).

use podlab_api::error::ApiError;
use podlab_api::events;
use podlab_api::selector::{FieldSelector, LabelSelector};

use super::object::{place, projection};
use super::{Call, Target, table};
use crate::store::{GroupResource, Object};

/// Which objects a list or a watch is about.
pub(crate) struct Filter {
    target: Target,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Filter {
    /// # Errors
    /// When a selector cannot be read, or names a field that cannot be selected by.
    pub(crate) fn of(call: &Call, target: &Target) -> Result<Self, ApiError> {
        let labels =
            LabelSelector::parse(call.query.text("labelSelector").unwrap_or_default()).map_err(ApiError::BadRequest)?;
        let fields =
            FieldSelector::parse(call.query.text("fieldSelector").unwrap_or_default()).map_err(ApiError::BadRequest)?;
        fields.check(target.resource)?;
        // Selection looks at what is stored.
        let fields = if table::as_stored(target.resource) { fields } else { fields.renamed(events::core_field) };
        Ok(Self { target: target.clone(), labels, fields })
    }

    /// Whether everything passes.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn place(&self) -> GroupResource {
        place(self.target.resource)
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.target.namespace.as_deref()
    }

    /// The one name that can pass, when there is such a term: nothing else need be looked at.
    pub(crate) fn single_name(&self) -> Option<&str> {
        self.fields.required("metadata.name")
    }

    pub(crate) fn passes(&self, object: &Object) -> bool {
        if self.is_empty() {
            return true;
        }
        let projection = object.projection(|value| projection(self.target.resource, value));
        self.labels.matches(&projection["metadata"]["labels"]) && self.fields.matches(projection)
    }
}
