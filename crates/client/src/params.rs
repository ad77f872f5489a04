//! What may be said with a request besides the object.

use crate::path::Path;

/// Which objects of a collection to list or watch, and from when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// `app=web,tier!=db`.
    pub label_selector: Option<String>,
    /// `spec.nodeName=node1`.
    pub field_selector: Option<String>,
    /// At most this many objects in one answer; the rest with `continue_token`.
    pub limit: Option<u32>,
    pub continue_token: Option<String>,
    /// Watch: events after this revision.
    pub resource_version: Option<String>,
    /// Watch: the server ends it after this many seconds.
    pub timeout_seconds: Option<u32>,
}

impl ListOptions {
    /// Only objects whose labels match.
    #[must_use]
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.label_selector = Some(selector.into());
        self
    }

    /// Only objects whose fields match.
    #[must_use]
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.field_selector = Some(selector.into());
        self
    }

    pub(crate) fn apply(&self, path: Path) -> Path {
        let limit = self.limit.map(|limit| limit.to_string());
        let timeout = self.timeout_seconds.map(|seconds| seconds.to_string());
        [
            ("labelSelector", self.label_selector.as_deref()),
            ("fieldSelector", self.field_selector.as_deref()),
            ("limit", limit.as_deref()),
            ("continue", self.continue_token.as_deref()),
            ("resourceVersion", self.resource_version.as_deref()),
            ("timeoutSeconds", timeout.as_deref()),
        ]
        .into_iter()
        .fold(path, |path, (name, value)| match value {
            Some(value) => path.query(name, value),
            None => path,
        })
    }
}

/// A change to an object, in one of the three patch languages the server speaks.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 6902: a list of operations.
    Json(serde_json::Value),
    /// RFC 7386: a partial object; lists are replaced as a whole.
    Merge(serde_json::Value),
    /// A partial object whose lists are merged by their keys, as the type says (container by name, say).
    Strategic(serde_json::Value),
}

impl Patch {
    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Patch::Json(_) => "application/json-patch+json",
            Patch::Merge(_) => "application/merge-patch+json",
            Patch::Strategic(_) => "application/strategic-merge-patch+json",
        }
    }

    pub(crate) fn body(&self) -> &serde_json::Value {
        match self {
            Patch::Json(value) | Patch::Merge(value) | Patch::Strategic(value) => value,
        }
    }
}

/// What becomes of the objects that the deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Deleted afterwards, by the garbage collector.
    Background,
    /// Deleted first; the owner stays until they are gone.
    Foreground,
    /// Kept, without an owner.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// `Some(0)` removes the object at once; `None` takes what the object says.
    pub grace_period_seconds: Option<i64>,
    pub propagation: Option<Propagation>,
    /// Delete only the object of this uid, not a namesake that came after it.
    pub uid: Option<String>,
    /// Delete only if unchanged since this revision.
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// Only the object of this uid.
    #[must_use]
    pub fn of_uid(uid: impl Into<String>) -> Self {
        DeleteOptions { uid: Some(uid.into()), ..DeleteOptions::default() }
    }

    /// With this grace period.
    #[must_use]
    pub fn grace(mut self, seconds: i64) -> Self {
        self.grace_period_seconds = Some(seconds);
        self
    }

    /// With this propagation.
    #[must_use]
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = Some(propagation);
        self
    }

    pub(crate) fn body(&self) -> serde_json::Value {
        let mut body = serde_json::json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
        if let Some(seconds) = self.grace_period_seconds {
            body["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(propagation) = self.propagation {
            body["propagationPolicy"] = format!("{propagation:?}").into();
        }
        if let Some(uid) = &self.uid {
            body["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(version) = &self.resource_version {
            body["preconditions"]["resourceVersion"] = version.as_str().into();
        }
        body
    }
}
