//! GET: one object, or a list of them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use podlab_api::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::negotiate::{Accepted, Encoding, View};
use super::object::{key_of, not_found};
use super::options::Filter;
use super::respond::{self, Shape};
use super::{Answer, Call, Target, table};
use crate::store::{Key, Object, ObjectName, Range, Snapshot};

/// Objects in a page that has to be looked through to find those that pass a selector.
const SCAN: usize = 1000;

pub(super) fn get(call: &Call, target: &Target) -> Answer {
    let accepted = Accepted::of(&call.parts.headers)?;
    let object = find(call, target)?;
    let shape = Shape::of(&call.parts);
    Ok(one(call, target, &shape, accepted, StatusCode::OK, &object))
}

/// The object a request names.
///
/// # Errors
/// When there is none.
pub(crate) fn find(call: &Call, target: &Target) -> Result<Arc<Object>, ApiError> {
    call.server.store().get(&key_of(target)).ok_or_else(|| not_found(target.resource, target.name()))
}

/// An answer with one stored object, in the view that was asked for.
pub(super) fn one(
    call: &Call,
    target: &Target,
    shape: &Shape,
    accepted: Accepted,
    code: StatusCode,
    object: &Object,
) -> http::Response<crate::server::Body> {
    if accepted.view == View::Whole && table::as_stored(target.resource) {
        return respond::stored(shape, accepted.encoding, code, object.shared_json());
    }
    let value = table::converted(target.resource, object.value());
    whole(call, target, shape, accepted, code, value)
}

/// An answer with one object that is not (or not like this) in the store.
pub(super) fn whole(
    call: &Call,
    target: &Target,
    shape: &Shape,
    accepted: Accepted,
    code: StatusCode,
    value: Value,
) -> http::Response<crate::server::Body> {
    let version = value["metadata"]["resourceVersion"].clone();
    let value = match accepted.view {
        View::Whole => value,
        View::Partial(version) => table::partial(version, &value),
        View::Table(meta) => {
            let mut table = table::Table::new(call, target.resource, meta);
            table.push(&value);
            table.finish(&json!({"resourceVersion": version}))
        }
    };
    respond::value(shape, accepted.encoding, code, &value)
}

pub(super) async fn list(call: &Call, target: &Target) -> Answer {
    let accepted = Accepted::of(&call.parts.headers)?;
    let filter = Filter::of(call, target)?;
    let page = page(call, &filter)?;
    let shape = Shape::of(&call.parts);

    let mut metadata = serde_json::Map::new();
    metadata.insert("resourceVersion".into(), page.revision.to_string().into());
    if let Some(token) = &page.token {
        metadata.insert("continue".into(), token.as_str().into());
        if let Some(remaining) = page.remaining {
            metadata.insert("remainingItemCount".into(), remaining.into());
        }
    }
    let metadata = Value::Object(metadata);
    let resource = target.resource;
    let value = match accepted.view {
        View::Whole if accepted.encoding == Encoding::Json && table::as_stored(resource) => {
            let bytes = list_bytes(&resource.list_kind(), &resource.api_version(), &metadata, &page.objects);
            return Ok(respond::stored(&shape, Encoding::Json, StatusCode::OK, bytes.into()));
        }
        View::Whole => {
            let items = page.objects.iter().map(|object| {
                let mut item = table::converted(resource, object.value());
                if let Some(item) = item.as_object_mut() {
                    item.remove("kind");
                    item.remove("apiVersion");
                }
                item
            });
            let items: Vec<Value> = items.collect();
            json!({"kind": resource.list_kind(), "apiVersion": resource.api_version(), "metadata": metadata, "items": items})
        }
        View::Partial(version) => {
            let items: Vec<Value> = page
                .objects
                .iter()
                .map(|object| table::partial(version, &table::converted(resource, object.value())))
                .collect();
            json!({"kind": "PartialObjectMetadataList", "apiVersion": version.api_version(), "metadata": metadata, "items": items})
        }
        View::Table(version) => {
            let mut table = table::Table::new(call, resource, version);
            for object in &page.objects {
                table.push(&table::converted(resource, object.value()));
            }
            table.finish(&metadata)
        }
    };
    Ok(respond::value(&shape, accepted.encoding, StatusCode::OK, &value))
}

/// A list as JSON, put together from the JSON of its objects. Items in a list have no kind and no apiVersion.
fn list_bytes(kind: &str, api_version: &str, metadata: &Value, objects: &[Arc<Object>]) -> Vec<u8> {
    let size: usize = objects.iter().map(|object| object.json().len() + 1).sum();
    let mut bytes = Vec::with_capacity(size + 256);
    bytes.extend_from_slice(
        format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{metadata},"items":["#).as_bytes(),
    );
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        bytes.push(b'{');
        bytes.extend_from_slice(object.json_without_kind());
    }
    bytes.extend_from_slice(b"]}");
    bytes
}

/// A page of a list.
struct Page {
    revision: u64,
    objects: Vec<Arc<Object>>,
    /// What to ask with for the rest; None when this is all.
    token: Option<String>,
    /// How many lie behind the page, where that is known without looking at them.
    remaining: Option<usize>,
}

/// Where the next page begins, as the client carries it back to us (the real server's format).
#[derive(Serialize, Deserialize)]
struct Continue {
    v: String,
    rv: i64,
    start: String,
}

const CONTINUE_VERSION: &str = "meta.k8s.io/v1";

fn page(call: &Call, filter: &Filter) -> Result<Page, ApiError> {
    let store = call.server.store();
    let limit = usize::try_from(call.query.number("limit")?.unwrap_or(0).max(0)).unwrap_or(0);
    let token = call.query.given("continue").map(decode_token).transpose()?;
    check_version(call, store.revision(), token.is_some())?;

    if let (Some(name), Some(namespace), None) = (filter.single_name(), filter.namespace(), &token) {
        let revision = store.revision();
        let object = store.get(&Key::new(filter.place(), namespace, name)).filter(|object| filter.passes(object));
        return Ok(Page { revision, objects: object.into_iter().collect(), token: None, remaining: None });
    }
    let mut range = Range { namespace: filter.namespace(), after: token, limit };
    if limit == 0 || filter.is_empty() {
        let Snapshot { revision, mut objects, remaining } = store.list(filter.place(), &range);
        let token = (remaining > 0).then(|| last_of(&objects, revision)).flatten();
        objects.retain(|object| filter.passes(object));
        return Ok(Page { revision, objects, token, remaining: Some(remaining) });
    }
    // With a selector, look through as many as it takes to fill the page.
    range.limit = SCAN;
    let mut found: Vec<Arc<Object>> = Vec::new();
    loop {
        let Snapshot { revision, objects, remaining } = store.list(filter.place(), &range);
        range.after = objects.last().map(|object| name_of(object));
        for (index, object) in objects.iter().enumerate() {
            if !filter.passes(object) {
                continue;
            }
            found.push(object.clone());
            if found.len() == limit {
                let more = remaining > 0 || index + 1 < objects.len();
                let token = more.then(|| last_of(&found, revision)).flatten();
                return Ok(Page { revision, objects: found, token, remaining: None });
            }
        }
        if remaining == 0 {
            return Ok(Page { revision, objects: found, token: None, remaining: None });
        }
    }
}

/// `resourceVersion` asks for data at least this new. All we have is the present, so only a future one is refused.
fn check_version(call: &Call, current: u64, continued: bool) -> Result<(), ApiError> {
    let Some(text) = call.query.given("resourceVersion") else { return Ok(()) };
    let invalid = || ApiError::BadRequest(format!("Invalid value: {text:?}: strconv.ParseUint: invalid syntax"));
    let wanted: u64 = text.parse().map_err(|_| invalid())?;
    if continued && wanted > 0 {
        return Err(ApiError::BadRequest("specifying resource version is not allowed when using continue".to_owned()));
    }
    let exact = call.query.given("resourceVersionMatch") == Some("Exact");
    if wanted > current {
        return Err(ApiError::Timeout(format!("Too large resource version: {wanted}, current: {current}")));
    }
    if exact && wanted != current {
        return Err(ApiError::Expired(
            "The provided resource version is no longer available: only the current state can be listed".to_owned(),
        ));
    }
    Ok(())
}

/// The name of a stored object.
fn name_of(object: &Object) -> ObjectName {
    let value = object.value();
    let text = |name| super::object::text(&value, name);
    ObjectName::new(text("namespace"), text("name"))
}

fn last_of(objects: &[Arc<Object>], revision: u64) -> Option<String> {
    let name = name_of(objects.last()?);
    let start = format!("{}/{}\0", name.namespace(), name.name());
    let token = Continue { v: CONTINUE_VERSION.into(), rv: i64::try_from(revision).ok()?, start };
    Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).ok()?))
}

fn decode_token(text: &str) -> Result<ObjectName, ApiError> {
    let parse = || {
        let token: Continue = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (namespace, name) = token.start.strip_suffix('\0')?.split_once('/')?;
        (token.v == CONTINUE_VERSION).then(|| ObjectName::new(namespace, name))
    };
    parse().ok_or_else(|| ApiError::BadRequest("continue key is not valid".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Draft;

    #[test]
    fn lists_are_put_together_from_stored_bytes() {
        let objects: Vec<Arc<Object>> = ["a", "b"]
            .into_iter()
            .map(|name| {
                let object = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}, "spec": {}});
                Arc::new(Draft::new(&object).at(7))
            })
            .collect();
        let list = list_bytes("PodList", "v1", &json!({"resourceVersion": "9"}), &objects);
        assert_eq!(
            serde_json::from_slice::<Value>(&list).unwrap(),
            json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": [
                {"metadata": {"name": "a", "resourceVersion": "7"}, "spec": {}},
                {"metadata": {"name": "b", "resourceVersion": "7"}, "spec": {}},
            ]})
        );
    }

    #[test]
    fn tokens_come_back_as_names_and_nothing_else_passes() {
        let object = json!({"metadata": {"name": "x", "namespace": "a"}});
        let token = last_of(&[Arc::new(Draft::new(&object).at(7))], 9).unwrap();
        assert_eq!(decode_token(&token).unwrap(), ObjectName::new("a", "x"));
        let other = URL_SAFE_NO_PAD.encode(r#"{"v":"v0","rv":1,"start":"a/x\u0000"}"#);
        for broken in ["", "!", "e30", &other, &token[..10]] {
            assert!(decode_token(broken).is_err(), "{broken}");
        }
    }
}
