//! Memory: allocate until the limit is met, and see who ends the program then.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Form, Json};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::page::{Liveness, bytes, prefix_of, render};

const MEBIBYTE: usize = 1 << 20;
/// What the page's buttons allocate at once, in MiB.
const STEPS: [usize; 4] = [10, 50, 100, 500];

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
        Statistics { alloc: leaks.iter().map(Vec::len).sum(), blocks: leaks.len(), sys: resident(), limit: limit() }
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
    /// What the container may use at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
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

/// The container's limit: cgroup v2's file, else v1's, which has an enormous number where there is none.
fn limit() -> Option<u64> {
    const NONE_ABOVE: u64 = 1 << 60;
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let text = files.iter().find_map(|file| std::fs::read_to_string(file).ok())?;
    text.trim().parse().ok().filter(|limit| *limit < NONE_ABOVE)
}

#[derive(Deserialize)]
pub(super) struct Size {
    size: Option<String>,
}

/// A button of the page: so many MiB more, or none (and all are given back).
#[derive(Deserialize)]
pub(super) struct Press {
    allocate: Option<usize>,
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
    let done = match press.allocate {
        Some(step) if STEPS.contains(&step) => kuard.memory.allocate(step * MEBIBYTE),
        Some(other) => Err(format!("there is no button for {other} MiB")),
        None => {
            kuard.memory.clear();
            Ok(())
        }
    };
    match done {
        Ok(()) => Redirect::to(uri.path()).into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, problem).into_response(),
    }
}

pub(super) async fn show(State(kuard): Shared, uri: Uri) -> Html<String> {
    let statistics = kuard.memory.statistics();
    let figure = |name: &str, value: String| format!("<div><dt>{name}</dt><dd>{value}</dd></div>");
    let figures = figure("Allocated on request", bytes(statistics.alloc as u64))
        + &figure("Resident, as the kernel counts", bytes(statistics.sys))
        + &figure("Limit of the container", statistics.limit.map_or_else(|| "none".to_owned(), bytes));
    let meter = statistics.limit.map_or_else(String::new, |limit| {
        format!(
            "<label class=\"meter\">Resident, of the limit<meter min=\"0\" max=\"{limit}\" high=\"{}\" value=\"{}\">\
             </meter></label>",
            limit / 5 * 4,
            statistics.sys,
        )
    });
    let buttons: String =
        STEPS.iter().map(|step| format!("<button name=\"allocate\" value=\"{step}\">{step} MiB</button>\n")).collect();
    let content = format!(
        "<p class=\"lead\">Take memory, and see who ends the program at the container's limit.</p>\n\
         <div data-live><dl class=\"figures\">{figures}</dl>{meter}</div>\n\
         <form method=\"post\" action=\"{prefix}/-/mem\"><fieldset><legend>Allocate</legend>{buttons}</fieldset></form>\n\
         <form method=\"post\" action=\"{prefix}/-/mem\"><button class=\"quiet\">Give all back</button></form>",
        prefix = prefix_of(uri.path()),
    );
    render(&kuard, prefix_of(uri.path()), "Memory", Liveness::Live, &content)
}
