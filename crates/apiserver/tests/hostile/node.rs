//! A node that writes everything down, and answers in one way.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use podlab_apiserver::node::Dialing;
use podlab_apiserver::{Body, NodeDialer, NodeStream};
use tokio::io::AsyncWriteExt;

/// Bytes of one write, below the largest frame.
const PIECE: usize = 32 * 1024;

/// How the node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// 500 for everything.
    Refuses,
    /// 302 to another place.
    Redirects,
    /// Output without end, without a line break; input is never read.
    Floods,
}

/// What the node has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Connections made to it.
    pub(crate) dialed: AtomicUsize,
    /// `METHOD PATH` of every request.
    pub(crate) requests: Mutex<Vec<String>>,
    /// Bytes of output that somebody took from it.
    pub(crate) taken: Arc<AtomicU64>,
}

pub(crate) struct Node {
    pub(crate) manner: Manner,
    pub(crate) seen: Arc<Seen>,
}

impl Node {
    pub(crate) fn new(manner: Manner) -> (Arc<Self>, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        (Arc::new(Self { manner, seen: seen.clone() }), seen)
    }
}

impl NodeDialer for Node {
    fn dial(&self, _: &str) -> Dialing {
        let (manner, seen) = (self.manner, self.seen.clone());
        Box::pin(async move {
            seen.dialed.fetch_add(1, Ordering::Relaxed);
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(|request| answer(manner, seen.clone(), request));
                let builder = hyper::server::conn::http1::Builder::new();
                // A peer that breaks off is part of the tests.
                let _ = builder.serve_connection(TokioIo::new(ours), service).with_upgrades().await;
            });
            Ok(Box::new(theirs) as Box<dyn NodeStream>)
        })
    }
}

async fn answer(manner: Manner, seen: Arc<Seen>, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    seen.requests.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
    let response = Response::builder();
    Ok(match manner {
        Manner::Refuses => response.status(StatusCode::INTERNAL_SERVER_ERROR).body("no".into()).unwrap(),
        Manner::Redirects => {
            let response = response.status(StatusCode::FOUND).header("location", "http://169.254.169.254/secret");
            response.body("elsewhere".into()).unwrap()
        }
        Manner::Floods if request.headers().contains_key("upgrade") => {
            let framed = request.uri().path().starts_with("/exec/") || request.uri().path().starts_with("/attach/");
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut piece = vec![b'x'; PIECE];
                if framed {
                    let head = [1_u8].into_iter().chain((PIECE as u32).to_be_bytes());
                    piece.splice(0..0, head);
                }
                // Until the server goes.
                while stream.write_all(&piece).await.is_ok() {
                    seen.taken.fetch_add(PIECE as u64, Ordering::Relaxed);
                }
            });
            let response = response.status(StatusCode::SWITCHING_PROTOCOLS);
            response.header("connection", "Upgrade").header("upgrade", "podlab-stream").body(Body::empty()).unwrap()
        }
        Manner::Floods => {
            let taken = seen.taken.clone();
            let endless = futures_util::stream::repeat(Bytes::from_static(&[b'x'; PIECE]));
            response
                .body(Body::from_stream(endless.map(move |piece| {
                    taken.fetch_add(PIECE as u64, Ordering::Relaxed);
                    Ok::<_, Infallible>(piece)
                })))
                .unwrap()
        }
    })
}
