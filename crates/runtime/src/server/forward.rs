//! port-forward: one TCP connection into a Pod, as raw bytes on an upgraded connection.

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::copy_bidirectional;

use super::Node;
use super::exec::{switching, upgrade};
use super::lookup::{Refusal, pod};
use crate::backend::Backend;
use crate::clock::Clock;

#[derive(Deserialize)]
pub(super) struct Target {
    port: u16,
}

pub(super) async fn forward<B: Backend, C: Clock>(
    State(node): State<Node<B, C>>,
    Path((namespace, name)): Path<(String, String)>,
    Query(target): Query<Target>,
    request: Request,
) -> Result<Response, Refusal> {
    let uid = pod(&*node.pods, &namespace, &name)?.metadata.uid.clone().unwrap_or_default();
    let port = target.port;
    // Before the upgrade, so that a refused port is an answer and not a connection that ends at once.
    let mut inside = node.backend.connect(&uid, port).await.map_err(|error| {
        let text = format!("error forwarding port {port} to pod {name}, uid {uid}: {error}");
        Refusal::new(StatusCode::BAD_GATEWAY, text)
    })?;
    let connection = upgrade(request)?;
    tokio::spawn(async move {
        let Ok(connection) = connection.await else { return };
        // Either side may reset the connection at any time; there is nobody to tell.
        let _ = copy_bidirectional(&mut TokioIo::new(connection), &mut inside).await;
    });
    Ok(switching())
}
