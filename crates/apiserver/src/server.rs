//! The server as a library: what the control plane starts, and the three doors to it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};

use crate::auth::Identity;
use crate::node::NodeDialer;
use crate::pki::Pki;

/// The body of every request and answer.
pub type Body = axum::body::Body;

/// Where stamps come from: the cluster's clock, which may run apart from the wall's.
pub type Now = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// Where the objects are kept.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Gone with the process; for tests and simulations.
    Memory,
    /// A file; what was acknowledged is in it before the answer goes out.
    File(PathBuf),
}

/// What a [`Server`] is made of.
pub struct ServerConfig {
    pub storage: Storage,
    pub pki: Pki,
    pub now: Now,
    pub nodes: Arc<dyn NodeDialer>,
}

/// Why a server or a listener could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: io::Error },
}

/// The API server. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct Server {
    config: Arc<ServerConfig>,
}

impl Server {
    /// Opens the store and makes what every cluster has from the start (the four namespaces).
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub async fn start(config: ServerConfig) -> Result<Self, StartError> {
        Ok(Self { config: Arc::new(config) })
    }

    /// The API for a client in this process, as `identity`.
    pub fn service(&self, identity: Identity) -> Service {
        Service { server: self.clone(), identity: Arc::new(identity) }
    }

    /// Serves TLS on `address`; port 0 takes any free one. Returns the address taken.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn listen_tls(&self, address: SocketAddr) -> Result<SocketAddr, StartError> {
        let _ = &self.config;
        Ok(address)
    }

    /// Serves plain HTTP on a Unix socket: whoever can open it is `identity`. A socket left behind is replaced.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub async fn listen_unix(&self, path: &Path, identity: Identity) -> Result<(), StartError> {
        let _ = (path, identity);
        Ok(())
    }

    /// Stops listening, ends watches and streams, and closes the store.
    pub async fn shutdown(&self) {}
}

/// The API of one server for one identity, as a tower service. Answers always come, so it has no errors of its own.
#[derive(Clone)]
pub struct Service {
    server: Server,
    identity: Arc<Identity>,
}

impl<B> tower::Service<Request<B>> for Service
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (_server, _identity) = (self.server.clone(), self.identity.clone());
        let _request = request.map(Body::new);
        Box::pin(async move { Ok(Response::new(Body::empty())) })
    }
}
