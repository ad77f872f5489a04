//! The book as a service on loopback: the built pages, and the Run buttons.
//!
//! What a button runs is a declared step of a lab, never a command that a page sends. Who may press it: a page of this
//! server whose reader came by the link that `podlab start` prints. The link has a token behind its `#`, which a browser
//! keeps for itself; the page stores it for this address and port alone, and sends it with each Run. Nobody else on this
//! machine can ask the server for it. Another site in the same browser is kept out as well: its requests carry its own
//! `Origin`, a name that was made to point here fails the `Host` check, and it cannot frame our pages.

mod guard;
mod session;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path as Segments, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use guard::Guard;
use session::Sessions;
use tower_http::services::ServeDir;

use crate::{Cluster, Workbook};

struct Book {
    guard: Guard,
    /// `None` when the book is served without a cluster: nothing can be run then.
    sessions: Option<Arc<Sessions>>,
}

/// The service. `built` holds the built pages; `port` is the listener's; a Run request must carry `token`.
pub fn router(workbook: &Workbook, built: &Path, cluster: Option<Cluster>, port: u16, token: &str) -> Router {
    let sessions = cluster.map(|cluster| Arc::new(Sessions::new(workbook.labs(), cluster)));
    let book = Arc::new(Book { guard: Guard::new(port, token), sessions });
    Router::new()
        .route("/podlab.json", get(about))
        .route("/labs/{lab}/steps/{step}/run", post(run))
        .route("/labs/{lab}/reset", post(reset))
        .fallback_service(ServeDir::new(built))
        .layer(axum::middleware::from_fn_with_state(book.clone(), guard::at_the_door))
        .with_state(book)
}

/// What the pages need to know to show Run buttons.
async fn about(State(book): State<Arc<Book>>) -> Response {
    let runs = book.sessions.is_some();
    let body = serde_json::json!({ "runs": runs });
    ([("cache-control", "no-store")], axum::Json(body)).into_response()
}

async fn run(
    State(book): State<Arc<Book>>,
    Segments((lab, step)): Segments<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = book.guard.may_run(&headers) {
        return refusal.into_response();
    }
    match &book.sessions {
        Some(sessions) => sessions.clone().run(&lab, &step).await,
        None => (StatusCode::NOT_FOUND, "this book is served without a cluster: podlab start\n").into_response(),
    }
}

async fn reset(State(book): State<Arc<Book>>, Segments(lab): Segments<String>, headers: HeaderMap) -> Response {
    if let Err(refusal) = book.guard.may_run(&headers) {
        return refusal.into_response();
    }
    match &book.sessions {
        Some(sessions) => sessions.reset(&lab).await,
        None => (StatusCode::NOT_FOUND, "this book is served without a cluster: podlab start\n").into_response(),
    }
}
