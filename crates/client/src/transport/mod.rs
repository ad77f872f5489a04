//! How requests reach the server: a Unix socket, TCP with or without TLS, or a call in this process.

mod service;
mod tcp;
mod tls;
mod unix;

use std::path::PathBuf;

use hyper_util::client::legacy::{Client as Pool, connect::Connect};
use hyper_util::rt::TokioExecutor;

use crate::client::{Body, boxed};
use crate::kubeconfig::Endpoint;

pub(crate) use tls::configuration;
pub use tls::unchecked as unchecked_tls;

/// Any error, on its way into the text of a typed one.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A way to the server. Connections are kept and used again; HTTP/1.1, because exec and port-forward upgrade.
pub(crate) enum Transport {
    Unix(Pool<unix::Connector, Body>, PathBuf),
    Network(Pool<tcp::Connector, Body>, http::Uri),
    Service(service::Service),
}

impl Transport {
    pub(crate) fn unix(socket: PathBuf) -> Self {
        Transport::Unix(pool(unix::Connector::new(socket.clone())), socket)
    }

    pub(crate) fn network(endpoint: Endpoint) -> Self {
        Transport::Network(pool(tcp::Connector::new(endpoint.tls)), endpoint.server)
    }

    pub(crate) fn service<S, B>(service: S) -> Self
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Transport::Service(service::Service::new(service))
    }

    /// Sends a request whose URI is path and query only.
    pub(crate) async fn call(&self, mut request: http::Request<Body>) -> Result<http::Response<Body>, BoxError> {
        match self {
            Transport::Unix(pool, _) => {
                *request.uri_mut() = absolute("http", "localhost", request.uri())?;
                Ok(boxed(pool.request(request).await?))
            }
            Transport::Network(pool, server) => {
                let authority = server.authority().map_or("", http::uri::Authority::as_str);
                *request.uri_mut() = absolute(server.scheme_str().unwrap_or("https"), authority, request.uri())?;
                Ok(boxed(pool.request(request).await?))
            }
            Transport::Service(service) => service.call(request).await,
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Transport::Unix(_, path) => write!(f, "unix:{}", path.display()),
            Transport::Network(_, server) => write!(f, "{server}"),
            Transport::Service(_) => f.write_str("in process"),
        }
    }
}

fn pool<C>(connector: C) -> Pool<C, Body>
where
    C: Connect + Clone,
{
    Pool::builder(TokioExecutor::new()).build(connector)
}

fn absolute(scheme: &str, authority: &str, uri: &http::Uri) -> Result<http::Uri, http::Error> {
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    http::Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build()
}
