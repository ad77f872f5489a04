//! One request and its answer.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde::de::DeserializeOwned;

use crate::error::{Error, Request};
use crate::kubeconfig::{self, Endpoint};
use crate::path::Path;
use crate::transport::{BoxError, Transport};

/// The longest answer that is read into memory (a list of ten thousand Pods has some 30 MB). Watches and logs are
/// read piece by piece and have no such limit.
pub const MAX_ANSWER: usize = 256 << 20;

/// The body of an answer.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;

/// A client of one API server. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Transport,
    /// `Bearer …`, sent with every request.
    authorization: Option<HeaderValue>,
    /// Where the token of a request's `Authorization` is read, when it changes with time.
    token_file: Option<PathBuf>,
    user_agent: HeaderValue,
    /// The namespace of the kubeconfig's context.
    namespace: String,
}

impl Client {
    /// A server behind a Unix socket, which tells the caller's identity by the socket it listens on. Nothing is
    /// connected before the first request, so the server may start later.
    #[must_use]
    pub fn unix(socket: impl Into<PathBuf>) -> Self {
        Self::new(Transport::unix(socket.into()), None, "default")
    }

    /// A server in this process.
    pub fn from_service<S, B>(service: S) -> Self
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::new(Transport::service(service), None, "default")
    }

    /// The server of the current context of a kubeconfig file.
    ///
    /// # Errors
    /// When the file cannot be read or names no usable server and credentials.
    pub fn from_kubeconfig(path: impl AsRef<FilePath>) -> Result<Self, Error> {
        Self::from_endpoint(kubeconfig::load(path.as_ref(), None)?)
    }

    /// The server of an endpoint that was read before.
    ///
    /// # Errors
    /// When the token has characters that no header can carry.
    pub fn from_endpoint(endpoint: Endpoint) -> Result<Self, Error> {
        let authorization = endpoint.token.as_ref().map(|token| bearer(token, &endpoint.file)).transpose()?;
        let (namespace, token_file) = (endpoint.namespace.clone(), endpoint.token_file.clone());
        let mut client = Self::new(Transport::network(endpoint), authorization, &namespace);
        // It was just made: nobody else has it.
        if let Some(shared) = Arc::get_mut(&mut client.shared) {
            shared.token_file = token_file;
        }
        Ok(client)
    }

    /// Says in every request who asks; the server notes it as the manager of the fields that are written.
    #[must_use]
    pub fn user_agent(mut self, name: &'static str) -> Self {
        // A client that was just made has no copies yet; one that has goes on as it was.
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.user_agent = HeaderValue::from_static(name);
        }
        self
    }

    fn new(transport: Transport, authorization: Option<HeaderValue>, namespace: &str) -> Self {
        let user_agent = HeaderValue::from_static(concat!("podlab/", env!("CARGO_PKG_VERSION")));
        let namespace = namespace.to_owned();
        Client { shared: Arc::new(Shared { transport, authorization, token_file: None, user_agent, namespace }) }
    }

    /// The namespace of the kubeconfig's context; `default` when it names none.
    #[must_use]
    pub fn default_namespace(&self) -> &str {
        &self.shared.namespace
    }

    /// Sends a request as it is (the path in its URI, without a host) and returns the answer, whatever its code.
    ///
    /// # Errors
    /// [`Error::Transport`] when there was no answer.
    pub async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, Error> {
        let (mut parts, body) = request.into_parts();
        let line = Request { method: parts.method.clone(), path: parts.uri.to_string() };
        parts.headers.entry(header::USER_AGENT).or_insert_with(|| self.shared.user_agent.clone());
        parts.headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        if let Some(value) = &self.shared.authorization {
            parts.headers.entry(header::AUTHORIZATION).or_insert_with(|| value.clone());
        }
        if let Some(path) = &self.shared.token_file {
            let fail = |reason| Error::Kubeconfig { path: path.clone(), reason };
            parts.headers.insert(header::AUTHORIZATION, bearer(&kubeconfig::read_token(path).map_err(fail)?, path)?);
        }
        let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
        self.shared
            .transport
            .call(http::Request::from_parts(parts, body))
            .await
            .map_err(|error| Error::Transport { request: line, reason: chain(&*error) })
    }

    /// Sends a request; an answer other than 2xx becomes [`Error::Api`]. For streams: the body is not read.
    ///
    /// # Errors
    /// As [`Client::send`], and the server's refusal.
    pub async fn open(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, Error> {
        let line = Request { method: request.method().clone(), path: request.uri().to_string() };
        let response = self.send(request).await?;
        if response.status().is_success() || response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let body = read(&line, response.into_body()).await?;
        Err(Error::Api { request: line, code, status: Box::new(status_of(code, &body)) })
    }

    /// Sends a request and decodes the JSON of its answer.
    ///
    /// # Errors
    /// As [`Client::open`], and an answer that is not a `T`.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &Path,
        content_type: Option<&'static str>,
        body: Bytes,
    ) -> Result<T, Error> {
        let line = Request { method: method.clone(), path: path.as_str().to_owned() };
        let mut request = http::Request::builder().method(method).uri(path.as_str());
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request =
            request.body(body).map_err(|error| Error::Encode { request: line.clone(), reason: error.to_string() })?;
        let response = self.open(request).await?;
        let body = read(&line, response.into_body()).await?;
        serde_json::from_slice(&body).map_err(|error| Error::Decode { request: line, reason: error.to_string() })
    }

    /// GETs text: a log, `/healthz`, `/version`.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub async fn get_bytes(&self, path: &Path) -> Result<Bytes, Error> {
        let line = Request { method: Method::GET, path: path.as_str().to_owned() };
        let request = http::Request::get(path.as_str())
            .header(header::ACCEPT, "*/*")
            .body(Bytes::new())
            .map_err(|error| Error::Encode { request: line.clone(), reason: error.to_string() })?;
        read(&line, self.open(request).await?.into_body()).await
    }

    /// Asks the server to switch protocols (exec, attach, port-forward) and returns the raw stream.
    ///
    /// `protocol` is the value of the Upgrade header; `headers` carries what that protocol wants beside it.
    ///
    /// # Errors
    /// [`Error::Api`] when the server says why not, [`Error::Upgrade`] when it answers anything else but 101.
    pub async fn upgrade(
        &self,
        path: &Path,
        protocol: &str,
        headers: http::HeaderMap,
    ) -> Result<(http::HeaderMap, hyper::upgrade::Upgraded), Error> {
        let line = Request { method: Method::GET, path: path.as_str().to_owned() };
        let mut request = http::Request::get(path.as_str())
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, protocol)
            .body(Bytes::new())
            .map_err(|error| Error::Encode { request: line.clone(), reason: error.to_string() })?;
        request.headers_mut().extend(headers);
        let mut response = self.open(request).await?;
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            let code = response.status().as_u16();
            return Err(Error::Upgrade { request: line, protocol: protocol.to_owned(), code });
        }
        let stream = hyper::upgrade::on(&mut response)
            .await
            .map_err(|error| Error::Transport { request: line, reason: chain(&error) })?;
        Ok((response.headers().clone(), stream))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("transport", &self.shared.transport).finish_non_exhaustive()
    }
}

/// Reads a whole body, up to [`MAX_ANSWER`].
async fn read(request: &Request, mut body: Body) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::Transport { request: request.clone(), reason: chain(&*error) })?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > MAX_ANSWER {
                return Err(Error::TooLarge { request: request.clone(), limit: MAX_ANSWER });
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}

/// The Status in an answer; one is made up from the text when the answer has none (a proxy's page, say).
fn status_of(code: u16, body: &[u8]) -> Status {
    match serde_json::from_slice::<Status>(body) {
        Ok(status) if status.message.is_some() || status.reason.is_some() => status,
        _ => Status {
            code: Some(i32::from(code)),
            message: Some(match String::from_utf8_lossy(&body[..body.len().min(2048)]).trim() {
                "" => format!("the server answered {code}"),
                text => text.to_owned(),
            }),
            status: Some("Failure".to_owned()),
            ..Status::default()
        },
    }
}

/// An error and what caused it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

/// Boxes the body of an answer that came over a connection.
pub(crate) fn boxed(response: http::Response<Incoming>) -> http::Response<Body> {
    response.map(|body| body.map_err(BoxError::from).boxed_unsync())
}

/// The header that carries a token, which is never shown.
fn bearer(token: &str, file: &FilePath) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Error::Kubeconfig {
        path: file.to_owned(),
        reason: "the token has characters that no header can carry".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}
