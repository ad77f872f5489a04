//! Liveness and readiness: two end points that can be told to fail, and a record of who asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Form, Json};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};

use super::page::{Liveness, prefix_of, render};
use super::{Kuard, Shared};

/// How many calls the page remembers.
const HISTORY: usize = 20;

/// An end point that succeeds until it is told otherwise.
pub(super) struct Probe {
    path: &'static str,
    title: &'static str,
    /// What a failing probe of this kind means for the container.
    consequence: &'static str,
    state: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    /// How many of the next calls fail; below zero, all of them.
    fail_next: i64,
    last_id: u64,
    /// The newest last.
    calls: VecDeque<Call>,
}

#[derive(Clone)]
struct Call {
    id: u64,
    when: Timestamp,
    code: u16,
}

/// What `GET …/api` answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    probe_path: &'static str,
    fail_next: i64,
    /// The newest first.
    history: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: u64,
    when: String,
    rel_when: String,
    code: u16,
}

/// What `PUT …/api` and the page's buttons send.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Configuration {
    fail_next: i64,
}

impl Probe {
    pub(super) fn new(path: &'static str, title: &'static str, consequence: &'static str) -> Self {
        Self { path, title, consequence, state: Mutex::default() }
    }

    /// The record is plain data, whole after every statement, so a panic elsewhere cannot have left it half changed.
    fn record(&self) -> MutexGuard<'_, Record> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, now: Timestamp) -> (StatusCode, String) {
        let mut record = self.record();
        let (code, text) = match record.fail_next {
            0 => (StatusCode::OK, "ok".to_owned()),
            left if left > 0 => {
                record.fail_next = left - 1;
                (StatusCode::INTERNAL_SERVER_ERROR, format!("fail, {} left", left - 1))
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "fail, permanent".to_owned()),
        };
        record.last_id += 1;
        let call = Call { id: record.last_id, when: now, code: code.as_u16() };
        if record.calls.len() == HISTORY {
            record.calls.pop_front();
        }
        record.calls.push_back(call);
        (code, text)
    }

    fn status(&self, now: Timestamp) -> Status {
        let record = self.record();
        let history = record
            .calls
            .iter()
            .rev()
            .map(|call| Entry {
                id: call.id,
                when: call.when.to_string(),
                rel_when: format!("{} s ago", now.duration_since(call.when).as_secs().max(0)),
                code: call.code,
            })
            .collect();
        Status { probe_path: self.path, fail_next: record.fail_next, history }
    }

    fn page(&self, kuard: &Kuard, uri: &Uri, now: Timestamp) -> Html<String> {
        let status = self.status(now);
        let (class, outlook) = match status.fail_next {
            0 => ("ok", "Succeeding".to_owned()),
            1 => ("fail", "Failing the next call".to_owned()),
            left @ 2.. => ("fail", format!("Failing the next {left} calls")),
            _ => ("fail", "Failing until told otherwise".to_owned()),
        };
        let mut rows: String = status
            .history
            .iter()
            .map(|entry| {
                let (class, meaning) = if entry.code < 400 { ("ok", "OK") } else { ("fail", "failed") };
                format!(
                    "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{} {meaning}</td></tr>\n",
                    entry.id, entry.when, entry.rel_when, entry.code
                )
            })
            .collect();
        if rows.is_empty() {
            rows.push_str("<tr><td colspan=\"4\">Nobody has asked yet.</td></tr>\n");
        }
        let content = format!(
            "<p class=\"lead\">{consequence} Probes ask <code>GET {prefix}{path}</code>.</p>\n\
             <form method=\"post\"><fieldset><legend>From now on</legend>\
             <button name=\"failNext\" value=\"0\">Succeed</button> \
             <button name=\"failNext\" value=\"-1\" class=\"danger\">Fail</button></fieldset></form>\n\
             <form method=\"post\"><fieldset><legend>For a while</legend><label>Fail for the next \
             <input type=\"number\" name=\"failNext\" value=\"3\" min=\"1\" max=\"1000\" required> calls</label> \
             <button class=\"danger\">Fail for next N calls</button></fieldset></form>\n\
             <div data-live><p class=\"state {class}\" role=\"status\">{outlook}</p>\n<table>\n\
             <caption>The last {HISTORY} calls, the newest first</caption>\n\
             <thead><tr><th scope=\"col\">Call</th><th scope=\"col\">When</th><th scope=\"col\">How long ago</th>\
             <th scope=\"col\">Answer</th></tr></thead>\n<tbody>{rows}</tbody></table></div>",
            path = self.path,
            consequence = self.consequence,
            prefix = prefix_of(uri.path()),
        );
        render(kuard, prefix_of(uri.path()), self.title, Liveness::Live, &content)
    }

    /// The type of the body is not looked at, as in the original: `kubectl replace --raw` names none.
    fn configure(&self, body: &[u8]) -> Response {
        match serde_json::from_slice::<Configuration>(body) {
            Ok(wanted) => {
                self.record().fail_next = wanted.fail_next;
                Json(self.status(now())).into_response()
            }
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        }
    }

    fn submit(&self, uri: &Uri, configuration: &Configuration) -> Response {
        self.record().fail_next = configuration.fail_next;
        Redirect::to(uri.path()).into_response()
    }
}

/// Whole seconds: the page is for people.
fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Trunc)).unwrap_or(now)
}

pub(super) async fn answer_live(State(kuard): Shared) -> (StatusCode, String) {
    kuard.live.answer(now())
}

pub(super) async fn answer_ready(State(kuard): Shared) -> (StatusCode, String) {
    kuard.ready.answer(now())
}

pub(super) async fn api_live(State(kuard): Shared) -> Json<Status> {
    Json(kuard.live.status(now()))
}

pub(super) async fn api_ready(State(kuard): Shared) -> Json<Status> {
    Json(kuard.ready.status(now()))
}

pub(super) async fn configure_live(State(kuard): Shared, body: Bytes) -> Response {
    kuard.live.configure(&body)
}

pub(super) async fn configure_ready(State(kuard): Shared, body: Bytes) -> Response {
    kuard.ready.configure(&body)
}

pub(super) async fn show_live(State(kuard): Shared, uri: Uri) -> Html<String> {
    kuard.live.page(&kuard, &uri, now())
}

pub(super) async fn show_ready(State(kuard): Shared, uri: Uri) -> Html<String> {
    kuard.ready.page(&kuard, &uri, now())
}

pub(super) async fn submit_live(
    State(kuard): State<Arc<Kuard>>,
    uri: Uri,
    Form(form): Form<Configuration>,
) -> Response {
    kuard.live.submit(&uri, &form)
}

pub(super) async fn submit_ready(
    State(kuard): State<Arc<Kuard>>,
    uri: Uri,
    Form(form): Form<Configuration>,
) -> Response {
    kuard.ready.submit(&uri, &form)
}
