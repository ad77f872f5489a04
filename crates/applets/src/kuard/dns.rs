//! DNS Query: what a name means from inside the Pod.

use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Shared;
use super::page::{Liveness, escape, prefix_of, render};

/// The resolver's own patience, with the retries of resolv.conf(5), can be far longer than a reader's.
const PATIENCE: Duration = Duration::from_secs(10);
/// RFC 1035, section 2.3.4.
const LONGEST_NAME: usize = 253;

#[derive(Deserialize)]
pub(super) struct Question {
    #[serde(rename = "type", default = "address_record")]
    kind: String,
    #[serde(default)]
    name: String,
}

fn address_record() -> String {
    "A".to_owned()
}

#[derive(Serialize)]
struct Answer {
    result: String,
}

/// The lines of an answer, through the container's own `/etc/hosts` and `/etc/resolv.conf`.
async fn resolve(question: &Question) -> Result<String, String> {
    let wanted: fn(&IpAddr) -> bool = match question.kind.as_str() {
        "A" => IpAddr::is_ipv4,
        "AAAA" => IpAddr::is_ipv6,
        other => return Err(format!("type {other} is not supported: ask for A or AAAA")),
    };
    if question.name.is_empty() || question.name.len() > LONGEST_NAME {
        return Err(format!("a name has 1 to {LONGEST_NAME} characters"));
    }
    let looked_up = timeout(PATIENCE, tokio::net::lookup_host((question.name.as_str(), 0)))
        .await
        .map_err(|_| format!("{}: no answer within {} s", question.name, PATIENCE.as_secs()))?
        .map_err(|error| format!("{}: {error}", question.name))?;
    let mut addresses: Vec<IpAddr> = looked_up.map(|socket| socket.ip()).filter(wanted).collect();
    addresses.dedup();
    let lines: Vec<String> =
        addresses.iter().map(|address| format!("{}\tIN\t{}\t{address}", question.name, question.kind)).collect();
    if lines.is_empty() {
        return Err(format!("{}: no record of type {}", question.name, question.kind));
    }
    Ok(lines.join("\n"))
}

pub(super) async fn api(Json(question): Json<Question>) -> Response {
    match resolve(&question).await {
        Ok(result) => Json(Answer { result }).into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
    }
}

pub(super) async fn show(State(kuard): Shared, uri: Uri, Query(question): Query<Question>) -> Html<String> {
    let answer = if question.name.is_empty() {
        String::new()
    } else {
        let text = resolve(&question).await.unwrap_or_else(|problem| problem);
        format!("<h2>Answer</h2>\n<pre role=\"status\">{}</pre>", escape(text))
    };
    let option = |kind: &str| {
        let selected = if question.kind == kind { " selected" } else { "" };
        format!("<option{selected}>{kind}</option>")
    };
    let content = format!(
        "<p class=\"lead\">What a name means to the programs of this container.</p>\n\
         <form method=\"get\"><fieldset><legend>Question</legend>\
         <label>Type <select name=\"type\">{}{}</select></label> \
         <label>Name <input name=\"name\" value=\"{}\" maxlength=\"{LONGEST_NAME}\" size=\"36\" \
         placeholder=\"kubernetes.default\" spellcheck=\"false\" autocapitalize=\"off\" required></label> \
         <button>Ask</button></fieldset></form>\n{answer}",
        option("A"),
        option("AAAA"),
        escape(&question.name),
    );
    render(&kuard, prefix_of(uri.path()), "DNS Query", Liveness::Still, &content)
}
