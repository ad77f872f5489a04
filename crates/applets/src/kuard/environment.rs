//! Server Env: the command line and the environment that the container was started with.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Html;
use serde::Serialize;

use super::Shared;
use super::page::{Liveness, escape, facts, prefix_of, render};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Environment {
    command_line: Vec<String>,
    env: BTreeMap<String, String>,
}

fn environment() -> Environment {
    Environment {
        command_line: std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect(),
        env: std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect(),
    }
}

pub(super) async fn api() -> Json<Environment> {
    Json(environment())
}

pub(super) async fn show(State(kuard): Shared, uri: Uri) -> Html<String> {
    let environment = environment();
    let content = format!(
        "<p class=\"lead\">What the container was started with.</p>\n<h2>Command line</h2>\n<pre>{}</pre>\n{}",
        escape(environment.command_line.join(" ")),
        facts(&format!("Environment, {} variables", environment.env.len()), &environment.env),
    );
    render(&kuard, prefix_of(uri.path()), "Server Env", Liveness::Still, &content)
}
