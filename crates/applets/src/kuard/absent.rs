//! KeyGen Workload and MemQ Server: two of the original's pages that have nothing behind them here, in their places.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Html;

use super::Shared;
use super::page::{Liveness, prefix_of, render};

const CONTENT: &str = "<p class=\"lead\">The original has a page here. This stand-in does not have it yet.</p>";

pub(super) async fn keygen(State(kuard): Shared, uri: Uri) -> Html<String> {
    render(&kuard, prefix_of(uri.path()), "KeyGen Workload", Liveness::Still, CONTENT)
}

pub(super) async fn memq(State(kuard): Shared, uri: Uri) -> Html<String> {
    render(&kuard, prefix_of(uri.path()), "MemQ Server", Liveness::Still, CONTENT)
}
