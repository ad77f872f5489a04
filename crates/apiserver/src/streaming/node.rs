//! Requests to the HTTP of a node, each on a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use podlab_api::error::ApiError;
use serde_json::Value;

use crate::http::place_of;
use crate::server::Server;
use crate::store::Key;

/// A node has this long to begin its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an error text, and of a summary, that are read from a node.
const ERROR_BYTES: usize = 2048;
const SUMMARY_BYTES: usize = 16 << 20;
/// The protocol that frames of exec and attach are spoken in.
const PROTOCOL: &str = "podlab-stream";
/// The port that a kubelet is known by; texts name it.
const KUBELET_PORT: u16 = 10250;

/// Why a node gave nothing.
#[derive(Debug)]
pub(super) enum NodeError {
    /// It cannot be reached: what the real server says then.
    Unreachable(String),
    /// It answered, and refused.
    Refused(StatusCode, String),
}

impl NodeError {
    /// The answer to a request that failed so (k8s.io/apiserver/pkg/registry/generic/rest/response_checker.go).
    pub(super) fn into_api(self, plural: &str, name: &str) -> ApiError {
        match self {
            Self::Unreachable(text) => ApiError::Unavailable(text),
            Self::Refused(StatusCode::BAD_REQUEST, text) => ApiError::BadRequest(text),
            Self::Refused(StatusCode::NOT_FOUND, _) => {
                ApiError::NotFound { group: String::new(), plural: plural.into(), name: name.into() }
            }
            Self::Refused(_, text) => ApiError::Internal(text),
        }
    }

    /// The bare text.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Unreachable(text) | Self::Refused(_, text) => text,
        }
    }

    /// Why a command could not be run (goldens 122 and 244).
    pub(super) fn not_run(&self) -> String {
        match self {
            Self::Unreachable(text) => format!("error sending request: {text}"),
            Self::Refused(_, text) => format!("unable to upgrade connection: {text}"),
        }
    }
}

/// Sends a request to a node; gives its answer if it is a good one.
pub(super) async fn send(
    server: &Server,
    node: &str,
    method: Method,
    path: &str,
    upgrade: bool,
) -> Result<Response<Incoming>, NodeError> {
    let unreachable =
        |error: &dyn std::fmt::Display| NodeError::Unreachable(unreachable(server, node, &method, path, error));
    let stream = server.inner.nodes.dial(node).await.map_err(|error| unreachable(&plain(&error)))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    let stopping = server.inner.stopping.clone();
    server.inner.tasks.spawn(async move {
        tokio::select! {
            // An error here shows in the answer as well.
            _ = connection.with_upgrades() => {}
            () = stopping.cancelled() => {}
        }
    });
    let mut request = Request::builder().method(&method).uri(path).header(HOST, "node");
    if upgrade {
        request = request.header(CONNECTION, "Upgrade").header(UPGRADE, PROTOCOL);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| unreachable(&error))?;
    let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
    let response = answer.map_err(|_| unreachable(&"no answer"))?.map_err(|error| unreachable(&error))?;
    let expected = if upgrade { StatusCode::SWITCHING_PROTOCOLS } else { StatusCode::OK };
    if response.status() == expected {
        return Ok(response);
    }
    let status = response.status();
    let text = match Limited::new(response.into_body(), ERROR_BYTES).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).trim_end_matches('\n').to_owned(),
        Err(_) => status.to_string(),
    };
    Err(NodeError::Refused(status, text))
}

/// Upgrades to a stream of bytes.
pub(super) async fn upgrade(server: &Server, node: &str, path: &str) -> Result<TokioIo<Upgraded>, NodeError> {
    let response = send(server, node, Method::POST, path, true).await?;
    let upgraded = hyper::upgrade::on(response).await;
    upgraded.map(TokioIo::new).map_err(|error| NodeError::Refused(StatusCode::BAD_GATEWAY, error.to_string()))
}

/// What a node measures.
pub(crate) async fn summary(server: &Server, node: &str) -> Result<Value, ApiError> {
    let answer = send(server, node, Method::GET, "/stats/summary", false).await;
    let response = answer.map_err(|error| error.into_api("nodes", node))?;
    let body = Limited::new(response.into_body(), SUMMARY_BYTES).collect().await;
    let body = body.map_err(|error| ApiError::Internal(error.to_string()))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| ApiError::Internal(error.to_string()))
}

/// The words of the operating system, as Go says them.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound => "connect: connection refused".into(),
        _ => error.to_string(),
    }
}

/// What the real server says of a kubelet it cannot reach (goldens 121 and 122).
fn unreachable(server: &Server, node: &str, method: &Method, path: &str, error: &dyn std::fmt::Display) -> String {
    let address = address(server, node);
    let verb = if method == Method::GET { "Get" } else { "Post" };
    let path = as_kubelet(path);
    format!("{verb} \"https://{address}:{KUBELET_PORT}{path}\": dial tcp {address}:{KUBELET_PORT}: {error}")
}

/// The path as a real kubelet has it: its parameters have other names, and stand in order.
fn as_kubelet(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let renamed = |name: &str| match name {
        "stdin" => "input".to_owned(),
        "stdout" => "output".to_owned(),
        "stderr" => "error".to_owned(),
        other => other.to_owned(),
    };
    let mut parameters: Vec<(String, String)> =
        form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (renamed(&name), value.into_owned())).collect();
    // Sorted by name; several of one name keep their order.
    parameters.sort_by(|a, b| a.0.cmp(&b.0));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{path}?{query}")
}

/// The internal address of a node, or its name while it has none.
fn address(server: &Server, node: &str) -> String {
    let key = Key::new(place_of("nodes"), "", node);
    let found = server.store().get(&key).map(|node| node.value());
    let addresses = found.iter().flat_map(|node| node["status"]["addresses"].as_array()).flatten();
    let internal =
        addresses.filter(|address| address["type"] == "InternalIP").find_map(|address| address["address"].as_str());
    internal.unwrap_or(node).to_owned()
}

/// Text as part of a path.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        // These are plain in every name, and the texts show them so.
        .replace("%2D", "-")
        .replace("%2E", ".")
        .replace("%5F", "_")
}
