//! SPDY/3.1, as far as Kubernetes speaks it: many streams on one upgraded connection.
//!
//! kubectl up to 1.29 uses it for exec and attach, up to 1.30 for port-forward, and later ones still put its frames into
//! a WebSocket for port-forward. Only the server's side is here: clients open the streams. The protocol is described in
//! the SPDY draft 3.1; the client that is on the other end (moby/spdystream) neither sends nor heeds flow control windows,
//! so none are kept: a stream that is not read holds up its connection, which is one command's own.

mod codec;
mod dictionary;
mod exec;
mod session;

use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use podlab_api::error::ApiError;

use crate::http::Call;
use crate::server::Body;

pub(super) use exec::exec;
pub(super) use session::{Session, Stream};

const PROTOCOL: &str = "SPDY/3.1";
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

pub(super) fn is_upgrade(parts: &Parts) -> bool {
    parts.headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(PROTOCOL.as_bytes()))
}

/// The answer that switches protocols, and the promise of the connection behind it.
///
/// # Errors
/// When the client knows none of the stream protocols, or the connection cannot be upgraded.
pub(super) fn upgrade(call: &mut Call, known: &[&'static str]) -> Result<(Response<Body>, OnUpgrade), ApiError> {
    let headers = call.parts.headers.get_all(STREAM_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<String> =
        headers.flat_map(|text| text.split(',')).map(|protocol| protocol.trim().to_owned()).collect();
    let chosen = known.iter().find(|known| offered.iter().any(|offered| offered == *known));
    let Some(chosen) = chosen else {
        return Err(ApiError::BadRequest(format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
            offered.join(" "),
            known.join(" ")
        )));
    };
    let promise = call.parts.extensions.remove::<OnUpgrade>();
    let promise = promise.ok_or_else(|| ApiError::BadRequest("this connection cannot be upgraded".to_owned()))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(chosen));
    Ok((response, promise))
}
