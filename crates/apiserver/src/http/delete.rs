//! DELETE: at once, after a grace period, or when the last finalizer is gone
//! (k8s.io/apiserver/pkg/registry/rest/delete.go and generic/registry/store.go).

use http::StatusCode;
use podlab_api::decode::{self, Format};
use podlab_api::error::ApiError;
use podlab_api::registry::Resource;
use serde_json::{Value, json};

use super::negotiate::Accepted;
use super::object::{self, key_of, place, stamp, write_error};
use super::options::Filter;
use super::respond::{self, Shape};
use super::write::{dry_run, finished, settled};
use super::{Answer, Call, Target, read, table};
use crate::admission;
use crate::server::Server;
use crate::store::{Draft, Range, WriteError};

/// How often a deletion begins anew when somebody else writes in between.
const ATTEMPTS: usize = 16;
/// Who waits for dependents; the garbage collector takes them away again.
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// metav1.DeleteOptions.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    grace: Option<i64>,
    uid: Option<String>,
    version: Option<String>,
    propagation: Option<Propagation>,
    pub(super) dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Propagation {
    Background,
    Foreground,
    Orphan,
}

impl Options {
    /// From the body, or where there is none, from the query.
    async fn of(call: &mut Call) -> Result<Self, ApiError> {
        let body = call.body().await?;
        let mut options = Self { dry_run: dry_run(call)?, ..Self::default() };
        if body.is_empty() {
            options.grace = call.query.number("gracePeriodSeconds")?;
            options.propagation = call.query.given("propagationPolicy").map(propagation).transpose()?;
            return Ok(options);
        }
        let format = Format::from_content_type(call.content_type())?;
        let value = decode::parse(&body, format).map_err(ApiError::BadRequest)?.value;
        let read = Self::read(&value)?;
        Ok(Self { dry_run: options.dry_run || read.dry_run, ..read })
    }

    /// From a DeleteOptions object, or null.
    ///
    /// # Errors
    /// When a field has a value it cannot have.
    pub(super) fn read(value: &Value) -> Result<Self, ApiError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let grace = match &value["gracePeriodSeconds"] {
            Value::Null => None,
            grace => Some(grace.as_i64().ok_or_else(|| {
                ApiError::BadRequest("gracePeriodSeconds: a whole number of seconds is needed".to_owned())
            })?),
        };
        let propagation = match (&value["propagationPolicy"], &value["orphanDependents"]) {
            (Value::String(policy), _) => Some(propagation(policy)?),
            (_, Value::Bool(true)) => Some(Propagation::Orphan),
            (_, Value::Bool(false)) => Some(Propagation::Background),
            _ => None,
        };
        let dry_run = value["dryRun"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(other) = dry_run.iter().find(|value| *value != "All") {
            let message = format!("dryRun: Unsupported value: {other}: supported values: \"All\"");
            return Err(ApiError::BadRequest(message));
        }
        let preconditions = &value["preconditions"];
        Ok(Self {
            grace,
            uid: text(&preconditions["uid"]),
            version: text(&preconditions["resourceVersion"]),
            propagation,
            dry_run: !dry_run.is_empty(),
        })
    }
}

fn propagation(text: &str) -> Result<Propagation, ApiError> {
    match text {
        "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        "Orphan" => Ok(Propagation::Orphan),
        _ => Err(ApiError::BadRequest(format!(
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: {text:?}: supported \
             values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
        ))),
    }
}

pub(super) async fn delete(call: &mut Call, target: &Target) -> Answer {
    let accepted = Accepted::of(&call.parts.headers)?;
    let options = Options::of(call).await?;
    let deleted = remove(&call.server, target, &options).await?;
    let shape = Shape::of(&call.parts);
    let resource = target.resource;
    if deleted.gone && !returns_object(resource) {
        let mut details =
            json!({"name": target.name(), "kind": resource.plural, "uid": object::text(&deleted.value, "uid")});
        if !resource.group.is_empty() {
            details["group"] = resource.group.into();
        }
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
        return Ok(respond::value(&shape, accepted.encoding, StatusCode::OK, &status));
    }
    let value = table::converted(resource, deleted.value);
    Ok(read::whole(call, target, &shape, accepted, StatusCode::OK, value))
}

/// Kinds whose deletion is answered with the object instead of a Status (`ReturnDeletedObject` upstream).
fn returns_object(resource: &Resource) -> bool {
    matches!(
        resource.plural,
        "pods"
            | "services"
            | "persistentvolumes"
            | "persistentvolumeclaims"
            | "podtemplates"
            | "resourcequotas"
            | "serviceaccounts"
    )
}

pub(super) async fn collection(call: &mut Call, target: &Target) -> Answer {
    let accepted = Accepted::of(&call.parts.headers)?;
    let filter = Filter::of(call, target)?;
    let options = Options::of(call).await?;
    let range = Range { namespace: filter.namespace(), ..Range::default() };
    let snapshot = call.server.store().list(place(target.resource), &range);
    let mut items = Vec::new();
    for object in snapshot.objects.iter().filter(|object| filter.passes(object)) {
        let value = object.value();
        let target = Target { name: Some(object::text(&value, "name").to_owned()), ..target.clone() };
        match remove(&call.server, &target, &options).await {
            Ok(deleted) => items.push(table::converted(target.resource, deleted.value)),
            // Somebody else was faster.
            Err(ApiError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let resource = target.resource;
    let list = json!({
        "kind": resource.list_kind(),
        "apiVersion": resource.api_version(),
        "metadata": {"resourceVersion": call.server.store().revision().to_string()},
        "items": items,
    });
    Ok(respond::value(&Shape::of(&call.parts), accepted.encoding, StatusCode::OK, &list))
}

/// What a deletion came to.
pub(super) struct Deleted {
    /// The object as it is now, or was last.
    pub(super) value: Value,
    /// Whether it is out of the store.
    pub(super) gone: bool,
}

/// Deletes one object, or begins to.
pub(super) async fn remove(server: &Server, target: &Target, options: &Options) -> Result<Deleted, ApiError> {
    let resource = target.resource;
    let key = key_of(target);
    for _ in 0..ATTEMPTS {
        let current = server.store().get(&key).ok_or_else(|| object::not_found(resource, target.name()))?;
        let mut value = current.value();
        check_preconditions(target, &value, options)?;
        admission::delete(resource, target.name())?;
        let step = decide(resource, &mut value, options, server.now());
        if step == Step::Nothing || options.dry_run {
            return Ok(Deleted { value, gone: step == Step::Remove });
        }
        let draft = Draft::new(&value);
        let written = match step {
            Step::Remove => server.store().delete_as(key.clone(), current.revision, draft).await,
            _ => server.store().update(key.clone(), current.revision, draft).await,
        };
        match written {
            Ok(object) => {
                if step == Step::Remove {
                    admission::settle(server, settled(target)).await;
                }
                return Ok(Deleted { value: object.value(), gone: step == Step::Remove });
            }
            Err(WriteError::Conflict { .. }) if options.version.is_none() => {}
            Err(error) => return Err(write_error(resource, target.name(), error)),
        }
    }
    Err(object::conflict(resource, target.name(), ApiError::MODIFIED))
}

fn check_preconditions(target: &Target, value: &Value, options: &Options) -> Result<(), ApiError> {
    let uid = object::text(value, "uid");
    if let Some(expected) = options.uid.as_deref().filter(|expected| *expected != uid) {
        let message = format!("Precondition failed: UID in precondition: {expected}, UID in object meta: {uid}");
        return Err(object::conflict(target.resource, target.name(), message));
    }
    let version = object::text(value, "resourceVersion");
    if let Some(expected) = options.version.as_deref().filter(|expected| *expected != version) {
        let message = format!(
            "Precondition failed: ResourceVersion in precondition: {expected}, ResourceVersion in object meta: {version}"
        );
        return Err(object::conflict(target.resource, target.name(), message));
    }
    Ok(())
}

/// What a deletion does to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It goes.
    Remove,
    /// It stays, marked.
    Mark,
    /// It is marked already, and nothing about that changes.
    Nothing,
}

/// Marks the object as the deletion has it.
fn decide(resource: &Resource, value: &mut Value, options: &Options, now: jiff::Timestamp) -> Step {
    let pod = resource.kind == "Pod" && resource.group.is_empty();
    let namespace = resource.kind == "Namespace" && resource.group.is_empty();
    let deleting = value["metadata"]["deletionTimestamp"].is_string();
    let previous = value["metadata"]["deletionGracePeriodSeconds"].as_i64();
    if deleting {
        // A deletion under way can only be made shorter.
        let shorter = options.grace.filter(|grace| pod && previous.is_some_and(|previous| *grace < previous));
        let Some(grace) = shorter else {
            let done = finished(resource, value) && !namespace;
            return if done { Step::Remove } else { Step::Nothing };
        };
        mark(value, now, grace.max(0));
        return if finished(resource, value) { Step::Remove } else { Step::Mark };
    }
    let grace = if pod { pod_grace(value, options.grace) } else { 0 };
    let finalizer = match options.propagation {
        Some(Propagation::Foreground) => Some(FOREGROUND),
        Some(Propagation::Orphan) => Some(ORPHAN),
        _ => None,
    };
    if let Some(finalizer) = finalizer {
        let metadata = object::metadata(value);
        let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
        if let Some(list) = finalizers.as_array_mut().filter(|list| !list.iter().any(|known| known == finalizer)) {
            list.push(finalizer.into());
        }
    }
    mark(value, now, grace);
    if namespace {
        value["status"]["phase"] = "Terminating".into();
        object::metadata(value).remove("deletionGracePeriodSeconds");
    }
    if let Some(generation) = value["metadata"]["generation"].as_i64().filter(|generation| *generation > 0) {
        object::metadata(value).insert("generation".into(), (generation + 1).into());
    }
    if finished(resource, value) { Step::Remove } else { Step::Mark }
}

fn mark(value: &mut Value, now: jiff::Timestamp, grace: i64) {
    let at = now.checked_add(jiff::SignedDuration::from_secs(grace)).unwrap_or(now);
    let metadata = object::metadata(value);
    metadata.insert("deletionTimestamp".into(), stamp(at).into());
    metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
}

/// How long a Pod may take to end (k8s.io/kubernetes/pkg/registry/core/pod/strategy.go). What nobody runs goes at once.
fn pod_grace(pod: &Value, asked: Option<i64>) -> i64 {
    let unscheduled = pod["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    let over = matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    if unscheduled || over {
        return 0;
    }
    let grace = asked.or_else(|| pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30);
    if grace < 0 { 1 } else { grace }
}

#[cfg(test)]
mod tests {
    use podlab_api::registry;

    use super::*;

    fn step(kind: &str, mut value: Value, options: &Options) -> (Step, Value) {
        let resource = registry::find_kind("", "v1", kind).unwrap();
        let now = "2026-11-20T18:00:00Z".parse().unwrap();
        let step = decide(resource, &mut value, options, now);
        (step, value["metadata"].clone())
    }

    fn grace(seconds: i64) -> Options {
        Options { grace: Some(seconds), ..Options::default() }
    }

    fn running() -> Value {
        json!({"metadata": {}, "spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}, "status": {"phase": "Running"}})
    }

    #[test]
    fn a_running_pod_gets_its_grace() {
        let (done, metadata) = step("Pod", running(), &Options::default());
        assert_eq!(done, Step::Mark);
        assert_eq!(metadata["deletionTimestamp"], "2026-11-20T18:00:30Z");
        assert_eq!(metadata["deletionGracePeriodSeconds"], 30);
        assert_eq!(step("Pod", running(), &grace(-5)).1["deletionGracePeriodSeconds"], 1);
        assert_eq!(step("Pod", running(), &grace(0)).0, Step::Remove);
    }

    #[test]
    fn what_nobody_runs_goes_at_once() {
        let pending = json!({"metadata": {}, "spec": {}, "status": {"phase": "Pending"}});
        assert_eq!(step("Pod", pending, &Options::default()).0, Step::Remove);
        let mut over = running();
        over["status"]["phase"] = "Succeeded".into();
        assert_eq!(step("Pod", over, &Options::default()).0, Step::Remove);
        assert_eq!(step("ConfigMap", json!({"metadata": {}}), &Options::default()).0, Step::Remove);
    }

    #[test]
    fn a_deletion_under_way_can_only_be_made_shorter() {
        let mut deleting = running();
        deleting["metadata"] = json!({"deletionTimestamp": "2026-11-20T18:00:30Z", "deletionGracePeriodSeconds": 30});
        assert_eq!(step("Pod", deleting.clone(), &grace(60)).0, Step::Nothing);
        assert_eq!(step("Pod", deleting.clone(), &Options::default()).0, Step::Nothing);
        let (shorter, metadata) = step("Pod", deleting.clone(), &grace(5));
        assert_eq!((shorter, &metadata["deletionTimestamp"]), (Step::Mark, &json!("2026-11-20T18:00:05Z")));
        assert_eq!(step("Pod", deleting, &grace(0)).0, Step::Remove);
    }

    #[test]
    fn finalizers_hold_an_object() {
        let held = json!({"metadata": {"finalizers": ["x"]}});
        assert_eq!(step("ConfigMap", held, &Options::default()).0, Step::Mark);
        let options = Options { propagation: Some(Propagation::Foreground), ..Options::default() };
        let (step_, metadata) = step("ConfigMap", json!({"metadata": {}}), &options);
        assert_eq!((step_, &metadata["finalizers"]), (Step::Mark, &json!([FOREGROUND])));
        let namespace = json!({"metadata": {}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        assert_eq!(step("Namespace", namespace, &Options::default()).0, Step::Mark);
    }
}
