//! The node's HTTP: how the API server reaches what runs here.
//!
//! The paths are those of a real kubelet (pkg/kubelet/server/server.go), and `/xray` beside them; the socket is a Unix socket in the node's
//! directory, so whoever can open it already owns the node. Nothing is decided here: a request is looked up in what
//! the kubelet knows, and passed on to the [`Backend`].

pub mod cri;
mod exec;
mod forward;
pub mod frames;
pub mod logs;
mod lookup;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};

use crate::backend::{Backend, BackendError, PodUid};
use crate::clock::Clock;
use crate::kubelet::metrics::{Measured, Metrics};
use logs::{LogOptions, Writer};
use lookup::Refusal;

/// How many pieces of a log wait for a slow reader.
const LOG_QUEUE: usize = 16;

/// What the kubelet knows: the Pods of this node with the status it has computed, which may be newer than the one the
/// API server has.
pub trait KnownPods: Send + Sync + 'static {
    /// A Pod by its namespace and name.
    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>>;

    /// All of them.
    fn all(&self) -> Vec<Arc<Pod>>;

    /// Counts up whenever the answer of the other methods may have changed.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// What the handlers share.
struct Node<B, C> {
    backend: Arc<B>,
    clock: Arc<C>,
    pods: Arc<dyn KnownPods>,
    metrics: Arc<Metrics>,
}

impl<B, C> Clone for Node<B, C> {
    fn clone(&self) -> Self {
        Self {
            backend: Arc::clone(&self.backend),
            clock: Arc::clone(&self.clock),
            pods: Arc::clone(&self.pods),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

/// Answers on `listener` until the future is dropped.
///
/// # Errors
/// What the listener reports.
pub async fn serve<B: Backend, C: Clock>(
    listener: UnixListener,
    backend: Arc<B>,
    clock: Arc<C>,
    pods: Arc<dyn KnownPods>,
) -> io::Result<()> {
    axum::serve(listener, router(backend, clock, pods)).await
}

fn router<B: Backend, C: Clock>(backend: Arc<B>, clock: Arc<C>, pods: Arc<dyn KnownPods>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/pods", get(list::<B, C>))
        .route("/stats/summary", get(summary::<B, C>))
        .route("/xray/{namespace}/{pod}", get(xray::<B, C>))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(container_logs::<B, C>))
        .route("/exec/{namespace}/{pod}/{container}", post(exec::exec::<B, C>))
        .route("/attach/{namespace}/{pod}/{container}", post(exec::attach::<B, C>))
        .route("/portForward/{namespace}/{pod}", post(forward::forward::<B, C>))
        .with_state(Node { backend, clock, pods, metrics: Arc::default() })
}

async fn list<B: Backend, C: Clock>(State(node): State<Node<B, C>>) -> Response {
    let items: Vec<_> = node.pods.all().iter().map(|pod| json!(**pod)).collect();
    axum::Json(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})).into_response()
}

/// The part of the kubelet's summary that `kubectl top` is made from.
async fn summary<B: Backend, C: Clock>(State(node): State<Node<B, C>>) -> Result<Response, Refusal> {
    let used = node.metrics.look(&*node.backend).await?;
    let now = node.clock.now();
    let pods: Vec<_> = node.pods.all().iter().filter_map(|pod| pod_summary(pod, &used, now)).collect();
    let own = stats(now, used.node_cpu(), used.now.cpu_nanoseconds, used.now.memory);
    let name = ("nodeName".to_owned(), json!(node.backend.facts().name));
    let own: serde_json::Map<_, _> = std::iter::once(name).chain(own).collect();
    Ok(axum::Json(json!({"node": own, "pods": pods})).into_response())
}

fn pod_summary(pod: &Pod, used: &Measured, now: jiff::Timestamp) -> Option<serde_json::Value> {
    let uid = pod.metadata.uid.as_ref()?;
    let usage = used.now.pods.iter().find(|usage| &usage.uid == uid)?;
    let containers: Vec<serde_json::Map<_, _>> = usage
        .containers
        .iter()
        .map(|container| {
            let cpu = used.container_cpu(uid, &container.name);
            let name = ("name".to_owned(), json!(container.name));
            std::iter::once(name).chain(stats(now, cpu, container.cpu_nanoseconds, container.memory)).collect()
        })
        .collect();
    let reference = json!({"name": pod.metadata.name, "namespace": pod.metadata.namespace, "uid": uid});
    Some(json!({"podRef": reference, "containers": containers}))
}

/// The two fields of whatever uses something.
fn stats(now: jiff::Timestamp, rate: u64, total: u64, memory: u64) -> [(String, serde_json::Value); 2] {
    [
        ("cpu".to_owned(), json!({"time": now, "usageNanoCores": rate, "usageCoreNanoSeconds": total})),
        ("memory".to_owned(), json!({"time": now, "workingSetBytes": memory})),
    ]
}

/// What `podlab xray` shows.
async fn xray<B: Backend, C: Clock>(
    State(node): State<Node<B, C>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let pod = lookup::pod(&*node.pods, &namespace, &name)?;
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    Ok(axum::Json(node.backend.xray(&uid).await?).into_response())
}

async fn container_logs<B: Backend, C: Clock>(
    State(node): State<Node<B, C>>,
    Path((namespace, name, container)): Path<(String, String, String)>,
    Query(options): Query<LogOptions>,
) -> Result<Response, Refusal> {
    let pod = lookup::pod(&*node.pods, &namespace, &name)?;
    let attempt = lookup::log_attempt(&pod, &container, options.previous)?;
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let file = match node.backend.log(&uid, &container, attempt).await {
        Ok(file) => file,
        // A container that could not be started has written nothing.
        Err(BackendError::NoSuchContainer { .. }) => return Ok(text(Body::empty())),
        Err(error) => return Err(error.into()),
    };
    let pods = Arc::clone(&node.pods);
    let changes = pods.changes();
    let next = next_file(Arc::clone(&node.backend), uid, container.clone(), attempt);
    let running =
        Arc::new(move || pods.pod(&namespace, &name).is_some_and(|pod| lookup::runs(&pod, &container, attempt)));
    let (to, mut from) = mpsc::channel(LOG_QUEUE);
    tokio::spawn(logs::send(file, options, jiff::Timestamp::now(), Writer { running, changes, next }, to));
    let pieces = futures_util::stream::poll_fn(move |context| from.poll_recv(context));
    Ok(text(Body::from_stream(pieces)))
}

/// How a log is followed from one file to the next.
fn next_file<B: Backend>(backend: Arc<B>, uid: PodUid, container: String, attempt: u32) -> Arc<logs::NextFile> {
    Arc::new(move |current| {
        let (backend, uid, container) = (Arc::clone(&backend), uid.clone(), container.clone());
        Box::pin(async move {
            match backend.next_log(&uid, &container, attempt, current).await {
                Ok(next) => Ok(next),
                // Removed with its Pod: there is no more.
                Err(BackendError::NoSuchContainer { .. }) => Ok(None),
                Err(error) => Err(io::Error::other(error)),
            }
        })
    })
}

fn text(body: Body) -> Response {
    (StatusCode::OK, [(CONTENT_TYPE, "text/plain")], body).into_response()
}
