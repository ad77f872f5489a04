//! What can be wrong with a request, and its one conversion to the Kubernetes `Status`.
//!
//! The texts follow k8s.io/apimachinery/pkg/api/errors/errors.go and pkg/util/validation/field/errors.go.

use std::fmt;

use serde_json::{Map, Value, json};

/// The field of an object that a validation error speaks of: `spec.containers[0].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(pub String);

impl FieldPath {
    /// A path of one or more names: `FieldPath::new("spec")`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The field `name` below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self::new(name) } else { self.with([".", name, ""]) }
    }

    /// The item at `index` of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(["[", &index.to_string(), "]"])
    }

    /// The entry `key` of this map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(["[", key, "]"])
    }

    /// Paths are made for every field that is looked at, wrong or not: a formatter would cost more than the look.
    fn with(&self, parts: [&str; 3]) -> Self {
        let mut path = String::with_capacity(self.0.len() + parts.iter().map(|part| part.len()).sum::<usize>());
        path.push_str(&self.0);
        parts.iter().for_each(|part| path.push_str(part));
        Self(path)
    }
}

/// One finding of validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// What is wrong with the field.
    pub kind: FieldErrorKind,
    /// Where.
    pub field: FieldPath,
    /// The offending value, where the kind shows one.
    pub value: Option<Value>,
    /// What would be right.
    pub detail: String,
}

/// The kinds of findings; the names are the `reason` of a Status cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    Required,
    Invalid,
    NotSupported,
    Duplicate,
    NotFound,
    Forbidden,
    TooLong,
    TooMany,
    TypeInvalid,
}

impl FieldErrorKind {
    /// How a message begins.
    fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::NotFound => "Not found",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
        }
    }

    /// The `reason` of a Status cause.
    fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::NotFound => "FieldValueNotFound",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }
}

impl FieldError {
    fn new(kind: FieldErrorKind, field: &FieldPath, value: Option<Value>, detail: impl Into<String>) -> Self {
        Self { kind, field: field.clone(), value, detail: detail.into() }
    }

    /// The field has to be there and is not.
    pub fn required(field: &FieldPath, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Required, field, None, detail)
    }

    /// The value is not one the field can have.
    pub fn invalid(field: &FieldPath, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Invalid, field, Some(value.into()), detail)
    }

    /// The value is none of those listed.
    pub fn not_supported(field: &FieldPath, value: impl Into<Value>, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|text| format!("{text:?}")).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        Self::new(FieldErrorKind::NotSupported, field, Some(value.into()), detail)
    }

    /// The value was there before.
    pub fn duplicate(field: &FieldPath, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::Duplicate, field, Some(value.into()), "")
    }

    /// The value names something that does not exist.
    pub fn not_found(field: &FieldPath, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::NotFound, field, Some(value.into()), "")
    }

    /// The field may not be set, or not be changed.
    pub fn forbidden(field: &FieldPath, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Forbidden, field, None, detail)
    }

    /// More than `limit` bytes.
    #[must_use]
    pub fn too_long(field: &FieldPath, limit: usize) -> Self {
        Self::new(FieldErrorKind::TooLong, field, None, format!("may not be more than {limit} bytes"))
    }

    /// More than `limit` items.
    #[must_use]
    pub fn too_many(field: &FieldPath, count: usize, limit: usize) -> Self {
        Self::new(FieldErrorKind::TooMany, field, Some(count.into()), format!("must have at most {limit} items"))
    }

    /// The message without the field: `Duplicate value: "a"`.
    #[must_use]
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if let Some(value) = &self.value {
            text.push_str(": ");
            match value {
                Value::Null => text.push_str("\"null\""),
                value => text.push_str(&value.to_string()),
            }
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// A request that is answered with a `Status` of failure.
///
/// The variants carry the object; [`ApiError::status`] makes the text, the reason, the code and the causes.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiError {
    /// 404, `pods "x" not found`.
    NotFound { group: String, plural: String, name: String },
    /// 404 for a path that is no resource at all.
    UnknownPath,
    /// 409, `pods "x" already exists`.
    AlreadyExists { group: String, plural: String, name: String },
    /// 409, the object was modified in between.
    Conflict { group: String, plural: String, name: String, message: String },
    /// 422, with all findings.
    Invalid { group: String, kind: String, name: String, errors: Vec<FieldError> },
    /// 422 for a patch that does not fit the object.
    Unprocessable(String),
    /// 403.
    Forbidden { group: String, plural: String, name: String, message: String },
    /// 400.
    BadRequest(String),
    /// 401.
    Unauthorized,
    /// 405.
    MethodNotAllowed,
    /// 406, with the media types that would be accepted.
    NotAcceptable(Vec<String>),
    /// 410, the resourceVersion is too old.
    Expired(String),
    /// 413.
    TooLarge(String),
    /// 415, with the media types that would be accepted.
    UnsupportedMediaType(Vec<String>),
    /// 429.
    TooManyRequests { message: String, retry_after_seconds: u32 },
    /// 500.
    Internal(String),
    /// 503.
    Unavailable(String),
    /// 504.
    Timeout(String),
}

/// `pods`, or `deployments.apps`.
fn qualified(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

impl ApiError {
    /// The text of the conflict that stale resourceVersions end in.
    pub const MODIFIED: &str =
        "the object has been modified; please apply your changes to the latest version and try again";

    /// The HTTP status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Unauthorized => 401,
            Self::Forbidden { .. } => 403,
            Self::NotFound { .. } | Self::UnknownPath => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable(_) => 406,
            Self::AlreadyExists { .. } | Self::Conflict { .. } => 409,
            Self::Expired(_) => 410,
            Self::TooLarge(_) => 413,
            Self::UnsupportedMediaType(_) => 415,
            Self::Invalid { .. } | Self::Unprocessable(_) => 422,
            Self::TooManyRequests { .. } => 429,
            Self::Internal(_) => 500,
            Self::Unavailable(_) => 503,
            Self::Timeout(_) => 504,
        }
    }

    /// The machine-readable reason, a word of metav1.StatusReason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "BadRequest",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden { .. } => "Forbidden",
            Self::NotFound { .. } | Self::UnknownPath => "NotFound",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable(_) => "NotAcceptable",
            Self::AlreadyExists { .. } => "AlreadyExists",
            Self::Conflict { .. } => "Conflict",
            Self::Expired(_) => "Expired",
            Self::TooLarge(_) => "RequestEntityTooLarge",
            Self::UnsupportedMediaType(_) => "UnsupportedMediaType",
            Self::Invalid { .. } | Self::Unprocessable(_) => "Invalid",
            Self::TooManyRequests { .. } => "TooManyRequests",
            Self::Internal(_) => "InternalError",
            Self::Unavailable(_) => "ServiceUnavailable",
            Self::Timeout(_) => "Timeout",
        }
    }

    /// The metav1.Status that answers the request.
    #[must_use]
    pub fn status(&self) -> Value {
        let mut status = Map::new();
        status.insert("kind".into(), "Status".into());
        status.insert("apiVersion".into(), "v1".into());
        status.insert("metadata".into(), json!({}));
        status.insert("status".into(), "Failure".into());
        status.insert("message".into(), self.to_string().into());
        status.insert("reason".into(), self.reason().into());
        if let Some(details) = self.details() {
            status.insert("details".into(), details);
        }
        status.insert("code".into(), self.code().into());
        Value::Object(status)
    }

    /// `details` of the Status; some reasons have none, some an empty one.
    fn details(&self) -> Option<Value> {
        let mut details = Map::new();
        match self {
            Self::NotFound { group, plural, name }
            | Self::AlreadyExists { group, plural, name }
            | Self::Conflict { group, plural, name, .. }
            | Self::Forbidden { group, plural, name, .. } => object_details(&mut details, name, group, plural),
            Self::Invalid { group, kind, name, errors } => {
                object_details(&mut details, name, group, kind);
                let causes: Vec<Value> = errors
                    .iter()
                    .map(
                        |error| json!({"reason": error.kind.reason(), "message": error.body(), "field": error.field.0}),
                    )
                    .collect();
                if !causes.is_empty() {
                    details.insert("causes".into(), causes.into());
                }
            }
            Self::TooManyRequests { retry_after_seconds, .. } if *retry_after_seconds > 0 => {
                details.insert("retryAfterSeconds".into(), (*retry_after_seconds).into());
            }
            Self::Internal(message) => {
                details.insert("causes".into(), json!([{ "message": message }]));
            }
            Self::UnknownPath
            | Self::Unprocessable(_)
            | Self::MethodNotAllowed
            | Self::NotAcceptable(_)
            | Self::TooManyRequests { .. } => {}
            Self::BadRequest(_)
            | Self::Unauthorized
            | Self::Expired(_)
            | Self::TooLarge(_)
            | Self::UnsupportedMediaType(_)
            | Self::Unavailable(_)
            | Self::Timeout(_) => return None,
        }
        Some(Value::Object(details))
    }
}

/// The object that the details speak of; empty parts are left out, as upstream's `omitempty` does.
fn object_details(details: &mut Map<String, Value>, name: &str, group: &str, kind: &str) {
    for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
        if !value.is_empty() {
            details.insert(key.into(), value.into());
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// The `message` of the Status.
impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { group, plural, name } => write!(f, "{} {name:?} not found", qualified(group, plural)),
            Self::UnknownPath => f.write_str("the server could not find the requested resource"),
            Self::AlreadyExists { group, plural, name } => {
                write!(f, "{} {name:?} already exists", qualified(group, plural))
            }
            Self::Conflict { group, plural, name, message } => {
                write!(f, "Operation cannot be fulfilled on {} {name:?}: {message}", qualified(group, plural))
            }
            Self::Invalid { group, kind, name, errors } => {
                write!(f, "{} {name:?} is invalid", qualified(group, kind))?;
                // The same finding twice is told once.
                let mut texts: Vec<String> = Vec::new();
                for error in errors {
                    let text = error.to_string();
                    if !texts.contains(&text) {
                        texts.push(text);
                    }
                }
                match texts.as_slice() {
                    [] => Ok(()),
                    [one] => write!(f, ": {one}"),
                    several => write!(f, ": [{}]", several.join(", ")),
                }
            }
            Self::Forbidden { group, plural, name, message } if name.is_empty() => {
                write!(f, "{} is forbidden: {message}", qualified(group, plural))
            }
            Self::Forbidden { group, plural, name, message } => {
                write!(f, "{} {name:?} is forbidden: {message}", qualified(group, plural))
            }
            Self::Unauthorized => f.write_str("Unauthorized"),
            Self::MethodNotAllowed => f.write_str("the server does not allow this method on the requested resource"),
            Self::NotAcceptable(types) => {
                write!(f, "406: Not Acceptable\n\nAvailable representations: {}", types.join(", "))
            }
            Self::TooLarge(message) => write!(f, "Request entity too large: {message}"),
            Self::UnsupportedMediaType(types) => write!(
                f,
                "the body of the request was in an unknown format - accepted media types include: {}",
                types.join(", ")
            ),
            Self::Internal(message) => write!(f, "Internal error occurred: {message}"),
            Self::Timeout(message) => write!(f, "Timeout: {message}"),
            Self::BadRequest(message)
            | Self::Unprocessable(message)
            | Self::Expired(message)
            | Self::TooManyRequests { message, .. }
            | Self::Unavailable(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden 566.
    #[test]
    fn an_invalid_object_lists_its_causes() {
        let field = FieldPath::new("spec").child("containers").index(1).child("name");
        let error = ApiError::Invalid {
            group: String::new(),
            kind: "Pod".into(),
            name: "bad".into(),
            errors: vec![FieldError::duplicate(&field, "a")],
        };
        assert_eq!(
            error.status(),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "Pod \"bad\" is invalid: spec.containers[1].name: Duplicate value: \"a\"",
                "reason": "Invalid",
                "details": {"name": "bad", "kind": "Pod", "causes": [{
                    "reason": "FieldValueDuplicate",
                    "message": "Duplicate value: \"a\"",
                    "field": "spec.containers[1].name",
                }]},
                "code": 422,
            })
        );
    }

    /// Goldens 564, 565, 571, 572, 580, and the group of kinds that have one.
    #[test]
    fn messages_are_the_real_servers() {
        let named = |group: &str, plural: &str, name: &str| (group.to_owned(), plural.to_owned(), name.to_owned());
        let (group, plural, name) = named("apps", "deployments", "kuard");
        assert_eq!(ApiError::NotFound { group, plural, name }.to_string(), "deployments.apps \"kuard\" not found");
        let (group, plural, name) = named("", "pods", "guaranteed");
        assert_eq!(
            ApiError::AlreadyExists { group, plural, name }.status()["details"],
            json!({"name": "guaranteed", "kind": "pods"})
        );
        let forbidden = ApiError::Forbidden {
            group: String::new(),
            plural: "pods".into(),
            name: String::new(),
            message: "User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" at the cluster scope"
                .into(),
        };
        assert_eq!(
            forbidden.to_string(),
            "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" \
             at the cluster scope"
        );
        assert_eq!(forbidden.status()["details"], json!({"kind": "pods"}));
        assert_eq!(ApiError::MethodNotAllowed.status()["details"], json!({}));
        assert_eq!(ApiError::BadRequest("x".into()).status().get("details"), None);
    }
}
