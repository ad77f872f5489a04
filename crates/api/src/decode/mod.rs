//! From the bytes of a request to an object: JSON, YAML or protobuf, then checked strictly against its type.
//!
//! Two steps, because decoding YAML straight into a type is more lenient than Kubernetes (`value: 8080` would pass for
//! a string): [`parse`] makes a JSON value, [`typed`] checks it, lists what the type does not have, and brings it into
//! the shape that the real server prints.

mod json;
mod strict;
mod yaml;

pub use strict::{Decoded, typed};
pub use yaml::{documents, options as yaml_options};

use serde_json::Value;

use crate::error::ApiError;
use crate::registry::{self, Resource};

/// Bytes of a request's body at most (k8s.io/apiserver/pkg/server/config.go, `MaxRequestBodyBytes`).
pub const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;

/// Values of a body at most, those inside others included. The real server has no such limit; here a body of 3 MiB must not
/// become a value of hundreds, and no object comes near it.
pub const MAX_VALUES: usize = 100_000;

/// What a parser says of a body with more values than that.
pub(crate) const TOO_MANY_VALUES: &str = "the limit of 100000 values is exceeded";

/// The media types that a body may have, in the order the error lists them.
pub const MEDIA_TYPES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// How the body of a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
    Protobuf,
}

impl Format {
    /// The format that a `Content-Type` names; JSON where there is none.
    ///
    /// # Errors
    /// [`ApiError::UnsupportedMediaType`] for any other.
    pub fn from_content_type(content_type: Option<&str>) -> Result<Self, ApiError> {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "" | "application/json" => Ok(Self::Json),
            "application/yaml" => Ok(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Ok(Self::Protobuf),
            _ => Err(ApiError::UnsupportedMediaType(MEDIA_TYPES.map(str::to_owned).to_vec())),
        }
    }
}

/// A body as a JSON value.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    pub value: Value,
    /// Paths of keys that an object had twice; the last one counts.
    pub duplicate_fields: Vec<String>,
}

/// Reads a body. The error is the bare text, to be put into the sentence that [`request`] makes of it.
///
/// # Errors
/// What the parser says, limits included.
pub fn parse(body: &[u8], format: Format) -> Result<Parsed, String> {
    if body.len() > MAX_BODY_BYTES {
        return Err(format!("limit is {MAX_BODY_BYTES}"));
    }
    match format {
        Format::Json => json::parse(body),
        Format::Yaml => yaml::parse(body).map(|value| Parsed { value, duplicate_fields: Vec::new() }),
        Format::Protobuf => crate::protobuf::decode(body)
            .map(|value| Parsed { value, duplicate_fields: Vec::new() })
            .map_err(|error| error.to_string()),
    }
}

/// Reads plain JSON within the limits: what a patch is made of.
///
/// # Errors
/// What the parser says.
pub fn value(body: &[u8]) -> serde_json::Result<Value> {
    json::read(body).map(|(value, _)| value)
}

/// Reads the object that a request for `resource` carries.
///
/// `kind` is what has to come: the resource's own, or that of a subresource (`Binding`, `Scale`).
///
/// # Errors
/// [`ApiError::TooLarge`]; [`ApiError::BadRequest`] with the real server's text for everything else.
pub fn request(kind: &Kind<'_>, body: &[u8], format: Format) -> Result<Decoded, ApiError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(ApiError::TooLarge(format!("limit is {MAX_BODY_BYTES}")));
    }
    let parsed = parse(body, format).map_err(|message| unrecognized(kind.kind, &message, body))?;
    let mut decoded = check(kind, parsed.value, body)?;
    let duplicates = parsed.duplicate_fields.iter().map(|path| format!("duplicate field {path:?}"));
    decoded.findings = duplicates.chain(decoded.findings).collect();
    Ok(decoded)
}

/// What kind of object is expected, and which type it has.
#[derive(Clone, Copy, Debug)]
pub struct Kind<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    /// The name of its schema: `io.k8s.api.core.v1.Pod`.
    pub schema: &'a str,
}

impl Kind<'_> {
    fn api_version(&self) -> String {
        registry::api_version(self.group, self.version)
    }
}

impl<'a> From<&'a Resource> for Kind<'a> {
    fn from(resource: &'a Resource) -> Self {
        Self { group: resource.group, version: resource.version, kind: resource.kind, schema: resource.schema }
    }
}

/// Checks that the value is an object of the kind, fills in `apiVersion` and `kind`, and decodes it strictly.
///
/// # Errors
/// [`ApiError::BadRequest`] for another kind, another version, or wrong types.
pub fn check(kind: &Kind<'_>, mut value: Value, body: &[u8]) -> Result<Decoded, ApiError> {
    let expected_version = kind.api_version();
    let Some(object) = value.as_object_mut() else {
        let message = format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct \
             {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            strict::json_type(&value)
        );
        return Err(unrecognized(kind.kind, &message, body));
    };
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (mut api_version, mut name) = (text("apiVersion"), text("kind"));
    if api_version.is_empty() {
        api_version.clone_from(&expected_version);
    }
    if name.is_empty() {
        kind.kind.clone_into(&mut name);
    }
    object.insert("apiVersion".into(), api_version.clone().into());
    object.insert("kind".into(), name.clone().into());
    let version = api_version.rsplit('/').next().unwrap_or_default();
    let handled = |message: String| {
        ApiError::BadRequest(format!("{name} in version {version:?} cannot be handled as a {}: {message}", kind.kind))
    };
    if name != kind.kind {
        let (group, version) = registry::split_api_version(&api_version);
        return Err(handled(if registry::find_kind(group, version, &name).is_some() {
            format!("converting ({version}.{name}) to ({}.{}): unknown conversion", internal(kind.group), kind.kind)
        } else {
            not_registered(&name, &api_version)
        }));
    }
    if api_version != expected_version {
        let (group, version) = registry::split_api_version(&api_version);
        return Err(if registry::find_kind(group, version, &name).is_some() {
            ApiError::BadRequest(format!(
                "the API version in the data ({api_version}) does not match the expected API version \
                 ({expected_version})"
            ))
        } else {
            handled(not_registered(&name, &api_version))
        });
    }
    typed(kind.schema, value).map_err(handled)
}

/// The package of a group's unversioned types upstream: `core`, `apps`, `events`.
fn internal(group: &str) -> &str {
    if group.is_empty() { "core" } else { group.split('.').next().unwrap_or_default() }
}

fn not_registered(kind: &str, api_version: &str) -> String {
    format!(
        "no kind {kind:?} is registered for version {api_version:?} in scheme \
         \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\""
    )
}

/// The answer to a body that is no object at all (k8s.io/apiserver/pkg/endpoints/handlers/rest.go).
fn unrecognized(kind: &str, message: &str, body: &[u8]) -> ApiError {
    const SHOWN: usize = 30;
    let shown = &body[..body.len().min(SHOWN)];
    let more = if body.len() > SHOWN { " ..." } else { "" };
    let summary = match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => format!("{}{more}", shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    };
    ApiError::BadRequest(format!("the object provided is unrecognized (must be of type {kind}): {message} ({summary})"))
}

/// The answer of `fieldValidation=Strict` to an object with findings (golden 300, 567).
#[must_use]
pub fn strict_error(kind: &Kind<'_>, findings: &[String]) -> ApiError {
    ApiError::BadRequest(format!(
        "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
        kind.kind,
        kind.version,
        kind.kind,
        findings.join(", ")
    ))
}
