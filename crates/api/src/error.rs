//! What can be wrong with a request, and its one conversion to the Kubernetes `Status`.

use std::fmt;

/// The field of an object that a validation error speaks of: `spec.containers[0].name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(pub String);

/// One finding of validation, as k8s.io/apimachinery/pkg/util/validation/field/errors.go words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub kind: FieldErrorKind,
    pub field: FieldPath,
    /// The offending value as JSON, where the kind shows one.
    pub value: Option<String>,
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

/// A request that is answered with a `Status` of failure.
///
/// The variants carry the object; [`ApiError::status`] makes the text, the reason, the code and the causes.
#[derive(Clone, Debug)]
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

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
