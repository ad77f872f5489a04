//! `kubectl wait`

use std::time::Duration;

use clap::Args;
use podlab_api::json::{at, list, text};
use serde_json::Value;

use super::common::{duration, pause};
use super::delete;
use crate::failure::{Failure, Outcome, fail, together};
use crate::find::{Choice, Found};
use crate::print::jsonpath::{Template, shown};
use crate::print::say_line;
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// TYPE NAME... or TYPE/NAME...
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    /// create, delete, condition=NAME[=VALUE] or jsonpath={PATH}[=VALUE]
    #[arg(long = "for", value_name = "FOR")]
    what: Option<String>,
    /// How long; negative is a week
    #[arg(long, default_value = "30s")]
    timeout: String,
    /// name
    #[arg(short, long)]
    output: Option<String>,
}

enum What {
    Create,
    Delete,
    Condition(String, String),
    Path(Template, Option<String>),
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let what = parse(arguments.what.as_deref().unwrap_or_default())?;
    let timeout = duration(&arguments.timeout)?;
    let end = tokio::time::Instant::now() + timeout;
    let (found, mut failures) = loop {
        let (found, failures) = session.found(&arguments.words, &arguments.choice).await?;
        let missing = found.is_empty() || failures.iter().any(Failure::is_not_found);
        if !(missing && matches!(what, What::Create)) {
            break (found, failures);
        }
        if tokio::time::Instant::now() >= end {
            return fail("timed out waiting for the condition");
        }
        pause(Duration::from_millis(200)).await;
    };
    if matches!(what, What::Delete) {
        failures.retain(|failure| !failure.is_not_found());
    }
    if found.is_empty() && failures.is_empty() && !matches!(what, What::Delete) {
        return fail("no matching resources found");
    }
    let met = |one: &Found| {
        let name = one.name();
        match arguments.output.as_deref() {
            Some("name") => say_line(&name),
            _ => say_line(&format!("{name} condition met")),
        }
    };
    for one in &found {
        match tokio::time::timeout_at(end, until(session, one, &what)).await {
            Ok(Ok(())) => met(one),
            Ok(Err(failure)) => failures.push(failure),
            Err(_) => {
                let place = format!("{}/{}", one.kind.plural, one.object_name());
                failures.push(Failure::Text(format!("timed out waiting for the condition on {place}")));
            }
        }
    }
    together(failures)
}

fn parse(what: &str) -> Outcome<What> {
    let lower = what.to_lowercase();
    if lower == "create" {
        return Ok(What::Create);
    }
    if lower == "delete" {
        return Ok(What::Delete);
    }
    if let Some(condition) = what.strip_prefix("condition=") {
        let (name, value) = condition.split_once('=').unwrap_or((condition, "true"));
        return Ok(What::Condition(name.to_owned(), value.trim_matches('"').to_owned()));
    }
    if let Some(rest) = what.strip_prefix("jsonpath=") {
        let rest = rest.trim_matches('\'');
        let (path, value) = match rest.rfind('}') {
            Some(end) => (&rest[..=end], rest[end + 1..].strip_prefix('=')),
            None => rest.split_once('=').map_or((rest, None), |(path, value)| (path, Some(value))),
        };
        let template = Template::relaxed(path)
            .map_err(|why| Failure::Text(format!("jsonpath expression {path} is invalid: {why}")))?;
        if value == Some("") {
            return fail("jsonpath wait value cannot be empty");
        }
        return Ok(What::Path(template, value.map(|value| value.trim_matches(['"', '\'']).to_owned())));
    }
    fail(format!("unrecognized condition: \"{what}\""))
}

async fn until(session: &Session, one: &Found, what: &What) -> Outcome {
    let mut object = one.object.clone();
    let namespace = one.namespace.as_deref();
    if matches!(what, What::Delete) {
        let uid = text(&object, &["metadata", "uid"]);
        return delete::gone(session, &one.kind, namespace, one.object_name(), uid).await;
    }
    loop {
        if holds(&object, what) {
            return Ok(());
        }
        let version = text(&object, &["metadata", "resourceVersion"]).to_owned();
        let mut lines = delete::watch(session, &one.kind.collection(namespace), one.object_name(), &version).await?;
        while let Some(line) = lines.next().await? {
            let event: Value = serde_json::from_slice(&line).unwrap_or_default();
            match text(&event, &["type"]) {
                "DELETED" => return fail(format!("{} was deleted while it was waited for", one.name())),
                "ERROR" => break,
                _ => {}
            }
            if holds(&event["object"], what) {
                return Ok(());
            }
        }
        object = session.get(&one.path()).await?;
    }
}

fn holds(object: &Value, what: &What) -> bool {
    match what {
        What::Create => true,
        What::Delete => false,
        What::Condition(name, value) => {
            let generation = at(object, &["metadata", "generation"]).as_i64();
            let observed = at(object, &["status", "observedGeneration"]).as_i64();
            let seen = match (generation, observed) {
                (Some(generation), Some(observed)) => observed >= generation,
                _ => true,
            };
            seen && list(object, &["status", "conditions"]).iter().any(|condition| {
                text(condition, &["type"]).eq_ignore_ascii_case(name)
                    && text(condition, &["status"]).eq_ignore_ascii_case(value)
            })
        }
        What::Path(template, value) => match (template.find(object).as_slice(), value) {
            ([], _) => false,
            (_, None) => true,
            ([found], Some(value)) => shown(found) == *value,
            _ => false,
        },
    }
}
