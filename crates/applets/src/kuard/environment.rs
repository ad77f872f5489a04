//! Server Env: the command line and the environment that the container was started with.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Html;
use serde::Serialize;

use super::Shared;
use super::page::{Liveness, escape, prefix_of, render};

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
    let rows: String = environment
        .env
        .iter()
        .map(|(name, value)| {
            format!("<tr><th scope=\"row\">{}</th><td><code>{}</code></td></tr>\n", escape(name), escape(value))
        })
        .collect();
    let content = format!(
        "<h3>Command line</h3>\n<pre>{}</pre>\n<table>\n<caption>Environment, {} variables</caption>\n{rows}</table>",
        escape(environment.command_line.join(" ")),
        environment.env.len(),
    );
    render(&kuard, prefix_of(uri.path()), "Server Env", Liveness::Still, &content)
}
