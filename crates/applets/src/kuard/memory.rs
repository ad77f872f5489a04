//! Memory: allocate until the limit is met, and see who ends the program then.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Form, Json};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::page::{Liveness, prefix_of, render};

/// What the page's button allocates at once.
const MEBIBYTE: usize = 1 << 20;
const STEP: usize = 64 * MEBIBYTE;

/// The memory that was asked for and is held on to.
#[derive(Default)]
pub(super) struct Memory {
    leaks: Mutex<Vec<Vec<u8>>>,
}

impl Memory {
    fn leaks(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.leaks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every page is written to: memory that is only reserved costs nothing and would not meet a limit.
    fn allocate(&self, bytes: usize) -> Result<(), String> {
        let mut leak = Vec::new();
        leak.try_reserve_exact(bytes).map_err(|error| format!("cannot allocate {bytes} bytes: {error}"))?;
        leak.resize(bytes, b'x');
        self.leaks().push(leak);
        Ok(())
    }

    fn clear(&self) {
        self.leaks().clear();
    }

    fn statistics(&self) -> Statistics {
        let leaks = self.leaks();
        Statistics { alloc: leaks.iter().map(Vec::len).sum(), blocks: leaks.len(), sys: resident() }
    }
}

/// In bytes. The names are those that readers of the original's answer look for.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statistics {
    /// Allocated on request and not yet given back.
    alloc: usize,
    /// In how many pieces.
    blocks: usize,
    /// What the kernel counts as the program's own (VmRSS of proc_pid_status(5)).
    sys: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    mem_stats: Statistics,
}

/// The resident size of this process in bytes; 0 where /proc is not there to tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[derive(Deserialize)]
pub(super) struct Size {
    size: Option<String>,
}

/// A button of the page.
#[derive(Deserialize)]
pub(super) struct Press {
    action: String,
}

pub(super) async fn api(State(kuard): Shared) -> Json<Status> {
    Json(Status { mem_stats: kuard.memory.statistics() })
}

pub(super) async fn allocate(State(kuard): Shared, Query(query): Query<Size>) -> Response {
    let Some(size) = query.size.filter(|size| !size.is_empty()) else {
        return (StatusCode::BAD_REQUEST, "size not specified\n").into_response();
    };
    let Ok(size) = size.parse() else { return (StatusCode::BAD_REQUEST, "bad size param\n").into_response() };
    match kuard.memory.allocate(size) {
        Ok(()) => StatusCode::OK.into_response(),
        Err(problem) => (StatusCode::INSUFFICIENT_STORAGE, format!("{problem}\n")).into_response(),
    }
}

pub(super) async fn clear(State(kuard): Shared) -> StatusCode {
    kuard.memory.clear();
    StatusCode::OK
}

pub(super) async fn submit(State(kuard): Shared, uri: Uri, Form(press): Form<Press>) -> Response {
    let done = match press.action.as_str() {
        "allocate" => kuard.memory.allocate(STEP),
        "clear" => {
            kuard.memory.clear();
            Ok(())
        }
        other => Err(format!("there is no button {other}")),
    };
    match done {
        Ok(()) => Redirect::to(uri.path()).into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, problem).into_response(),
    }
}

pub(super) async fn show(State(kuard): Shared, uri: Uri) -> Html<String> {
    let statistics = kuard.memory.statistics();
    let content = format!(
        "<form method=\"post\" action=\"{prefix}/-/mem\"><button name=\"action\" value=\"allocate\">\
         Allocate {step} MiB</button></form>\n\
         <form method=\"post\" action=\"{prefix}/-/mem\"><button name=\"action\" value=\"clear\">Clear</button></form>\n\
         <div data-live aria-live=\"polite\"><table>\n<caption>Memory of this program</caption>\n\
         <tr><th scope=\"row\">Allocated on request</th><td>{alloc} MiB in {blocks} blocks</td></tr>\n\
         <tr><th scope=\"row\">Resident, as the kernel counts</th><td>{sys} MiB</td></tr>\n</table></div>",
        prefix = prefix_of(uri.path()),
        step = STEP / MEBIBYTE,
        alloc = statistics.alloc / MEBIBYTE,
        blocks = statistics.blocks,
        sys = statistics.sys / MEBIBYTE as u64,
    );
    render(&kuard, prefix_of(uri.path()), "Memory", Liveness::Live, &content)
}
