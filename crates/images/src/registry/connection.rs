//! Requests to one registry: authentication, redirects, deadlines.

use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, USER_AGENT, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::time::timeout;

use super::challenge::Challenge;
use super::hosts::is_loopback;
use super::{Credentials, PullError};

/// To connect, and between two pieces of an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Redirects followed for one request.
const REDIRECTS: usize = 5;
/// Bytes of a token server's answer.
const TOKEN_LIMIT: usize = 1 << 20;

/// A registry at one address, with the right to pull from one repository once it was given.
pub(super) struct Connection {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    /// `https://host:port`.
    endpoint: String,
    credentials: Option<Credentials>,
    authorization: tokio::sync::Mutex<Option<HeaderValue>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

impl Connection {
    pub(super) fn new(endpoint: String, credentials: Option<Credentials>) -> Result<Connection, PullError> {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(PATIENCE));
        http.enforce_http(false);
        let builder = hyper_rustls::HttpsConnectorBuilder::new();
        let connector = builder
            .with_native_roots()
            .map_err(|error| PullError::Failed { endpoint: endpoint.clone(), problem: error.to_string() })?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Connection { client, endpoint, credentials, authorization: tokio::sync::Mutex::default() })
    }

    /// `GET` below the registry's root, authenticated as it wishes, redirects followed.
    pub(super) async fn get(&self, path: &str, accept: &str) -> Result<Response<Incoming>, PullError> {
        let url = format!("{}{path}", self.endpoint);
        let known = self.authorization.lock().await.clone();
        let response = self.follow(&url, accept, known).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let challenge = response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .find_map(|header| Challenge::parse(header.to_str().ok()?));
        let Some(challenge) = challenge else { return Ok(response) };
        let Some(authorization) = self.answer(&challenge).await? else { return Ok(response) };
        *self.authorization.lock().await = Some(authorization.clone());
        self.follow(&url, accept, Some(authorization)).await
    }

    pub(super) fn failed(&self, url: &str, problem: impl std::fmt::Display) -> PullError {
        // A kubelet's runtime asks for the head of a manifest first, and that is what its users have seen.
        let verb = if url.contains("/manifests/") { "Head" } else { "Get" };
        let url = if url.starts_with('/') { format!("{}{url}", self.endpoint) } else { url.to_owned() };
        PullError::Failed { endpoint: self.endpoint.clone(), problem: format!("{verb} \"{url}\": {problem}") }
    }

    async fn follow(
        &self,
        url: &str,
        accept: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, PullError> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            // Credentials are for the registry, and for nobody it points to.
            let own = url.strip_prefix(&self.endpoint).is_some_and(|rest| rest.starts_with('/'));
            let response = self.send(&url, accept, authorization.clone().filter(|_| own)).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let Some(location) = location else { return Ok(response) };
            url = self.resolve(&url, location)?;
        }
        Err(self.failed(&url, format!("stopped after {REDIRECTS} redirects")))
    }

    /// Where a redirect leads. From TLS never to plain text, and never from elsewhere to this machine.
    fn resolve(&self, from: &str, location: &str) -> Result<String, PullError> {
        let refused = || self.failed(from, format!("a redirect to {location:?} is not followed"));
        if location.starts_with('/') && !location.starts_with("//") {
            let uri: Uri = from.parse().map_err(|_| refused())?;
            let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(refused()) };
            return Ok(format!("{scheme}://{authority}{location}"));
        }
        let uri: Uri = location.parse().map_err(|_| refused())?;
        let local = |url: &str| {
            url.parse::<Uri>().is_ok_and(|uri| uri.authority().is_some_and(|authority| is_loopback(authority.as_str())))
        };
        let allowed = match uri.scheme_str() {
            Some("https") => !local(location) || local(&self.endpoint),
            Some("http") => self.endpoint.starts_with("http://") && (!local(location) || local(&self.endpoint)),
            _ => false,
        };
        if allowed { Ok(location.to_owned()) } else { Err(refused()) }
    }

    async fn send(
        &self,
        url: &str,
        accept: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, PullError> {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(url)
            .header(ACCEPT, accept)
            .header(USER_AGENT, concat!("podlab/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| self.failed(url, error))?;
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        match timeout(PATIENCE, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.failed(url, why(&error, url))),
            Err(_) => Err(self.failed(url, format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    /// The `Authorization` that answers a challenge; `None` when we have nothing to answer with.
    async fn answer(&self, challenge: &Challenge) -> Result<Option<HeaderValue>, PullError> {
        let basic = self.credentials.as_ref().map(|Credentials { user, password }| {
            let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            secret(&format!("Basic {encoded}"))
        });
        let (realm, service, scope) = match challenge {
            Challenge::Basic => return basic.transpose().map_err(|error| self.failed(&self.endpoint, error)),
            Challenge::Bearer { realm, service, scope } => (realm, service, scope),
        };
        // Whoever reads the wire must not learn a token that was asked for over TLS.
        if !realm.starts_with("https://") && !self.endpoint.starts_with("http://") {
            return Err(self.failed(realm, "the token server does not use TLS"));
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("service", service), ("scope", scope)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let separator = if realm.contains('?') { '&' } else { '?' };
        let url = format!("{realm}{separator}{}", query.finish());
        let basic = basic.transpose().map_err(|error| self.failed(realm, error))?;
        let response = self.send(&url, "application/json", basic).await?;
        if !response.status().is_success() {
            return Err(PullError::Denied { problem: format!("Get \"{realm}\": {}", response.status()) });
        }
        let body = timeout(PATIENCE, Limited::new(response.into_body(), TOKEN_LIMIT).collect()).await;
        let body = body.map_err(|_| self.failed(realm, "no answer"))?.map_err(|error| self.failed(realm, error))?;
        let token: Token = serde_json::from_slice(&body.to_bytes()).map_err(|error| self.failed(realm, error))?;
        secret(&format!("Bearer {}", token.token)).map(Some).map_err(|error| self.failed(realm, error))
    }
}

/// A header whose value is never shown.
fn secret(text: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The cause that says something (the outer errors are "client error" and the like); what is well known, in the words
/// in which the runtimes of real nodes say it.
fn why(error: &(dyn std::error::Error + 'static), url: &str) -> String {
    let mut cause = error;
    let mut looking_up = false;
    while let Some(source) = cause.source() {
        looking_up |= source.to_string() == "dns error";
        cause = source;
    }
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or(url);
    let address = uri.as_ref().and_then(Uri::authority).map_or(host, |authority| authority.as_str());
    match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        _ if looking_up => format!("dial tcp: lookup {host}: no such host"),
        Some(std::io::ErrorKind::ConnectionRefused) => format!("dial tcp {address}: connect: connection refused"),
        Some(std::io::ErrorKind::NetworkUnreachable) => format!("dial tcp {address}: connect: network is unreachable"),
        Some(std::io::ErrorKind::HostUnreachable) => format!("dial tcp {address}: connect: no route to host"),
        _ => cause.to_string(),
    }
}
