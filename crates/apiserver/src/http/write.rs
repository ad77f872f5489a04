//! POST and PUT, and the one way in which every change of an object goes, patches and subresources included.

use std::sync::Arc;

use http::{Response, StatusCode};
use podlab_api::error::ApiError;
use podlab_api::registry::Resource;
use serde_json::Value;

use super::negotiate::Accepted;
use super::object::{self, key_of, place, write_error};
use super::respond::{self, Shape};
use super::{Answer, Call, Target, manager, read, table};
use crate::admission::{self, Admission};
use crate::server::{Body, Server};
use crate::store::{Draft, Key, Object};

/// Names made from a `generateName` that may turn out to be taken.
const NAME_ATTEMPTS: usize = 8;
/// How often a change is made anew when somebody else wrote in between (and the client did not name a version).
const UPDATE_ATTEMPTS: usize = 16;

/// `dryRun=All`: everything happens but the write.
///
/// # Errors
/// For any other value.
pub(super) fn dry_run(call: &Call) -> Result<bool, ApiError> {
    match call.query.given("dryRun") {
        None => Ok(false),
        Some("All") => Ok(true),
        Some(other) => {
            Err(ApiError::BadRequest(format!("dryRun: Unsupported value: {other:?}: supported values: \"All\"")))
        }
    }
}

pub(super) async fn create(call: &mut Call, target: &Target) -> Answer {
    let accepted = Accepted::of(&call.parts.headers)?;
    let dry_run = dry_run(call)?;
    let (object, warnings) = call.decode(&target.resource.into()).await?;
    let mut made = make(call, target, object, dry_run).await?;
    made.warnings.splice(0..0, warnings);
    Ok(made.answer(call, target, accepted))
}

/// What a create came to.
struct Made {
    /// None for a dry run.
    stored: Option<Arc<Object>>,
    /// What would have been stored, for a dry run.
    value: Value,
    warnings: Vec<String>,
}

impl Made {
    fn answer(self, call: &Call, target: &Target, accepted: Accepted) -> Response<Body> {
        let shape = Shape::of(&call.parts);
        let mut response = match &self.stored {
            Some(object) => read::one(call, target, &shape, accepted, StatusCode::CREATED, object),
            None => {
                let value = table::converted(target.resource, self.value);
                read::whole(call, target, &shape, accepted, StatusCode::CREATED, value)
            }
        };
        respond::warn(&mut response, &self.warnings);
        response
    }
}

/// Creates an object that has been decoded: fills in, admits, checks, stores.
async fn make(call: &Call, target: &Target, object: Value, dry_run: bool) -> Result<Made, ApiError> {
    let resource = target.resource;
    let mut value = table::stored(resource, object);
    same_namespace(target, &mut value)?;
    let name = object::text(&value, "name").to_owned();
    let prefix = object::text(&value, "generateName").to_owned();
    let generated = name.is_empty() && !prefix.is_empty();
    if !object::text(&value, "resourceVersion").is_empty() {
        return Err(ApiError::BadRequest("resourceVersion should not be set on objects to be created".to_owned()));
    }
    birth(&call.server, &mut value);
    (resource.default)(&mut value);
    (resource.prepare)(&mut value, None, None);
    // Before admission: what that adds is nobody's.
    manager::record(call, target, None, None, &mut value);

    for attempt in 0..NAME_ATTEMPTS {
        if generated {
            object::metadata(&mut value).insert("name".into(), generate_name(&prefix).into());
        }
        let mut admission = Admission {
            server: &call.server,
            identity: &call.identity,
            resource,
            namespace: target.namespace(),
            warnings: Vec::new(),
        };
        admission::create(&mut admission, &mut value).await?;
        let errors = (resource.validate)(&value, None, None);
        let name = object::text(&value, "name").to_owned();
        if !errors.is_empty() {
            return Err(invalid(resource, &name, errors));
        }
        let allocation = admission::allocate(&admission, &mut value).await?;
        let charge = admission::charge(&admission, &value).await?;
        let warnings = admission.warnings;
        if dry_run {
            return Ok(Made { stored: None, value, warnings });
        }
        let key = Key::new(place(resource), target.namespace(), &name);
        match call.server.store().create(key, Draft::new(&value)).await {
            Ok(stored) => {
                drop(allocation);
                drop(charge);
                admission::settle(&call.server, settled(target)).await;
                return Ok(Made { stored: Some(stored), value, warnings });
            }
            Err(error) => {
                let taken = error == crate::store::WriteError::Exists;
                if !(generated && taken && attempt + 1 < NAME_ATTEMPTS) {
                    return Err(write_error(resource, &name, error));
                }
            }
        }
    }
    Err(ApiError::Internal(format!("no free name beginning with {prefix:?} was found")))
}

/// The namespace whose quotas a change of this object may concern; events are too many to be counted.
pub(super) fn settled(target: &Target) -> &str {
    if target.resource.plural == "events" { "" } else { target.namespace() }
}

/// The object belongs where the request says; it may leave that out.
fn same_namespace(target: &Target, value: &mut Value) -> Result<(), ApiError> {
    let given = object::text(value, "namespace");
    if !target.resource.namespaced {
        object::metadata(value).remove("namespace");
        return Ok(());
    }
    if !given.is_empty() && given != target.namespace() {
        return Err(ApiError::BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request".to_owned(),
        ));
    }
    object::metadata(value).insert("namespace".into(), target.namespace().into());
    Ok(())
}

/// What only the server decides about a new object.
fn birth(server: &Server, value: &mut Value) {
    let now = object::stamp(server.now());
    let metadata = object::metadata(value);
    for unset in ["selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion", "managedFields"] {
        metadata.remove(unset);
    }
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), now.into());
}

/// A name with a random end, in letters that make no words (k8s.io/apiserver/pkg/storage/names/generate.go).
fn generate_name(prefix: &str) -> String {
    const LONGEST: usize = 63;
    const RANDOM: usize = 5;
    let mut end = LONGEST - RANDOM;
    while end < prefix.len() && !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let prefix = prefix.get(..end).unwrap_or(prefix);
    format!("{prefix}{}", random_suffix(RANDOM))
}

/// Random letters as the real server's names end in them.
pub(crate) fn random_suffix(length: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let random = uuid::Uuid::new_v4();
    // Six bits of a version 4 uuid are fixed; the first bytes are all random.
    random.as_bytes().iter().take(length).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

pub(super) fn invalid(resource: &Resource, name: &str, errors: Vec<podlab_api::error::FieldError>) -> ApiError {
    ApiError::Invalid { group: resource.group.into(), kind: resource.kind.into(), name: name.into(), errors }
}

pub(super) async fn replace(call: &mut Call, target: &Target) -> Answer {
    let accepted = Accepted::of(&call.parts.headers)?;
    let update = Update { subresource: None, dry_run: dry_run(call)? };
    let (object, warnings) = call.decode(&target.resource.into()).await?;
    let object = table::stored(target.resource, object);
    same_name(target, &object)?;
    let stored = update.run(call, target, |_| Ok(object.clone())).await?;
    let shape = Shape::of(&call.parts);
    let mut response = read::one(call, target, &shape, accepted, StatusCode::OK, &stored);
    respond::warn(&mut response, &warnings);
    Ok(response)
}

pub(super) fn same_name(target: &Target, object: &Value) -> Result<(), ApiError> {
    let name = object::text(object, "name");
    if name != target.name() {
        return Err(ApiError::BadRequest(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name()
        )));
    }
    Ok(())
}

/// How an existing object is changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update {
    pub(super) subresource: Option<&'static str>,
    pub(super) dry_run: bool,
}

impl Update {
    /// Changes the object: `make` gets it as it is and gives what it should become. When somebody else writes in
    /// between, it is asked again, unless what it gives names the version it was made from.
    ///
    /// # Errors
    /// When there is no such object, the version is another one, or the result is not allowed.
    pub(super) async fn run(
        self,
        call: &Call,
        target: &Target,
        mut make: impl FnMut(&Value) -> Result<Value, ApiError>,
    ) -> Result<Arc<Object>, ApiError> {
        let resource = target.resource;
        let key = key_of(target);
        let store = call.server.store();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let current = store.get(&key).ok_or_else(|| object::not_found(resource, target.name()))?;
            let old = current.value();
            let mut new = make(&old)?;
            let pinned = self.check_preconditions(target, &old, &new)?;
            same_namespace(target, &mut new)?;
            keep(&old, &mut new);
            (resource.default)(&mut new);
            // A binding is the server's own change: nobody else's words are in it, and it touches spec and status.
            if self.subresource != Some("binding") {
                (resource.prepare)(&mut new, Some(&old), self.subresource);
                manager::record(call, target, self.subresource, Some(&old), &mut new);
            }
            let admission = Admission {
                server: &call.server,
                identity: &call.identity,
                resource,
                namespace: target.namespace(),
                warnings: Vec::new(),
            };
            admission::update(&admission, &mut new, &old, self.subresource);
            let errors = (resource.validate)(&new, Some(&old), self.subresource);
            if !errors.is_empty() {
                return Err(invalid(resource, target.name(), errors));
            }
            // A change that changes nothing is not a write: the version stays.
            if same_but_version(&old, &new) {
                return Ok(current);
            }
            let allocation = admission::allocate(&admission, &mut new).await?;
            if self.dry_run {
                return Ok(Arc::new(Draft::new(&new).at(current.revision)));
            }
            let written = if finished(resource, &new) {
                store.delete_as(key.clone(), current.revision, Draft::new(&new)).await
            } else {
                store.update(key.clone(), current.revision, Draft::new(&new)).await
            };
            drop(allocation);
            match written {
                Err(crate::store::WriteError::Conflict { .. }) if !pinned && attempt < UPDATE_ATTEMPTS => {}
                Ok(stored) => {
                    // What is over uses nothing any more.
                    if resource.plural == "pods" && old["status"]["phase"] != new["status"]["phase"] {
                        admission::settle(&call.server, settled(target)).await;
                    }
                    return Ok(stored);
                }
                Err(error) => return Err(write_error(resource, target.name(), error)),
            }
        }
    }

    /// Whether `new` names the version it is made from; an error when that is not the present one.
    fn check_preconditions(self, target: &Target, old: &Value, new: &Value) -> Result<bool, ApiError> {
        let (expected, found) = (object::text(new, "uid"), object::text(old, "uid"));
        if !expected.is_empty() && expected != found {
            let message = format!("Precondition failed: UID in precondition: {expected}, UID in object meta: {found}");
            return Err(object::conflict(target.resource, target.name(), message));
        }
        let expected = object::text(new, "resourceVersion");
        if !expected.is_empty() && expected != object::text(old, "resourceVersion") {
            return Err(object::conflict(target.resource, target.name(), ApiError::MODIFIED));
        }
        Ok(!expected.is_empty())
    }
}

/// What no client can change.
fn keep(old: &Value, new: &mut Value) {
    let metadata = object::metadata(new);
    for name in
        ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields"]
    {
        match old["metadata"].get(name) {
            Some(value) => metadata.insert(name.into(), value.clone()),
            None => metadata.remove(name),
        };
    }
}

fn same_but_version(old: &Value, new: &Value) -> bool {
    same_but(old, new, "metadata") && same_but(&old["metadata"], &new["metadata"], "resourceVersion")
}

/// Whether two objects have the same fields, one of them left out.
fn same_but(old: &Value, new: &Value, left_out: &str) -> bool {
    let others = |value: &Value| value.as_object().map_or(0, |all| all.len() - usize::from(all.contains_key(left_out)));
    let mut fields = old.as_object().into_iter().flatten().filter(|(name, _)| *name != left_out);
    others(old) == others(new) && fields.all(|(name, value)| new.get(name) == Some(value))
}

/// Whether an object that is being deleted has nothing left to wait for.
pub(super) fn finished(resource: &Resource, object: &Value) -> bool {
    let metadata = &object["metadata"];
    let some = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty());
    let deleting = metadata["deletionTimestamp"].is_string();
    let graceless = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0;
    let namespace = resource.kind == "Namespace" && resource.group.is_empty();
    deleting && graceless && !some(&metadata["finalizers"]) && !(namespace && some(&object["spec"]["finalizers"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn generated_names_fit_a_label() {
        let name = generate_name("web-");
        assert_eq!(name.len(), 9);
        assert!(name.starts_with("web-"));
        assert_eq!(generate_name(&"a".repeat(100)).len(), 63);
        assert!(generate_name(&"ä".repeat(60)).len() <= 63);
        assert_ne!(generate_name("x"), generate_name("x"));
    }

    #[test]
    fn only_the_version_may_differ_in_a_change_that_is_none() {
        let old = json!({"metadata": {"name": "a", "resourceVersion": "1"}, "spec": {"x": 1}});
        assert!(same_but_version(&old, &json!({"metadata": {"name": "a"}, "spec": {"x": 1}})));
        assert!(!same_but_version(&old, &json!({"metadata": {"name": "a"}, "spec": {"x": 2}})));
        assert!(!same_but_version(&old, &json!({"metadata": {"name": "a", "labels": {}}, "spec": {"x": 1}})));
    }
}
