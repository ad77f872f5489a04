//! `/openapi/v3`: an index, and a document for every group and version. `/openapi/v2`: one for all.
//!
//! The addresses of documents carry a digest, so that clients may keep them for good.

use http::header::{ACCEPT, CACHE_CONTROL, ETAG, EXPIRES, IF_NONE_MATCH};
use http::{HeaderValue, Response, StatusCode};
use podlab_api::error::ApiError;
use podlab_api::openapi;

use super::respond::{self, Shape};
use super::{Answer, Call};
use crate::server::Body;

/// How kubectl asks for the v2 document, and what it then gets.
const PROTOBUF_V2: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const PROTOBUF_V2_ANSWER: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// `/openapi/v2`.
pub(super) fn v2(call: &Call) -> Response<Body> {
    let shape = Shape::of(&call.parts);
    let accepted = call.parts.headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    if accepted.split(',').any(|range| range.trim() == PROTOBUF_V2) {
        return respond::body(&shape, StatusCode::OK, PROTOBUF_V2_ANSWER, openapi::v2::protobuf());
    }
    respond::body(&shape, StatusCode::OK, "application/json", openapi::v2::json().to_string().into_bytes())
}

/// `/openapi/v3` and what is below it.
pub(super) fn document(call: &Call, path: &[&str]) -> Answer {
    let shape = Shape::of(&call.parts);
    if path.is_empty() || path == [""] {
        return Ok(respond::body(&shape, StatusCode::OK, "text/plain; charset=utf-8", openapi::index().bytes.clone()));
    }
    let document = openapi::document(&path.join("/")).ok_or(ApiError::UnknownPath)?;
    let etag = format!("\"{}\"", document.hash);
    let known = call.parts.headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        respond::body(&shape, StatusCode::OK, "application/json", document.bytes.clone())
    };
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    // An address with the right digest never changes its contents.
    if call.query.given("hash") == Some(document.hash.as_str()) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable, max-age=31536000"));
        headers.insert(EXPIRES, HeaderValue::from_static("Fri, 31 Dec 2100 00:00:00 GMT"));
    }
    Ok(response)
}
