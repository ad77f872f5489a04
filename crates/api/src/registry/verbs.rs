//! What can be done with a resource, in the order discovery prints it.

use super::Subresource;

pub(super) const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Namespaces cannot be deleted in bulk.
pub(super) const NO_COLLECTION: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];

pub(super) const CREATE: &[&str] = &["create"];
pub(super) const GET: &[&str] = &["get"];
pub(super) const UPDATE: &[&str] = &["update"];
pub(super) const READ: &[&str] = &["get", "list"];
pub(super) const STREAM: &[&str] = &["create", "get"];
pub(super) const CHANGE: &[&str] = &["get", "patch", "update"];
pub(super) const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];

/// A subresource of the parent's group.
pub(super) const fn part(name: &'static str, kind: &'static str, verbs: &'static [&'static str]) -> Subresource {
    Subresource { name, kind, group: "", version: "", verbs }
}

/// `status`, of the parent's kind.
pub(super) const fn status(kind: &'static str) -> Subresource {
    part("status", kind, CHANGE)
}

/// `scale`.
pub(super) const SCALE: Subresource =
    Subresource { name: "scale", kind: "Scale", group: "autoscaling", version: "v1", verbs: CHANGE };
