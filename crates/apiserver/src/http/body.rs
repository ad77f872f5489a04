//! Reading the body of a request, up to the limit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use podlab_api::decode::{self, Decoded, Format, Kind, MAX_BODY_BYTES};
use podlab_api::error::ApiError;
use podlab_api::registry::Resource;

use super::Call;
use crate::server::Body;

/// Bytes of a body that nobody wanted which are still taken, and for how long.
const DRAIN_BYTES: usize = 64 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The body of a request until somebody takes it.
#[derive(Clone)]
pub(crate) struct Unread(Arc<Mutex<Option<Body>>>);

impl Unread {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Reads a small rest that nobody took: over HTTP/2 a stream that is dropped before its end is reset, and the client
    /// may lose the answer with it.
    pub(super) fn drain(&self) {
        use http_body::Body as _;
        if let Some(body) = self.take().filter(|body| !body.is_end_stream()) {
            tokio::spawn(tokio::time::timeout(DRAIN_TIME, Limited::new(body, DRAIN_BYTES).collect()));
        }
    }
}

impl Call {
    /// The whole body.
    ///
    /// # Errors
    /// When it is larger than 3 MiB, or the client stops sending.
    pub(crate) async fn body(&mut self) -> Result<Bytes, ApiError> {
        let Some(body) = self.body.take() else { return Ok(Bytes::new()) };
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                ApiError::TooLarge(format!("limit is {MAX_BODY_BYTES}"))
            } else {
                ApiError::BadRequest(format!("the body could not be read: {error}"))
            }
        })?;
        Ok(body.to_bytes())
    }

    /// The body as it arrives, to be passed on.
    pub(crate) fn take_body(&mut self) -> Body {
        self.body.take().unwrap_or_default()
    }

    /// What kind of text the body is said to be, without parameters.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok())
    }

    /// The object in the body, decoded as `kind`, with what `fieldValidation` makes of surplus fields: an error, or
    /// warnings for the answer.
    ///
    /// # Errors
    /// When the body is no such object.
    pub(crate) async fn decode(&mut self, kind: &Kind<'_>) -> Result<(serde_json::Value, Vec<String>), ApiError> {
        let format = Format::from_content_type(self.content_type())?;
        let body = self.body().await?;
        let decoded = decode::request(kind, &body, format)?;
        self.judge(kind, decoded)
    }

    /// Applies `fieldValidation` to what strict decoding found.
    ///
    /// # Errors
    /// With `Strict`, when there is anything; with a word that is none of the three.
    pub(crate) fn judge(
        &self,
        kind: &Kind<'_>,
        decoded: Decoded,
    ) -> Result<(serde_json::Value, Vec<String>), ApiError> {
        let Decoded { object, findings } = decoded;
        match self.query.given("fieldValidation") {
            Some("Ignore") => Ok((object, Vec::new())),
            Some("Strict") if !findings.is_empty() => Err(decode::strict_error(kind, &findings)),
            Some("Strict" | "Warn") | None => Ok((object, findings)),
            Some(other) => Err(ApiError::BadRequest(format!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }
}

/// The kind that a subresource takes and gives.
pub(crate) fn kind_of<'a>(resource: &'a Resource, subresource: &'a podlab_api::registry::Subresource) -> Kind<'a> {
    let own = subresource.version.is_empty();
    Kind {
        group: if own { resource.group } else { subresource.group },
        version: if own { resource.version } else { subresource.version },
        kind: subresource.kind,
        schema: subresource.schema(resource),
    }
}
