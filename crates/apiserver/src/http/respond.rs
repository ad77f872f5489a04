//! Answers: JSON or YAML, pretty for people, compressed when it pays.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT, VARY, WARNING,
};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use podlab_api::error::ApiError;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::negotiate::Encoding;
use super::query::Query;
use crate::server::Body;

/// Bodies from this size on are compressed for those who accept it (the real server's figure).
const GZIP_FROM: usize = 128 * 1024;
/// Warnings told at most; the rest would only make the head of the answer too long for its reader.
const WARNINGS: usize = 50;
/// Characters of all warnings; when they are more, each is cut.
const WARNING_CHARACTERS: usize = 4096;
const WARNING_CUT: usize = 256;

/// What of a request decides how its answer is written, errors included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pretty: bool,
    gzip: bool,
}

impl Shape {
    pub(crate) fn of(parts: &Parts) -> Self {
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let query = Query::parse(parts.uri.query().unwrap_or_default()).unwrap_or_default();
        // People at a terminal or a browser get indented JSON unless they say otherwise.
        let person = ["curl", "Wget", "Mozilla/5.0"].iter().any(|agent| text(USER_AGENT).starts_with(agent));
        let pretty = if query.text("pretty").is_some() { query.flag("pretty") } else { person };
        let gzip = text(ACCEPT_ENCODING).split(',').any(|coding| coding.trim().starts_with("gzip"));
        Self { pretty, gzip }
    }

    /// For what the real server always indents.
    pub(crate) fn indented(self) -> Self {
        Self { pretty: true, ..self }
    }
}

/// JSON with the fields every object begins with in front, as the real server writes it.
pub(crate) struct Ordered<'a> {
    value: &'a Value,
    first: &'static [&'static str],
}

const OBJECT: &[&str] = &["kind", "apiVersion", "metadata"];
const TABLE: &[&str] = &["kind", "apiVersion", "metadata", "columnDefinitions", "rows"];
const STATUS: &[&str] = &["kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"];
const DETAILS: &[&str] = &["name", "group", "kind", "uid", "causes", "retryAfterSeconds"];
const CAUSE: &[&str] = &["reason", "message", "field"];

impl<'a> Ordered<'a> {
    pub(crate) fn new(value: &'a Value) -> Self {
        let first = match value["kind"].as_str() {
            Some("Status") => STATUS,
            Some("Table") => TABLE,
            _ => OBJECT,
        };
        Self { value, first }
    }
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(fields) = self.value else { return self.value.serialize(serializer) };
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for name in self.first {
            match fields.get(*name) {
                Some(details) if *name == "details" => {
                    map.serialize_entry(name, &Ordered { value: details, first: DETAILS })?;
                }
                Some(Value::Array(causes)) if *name == "causes" => {
                    let causes: Vec<Ordered<'_>> = causes.iter().map(|value| Ordered { value, first: CAUSE }).collect();
                    map.serialize_entry(name, &causes)?;
                }
                Some(value) => map.serialize_entry(name, value)?,
                None => {}
            }
        }
        for (name, value) in fields.iter().filter(|(name, _)| !self.first.contains(&name.as_str())) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// An answer with an object.
pub(crate) fn value(shape: &Shape, encoding: Encoding, code: StatusCode, value: &Value) -> Response<Body> {
    match encoding {
        Encoding::Json => json(shape, code, to_json(shape, &Ordered::new(value))),
        Encoding::Yaml => {
            let text = serde_yaml::to_string(value).unwrap_or_default();
            body(shape, code, "application/yaml", text.into_bytes())
        }
    }
}

/// An answer with something that has an order of its own.
pub(crate) fn document(shape: &Shape, document: &impl Serialize) -> Response<Body> {
    json(shape, StatusCode::OK, to_json(shape, document))
}

fn to_json(shape: &Shape, value: &impl Serialize) -> Vec<u8> {
    // Writing JSON values into memory cannot fail.
    if shape.pretty {
        return serde_json::to_vec_pretty(value).unwrap_or_default();
    }
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// An answer with JSON that is ready as it lies in the store; indented if it has to be.
pub(crate) fn stored(shape: &Shape, encoding: Encoding, code: StatusCode, bytes: Bytes) -> Response<Body> {
    if shape.pretty || encoding == Encoding::Yaml {
        let decoded = serde_json::from_slice(&bytes).unwrap_or_default();
        return value(shape, encoding, code, &decoded);
    }
    let mut line = Vec::with_capacity(bytes.len() + 1);
    line.extend_from_slice(&bytes);
    line.push(b'\n');
    json(shape, code, line)
}

pub(crate) fn json(shape: &Shape, code: StatusCode, bytes: Vec<u8>) -> Response<Body> {
    body(shape, code, "application/json", bytes)
}

pub(crate) fn text(code: StatusCode, text: impl Into<String>) -> Response<Body> {
    let shape = Shape { pretty: false, gzip: false };
    let mut response = body(&shape, code, "text/plain; charset=utf-8", text.into().into_bytes());
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

pub(crate) fn body(shape: &Shape, code: StatusCode, content_type: &str, bytes: Vec<u8>) -> Response<Body> {
    let compressed = (shape.gzip && bytes.len() >= GZIP_FROM).then(|| gzip(&bytes));
    let packed = compressed.is_some();
    let mut response = Response::new(Body::from(compressed.unwrap_or(bytes)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    if let Ok(content_type) = HeaderValue::from_str(content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    if packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
    // Memory takes everything.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// A request that failed.
pub(crate) fn error(error: &ApiError, shape: &Shape) -> Response<Body> {
    let code = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(shape, code, to_json(shape, &Ordered::new(&error.status())));
    if let ApiError::TooManyRequests { retry_after_seconds, .. } = error {
        response.headers_mut().insert(RETRY_AFTER, (*retry_after_seconds).into());
    }
    response
}

/// A failure of which nothing is known but a text.
pub(crate) fn plain_status(call: &super::Call, code: StatusCode, message: &str) -> Response<Body> {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code.as_u16(),
    });
    value(&Shape::of(&call.parts), Encoding::Json, code, &status)
}

/// Adds what the client should tell its user. Warnings that are long together are cut, each and all
/// (k8s.io/apiserver/pkg/endpoints/filters/warning.go).
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    let total: usize = warnings.iter().map(|warning| warning.chars().count()).sum();
    let longest = if total > WARNING_CHARACTERS { WARNING_CUT } else { WARNING_CHARACTERS };
    let mut written = 0;
    for warning in warnings.iter().take(WARNINGS) {
        if written >= WARNING_CHARACTERS {
            return;
        }
        // A quoted string: quotes and backslashes are escaped, what cannot stand in a header is left out.
        let mut quoted = String::new();
        for character in warning.chars().take(longest).filter(|character| !character.is_control()) {
            if matches!(character, '"' | '\\') {
                quoted.push('\\');
            }
            quoted.push(character);
            written += 1;
        }
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The body of golden 564, byte for byte.
    #[test]
    fn a_status_is_written_in_the_real_order() {
        let error = ApiError::NotFound { group: String::new(), plural: "pods".into(), name: "nosuch".into() };
        let pretty = Shape { pretty: true, gzip: false };
        let expected = r#"{
  "kind": "Status",
  "apiVersion": "v1",
  "metadata": {},
  "status": "Failure",
  "message": "pods \"nosuch\" not found",
  "reason": "NotFound",
  "details": {
    "name": "nosuch",
    "kind": "pods"
  },
  "code": 404
}"#;
        assert_eq!(String::from_utf8(to_json(&pretty, &Ordered::new(&error.status()))).unwrap(), expected);
        assert_eq!(expected.len(), 227, "the content-length that the real server sent");
    }

    #[test]
    fn warnings_are_quoted_and_limited() {
        let mut response = text(StatusCode::OK, "");
        warn(&mut response, &["unknown field \"spec.nope\"".into(), "two\nlines".into()]);
        let told: Vec<_> = response.headers().get_all(WARNING).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(told, [r#"299 - "unknown field \"spec.nope\"""#, r#"299 - "twolines""#]);
        let mut response = text(StatusCode::OK, "");
        warn(&mut response, &vec!["x".into(); 1000]);
        assert_eq!(response.headers().get_all(WARNING).iter().count(), WARNINGS);
        let mut response = text(StatusCode::OK, "");
        warn(&mut response, &vec!["x".repeat(1 << 20); 50]);
        let lengths: Vec<usize> = response.headers().get_all(WARNING).iter().map(HeaderValue::len).collect();
        assert_eq!(lengths, [WARNING_CUT + "299 - \"\"".len(); WARNING_CHARACTERS / WARNING_CUT]);
    }

    #[test]
    fn large_answers_are_compressed_for_those_who_take_it() {
        let large = json!({"kind": "X", "data": "a".repeat(GZIP_FROM)});
        let gzip = Shape { pretty: false, gzip: true };
        let response = value(&gzip, Encoding::Json, StatusCode::OK, &large);
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        let response = value(&Shape { pretty: false, gzip: false }, Encoding::Json, StatusCode::OK, &large);
        assert!(!response.headers().contains_key(CONTENT_ENCODING));
    }
}
