//! The server as a library: what the control plane starts, and the three doors to it.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use podlab_api::registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Charging;
use crate::auth::Identity;
use crate::auth::token::Signer;
use crate::bootstrap;
use crate::http as handlers;
use crate::http::Peer;
use crate::listen;
use crate::node::NodeDialer;
use crate::pki::{Pki, PkiError};
use crate::store::{GroupResource, OpenError, Store, WriteError};

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
    Listen { address: String, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error("cannot make the first objects of the cluster: {0}")]
    Bootstrap(#[from] WriteError),
}

/// The API server. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct Server {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) pki: Pki,
    pub(crate) now: Now,
    pub(crate) nodes: Arc<dyn NodeDialer>,
    pub(crate) signer: Signer,
    /// Namespaces whose quotas are being charged.
    pub(crate) charging: Charging,
    /// Ends watches, streams and listeners.
    pub(crate) stopping: CancellationToken,
    /// Connections and what they started.
    pub(crate) tasks: TaskTracker,
    /// The port of the TLS listener, 0 while there is none.
    port: AtomicU16,
}

impl Server {
    /// Opens the store and makes what every cluster has from the start (the four namespaces).
    ///
    /// # Errors
    /// When the store cannot be opened or written.
    pub async fn start(config: ServerConfig) -> Result<Self, StartError> {
        let resources: Vec<GroupResource> = registry::all()
            .iter()
            .filter(|resource| resource.storage == registry::Storage::Own)
            .map(|resource| GroupResource { group: resource.group, resource: resource.plural })
            .collect();
        let store = match &config.storage {
            Storage::Memory => Store::in_memory(&resources),
            Storage::File(path) => Store::open(path, &resources)?,
        };
        let server = Self {
            inner: Arc::new(Inner {
                store,
                signer: Signer::new(&config.pki.service_account_key)?,
                charging: Charging::default(),
                pki: config.pki,
                now: config.now,
                nodes: config.nodes,
                stopping: CancellationToken::new(),
                tasks: TaskTracker::new(),
                port: AtomicU16::new(0),
            }),
        };
        bootstrap::first_objects(&server).await?;
        Ok(server)
    }

    /// The API for a client in this process, as `identity`.
    pub fn service(&self, identity: Identity) -> Service {
        Service { server: self.clone(), peer: Peer::Known(Arc::new(identity)) }
    }

    /// Serves TLS on `address`; port 0 takes any free one. Returns the address taken.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn listen_tls(&self, address: SocketAddr) -> Result<SocketAddr, StartError> {
        let address = listen::tls(self, address).await?;
        self.inner.port.store(address.port(), Ordering::Relaxed);
        Ok(address)
    }

    /// Serves TLS on a socket that listens already (in a network of its own, say), until `ended`.
    ///
    /// # Errors
    /// When the server's key cannot be used.
    pub fn accept_tls(&self, listener: tokio::net::TcpListener, ended: CancellationToken) -> Result<(), StartError> {
        listen::accept_tls(self, listener, ended)
    }

    /// Serves plain HTTP on a Unix socket: whoever can open it is `identity`. A socket left behind is replaced.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub async fn listen_unix(&self, path: &Path, identity: Identity) -> Result<(), StartError> {
        listen::unix(self, path, identity)
    }

    /// Speaks HTTP on a connection that is there already; whoever is at its other end is `identity`. Returns when it ends.
    pub async fn serve<S>(self, stream: S, identity: Identity)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        listen::connection(self, Peer::Known(Arc::new(identity)), stream).await;
    }

    /// Stops listening, ends watches and streams, and closes the store.
    pub async fn shutdown(&self) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.store.close().await;
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        (self.inner.now)()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Where clients outside Pods find the server, as discovery tells it.
    pub(crate) fn port(&self) -> u16 {
        self.inner.port.load(Ordering::Relaxed)
    }
}

/// The API of one server for one identity, as a tower service. Answers always come, so it has no errors of its own.
#[derive(Clone)]
pub struct Service {
    server: Server,
    peer: Peer,
}

impl Service {
    pub(crate) fn new(server: Server, peer: Peer) -> Self {
        Self { server, peer }
    }
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
        let (server, peer) = (self.server.clone(), self.peer.clone());
        let request = request.map(Body::new);
        Box::pin(async move { Ok(handlers::answer(server, peer, request).await) })
    }
}
