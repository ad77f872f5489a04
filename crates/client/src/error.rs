//! What can go wrong with a request, and how to tell the cases apart that a caller acts on.

use std::fmt;
use std::path::PathBuf;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;

/// The request that failed: enough to find it in the server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: http::Method,
    /// Path and query.
    pub path: String,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// A failed request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered, and said no. `code` is that of HTTP; the rest is in the Status.
    #[error("{}", status.message.as_deref().unwrap_or("the server gave no reason"))]
    Api { request: Request, code: u16, status: Box<Status> },
    /// No answer: no connection, or it broke.
    #[error("{request}: {reason}")]
    Transport { request: Request, reason: String },
    /// An answer that is not what the API promises.
    #[error("{request}: the answer cannot be read: {reason}")]
    Decode { request: Request, reason: String },
    /// An answer longer than this client reads.
    #[error("{request}: the answer is longer than {limit} bytes")]
    TooLarge { request: Request, limit: usize },
    /// The object to send cannot be written as JSON.
    #[error("{request}: the object cannot be written: {reason}")]
    Encode { request: Request, reason: String },
    /// The server did not switch protocols when asked to.
    #[error("{request}: the server does not switch to {protocol} (it answered {code})")]
    Upgrade { request: Request, protocol: String, code: u16 },
    /// A kubeconfig that cannot be used.
    #[error("kubeconfig {path}: {reason}")]
    Kubeconfig { path: PathBuf, reason: String },
}

impl Error {
    /// The HTTP code of the server's answer, if there was one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Error::Api { code, .. } | Error::Upgrade { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The machine-readable reason of the Status: `NotFound`, `AlreadyExists`, `Conflict`, …
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.status().and_then(|status| status.reason.as_deref())
    }

    /// The server's Status.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match self {
            Error::Api { status, .. } => Some(status),
            _ => None,
        }
    }

    /// The object (or the path) does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// An object of that name exists already.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.code() == Some(409) && self.reason() == Some("AlreadyExists")
    }

    /// The object changed since it was read.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409) && self.reason() != Some("AlreadyExists")
    }

    /// Another object has the name by now: the uid that was asked for is not its own. Unlike after another
    /// [conflict](Self::is_conflict), trying again cannot help.
    #[must_use]
    pub fn is_another_object(&self) -> bool {
        // The Status says it in no other way.
        let message = self.status().and_then(|status| status.message.as_deref()).unwrap_or_default();
        self.is_conflict() && message.contains("Precondition failed: UID in precondition: ")
    }

    /// The resourceVersion is too old to watch or list from.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.code() == Some(410)
    }

    /// Trying again later may help: no connection, or the server is busy or starting.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Transport { .. }) || matches!(self.code(), Some(429 | 500 | 502 | 503 | 504))
    }
}
