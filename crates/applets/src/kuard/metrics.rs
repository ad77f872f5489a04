//! `/metrics`: how many requests were answered, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;

use super::Shared;

/// Counts by method and status. Labels never come from what a client made up (a path, say): each new value would cost
/// memory for good, and clients have no end of them.
#[derive(Default)]
pub(super) struct Metrics {
    answered: Mutex<BTreeMap<(&'static str, u16), u64>>,
}

impl Metrics {
    pub(super) fn count(&self, method: &Method, status: StatusCode) {
        let method = match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::HEAD => "HEAD",
            _ => "other",
        };
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        *answered.entry((method, status.as_u16())).or_default() += 1;
    }

    fn text(&self) -> String {
        let mut text =
            "# HELP kuard_requests_total Requests answered.\n# TYPE kuard_requests_total counter\n".to_owned();
        for ((method, status), count) in &*self.answered.lock().unwrap_or_else(PoisonError::into_inner) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "kuard_requests_total{{method=\"{method}\",status_code=\"{status}\"}} {count}");
        }
        text
    }
}

pub(super) async fn show(State(kuard): Shared) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], kuard.metrics.text())
}
