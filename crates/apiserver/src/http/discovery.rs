//! Discovery: which groups, versions and resources there are; aggregated or plain, exactly as it was asked for.

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderValue, Response, StatusCode};
use podlab_api::discovery;
use podlab_api::error::ApiError;
use podlab_api::registry;
use serde_json::json;
use sha2::{Digest, Sha512};

use super::negotiate::MediaRange;
use super::respond::{self, Shape};
use super::{Answer, Call};
use crate::server::Body;

/// `/api…` and `/apis…`.
pub(super) fn document(call: &Call, root: &str, rest: &[&str]) -> Answer {
    let shape = Shape::of(&call.parts);
    if rest.is_empty()
        && let Some(version) = aggregated_version(call)
    {
        return Ok(aggregated(call, root == "api", version));
    }
    let found = match (root, rest) {
        ("api", []) => Some(respond::document(&shape, &discovery::api_versions(&address(call)))),
        ("api", [version]) => discovery::api_resource_list("", version).map(|list| respond::document(&shape, &list)),
        ("apis", []) => Some(respond::document(&shape, &discovery::api_group_list())),
        ("apis", [group]) => discovery::api_group(group).map(|group| respond::document(&shape, &group)),
        ("apis", [group, version]) if !group.is_empty() => {
            discovery::api_resource_list(group, version).map(|list| respond::document(&shape, &list))
        }
        _ => None,
    };
    found.ok_or(ApiError::UnknownPath)
}

/// Where the server says it can be reached.
fn address(call: &Call) -> String {
    format!("127.0.0.1:{}", call.server.port())
}

/// The first range of the Accept header decides: aggregated discovery of a version we have, or plain JSON.
fn aggregated_version(call: &Call) -> Option<&'static str> {
    let accept = call.parts.headers.get(ACCEPT)?.to_str().ok()?;
    for range in accept.split(',').map(MediaRange::parse) {
        match (range.essence.as_str(), range.parameter("g"), range.parameter("v"), range.parameter("as")) {
            ("application/json", Some("apidiscovery.k8s.io"), Some("v2"), Some("APIGroupDiscoveryList")) => {
                return Some("v2");
            }
            ("application/json", Some("apidiscovery.k8s.io"), Some("v2beta1"), Some("APIGroupDiscoveryList")) => {
                return Some("v2beta1");
            }
            ("application/json" | "*/*", None, None, None) => return None,
            _ => {}
        }
    }
    None
}

fn aggregated(call: &Call, core: bool, version: &'static str) -> Response<Body> {
    let shape = Shape::of(&call.parts);
    let list = discovery::aggregated(core, version);
    let etag = format!("{:?}", hex(&Sha512::digest(serde_json::to_vec(&list).unwrap_or_default())));
    let known = call.parts.headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        respond::document(&shape, &list)
    };
    let headers = response.headers_mut();
    let content_type = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    for (name, text) in [(CONTENT_TYPE, content_type.as_str()), (ETAG, &etag), (CACHE_CONTROL, "public")] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
    headers.append(VARY, HeaderValue::from_static("Accept"));
    response
}

/// Digits of a digest, in capitals as the real server writes them.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// `/`: every path that is not of an object.
pub(super) fn paths(call: &Call) -> Response<Body> {
    let mut paths: Vec<String> = [
        "/api",
        "/apis",
        "/apis/",
        "/healthz",
        "/livez",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/readyz",
        "/version",
    ]
    .map(str::to_owned)
    .to_vec();
    for resource in registry::all() {
        if resource.group.is_empty() {
            paths.push(format!("/api/{}", resource.version));
        } else {
            paths.push(format!("/apis/{}", resource.group));
            paths.push(format!("/apis/{}/{}", resource.group, resource.version));
        }
    }
    paths.sort_unstable();
    paths.dedup();
    let indented = Shape::of(&call.parts).indented();
    respond::document(&indented, &json!({"paths": paths}))
}
