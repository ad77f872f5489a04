//! `kubectl label`, `annotate`, `patch`, `scale`

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::Method;
use podlab_api::json::{at, integer, text};
use podlab_api::registry;
use serde_json::{Map, Value, json};

use super::common::{DryRun, Writing, pause};
use crate::failure::{Failure, Outcome, fail, together};
use crate::find::{Choice, Found, nothing};
use crate::http_call::{Call, MERGE, STRATEGIC};
use crate::print::{say, say_line};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Keys {
    /// TYPE NAME KEY=VALUE... KEY-...
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    writing: Writing,
    /// Replace values that are there
    #[arg(long)]
    overwrite: bool,
    /// Show them, change nothing
    #[arg(long)]
    list: bool,
    /// Only if unchanged since this revision
    #[arg(long)]
    resource_version: Option<String>,
}

/// Labels or annotations.
#[derive(Clone, Copy)]
pub(crate) struct What {
    field: &'static str,
    done: &'static str,
    undone: &'static str,
    unchanged: &'static str,
    name: &'static str,
    manager: &'static str,
}

pub(crate) const LABELS: What = What {
    field: "labels",
    done: "labeled",
    undone: "unlabeled",
    unchanged: "not labeled",
    name: "label",
    manager: "kubectl-label",
};

pub(crate) const ANNOTATIONS: What = What {
    field: "annotations",
    done: "annotated",
    undone: "annotated",
    unchanged: "annotated",
    name: "annotation",
    manager: "kubectl-annotate",
};

pub(crate) async fn keys(session: &Session, arguments: Keys, what: What) -> Outcome {
    let (mut words, mut set, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for word in &arguments.words {
        match word.split_once('=') {
            Some((key, value)) => set.push((key, value)),
            None if word.ends_with('-') && !words.is_empty() => removed.push(word.trim_end_matches('-')),
            None if set.is_empty() && removed.is_empty() => words.push(word.clone()),
            None => return fail(format!("all resources must be specified before {} changes: {word}", what.name)),
        }
    }
    if words.is_empty() && arguments.choice.files.is_empty() {
        return fail("one or more resources must be specified as <resource> <name> or <resource>/<name>");
    }
    if set.is_empty() && removed.is_empty() && !arguments.list {
        return fail(format!("at least one {} update is required", what.name));
    }
    if let Some((key, _)) = set.iter().find(|(key, _)| removed.contains(key)) {
        return fail(format!("can not both modify and remove a {} in the same command ({key})", what.name));
    }
    let dry = arguments.writing.dry()?;
    let mut teller = arguments.writing.teller()?;
    let (found, mut failures) = session.found(&words, &arguments.choice).await?;
    if found.is_empty() && failures.is_empty() {
        nothing();
    }
    for one in found {
        let known = at(&one.object, &["metadata", what.field]);
        if arguments.list {
            let lines = known.as_object().into_iter().flatten();
            say(&lines
                .map(|(key, value)| format!("{key}={}\n", value.as_str().unwrap_or_default()))
                .collect::<String>());
            continue;
        }
        let taken: Vec<String> = set
            .iter()
            .filter(|(key, value)| !arguments.overwrite && known.get(*key).is_some_and(|there| there != value))
            .map(|(key, _)| match what.field {
                "labels" => format!("'{key}' already has a value ({}), and --overwrite is false", text(known, &[key])),
                _ => format!("--overwrite is false but found the following declared annotation(s): '{key}' already has a value ({})", text(known, &[key])),
            })
            .collect();
        if !taken.is_empty() {
            failures.extend(taken.into_iter().map(Failure::Text));
            continue;
        }
        let mut changes = Map::new();
        changes.extend(set.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))));
        for key in &removed {
            if known.get(*key).is_none() && what.field == "labels" {
                say_line(&format!("label \"{key}\" not found."));
            }
            changes.insert((*key).to_owned(), Value::Null);
        }
        let changed = changes.iter().any(|(key, value)| known.get(key).unwrap_or(&Value::Null) != value);
        let done = match (changed, set.is_empty()) {
            (false, _) => what.unchanged,
            (true, true) => what.undone,
            (true, false) => what.done,
        };
        let mut patch = json!({ "metadata": { what.field: changes } });
        if let Some(version) = &arguments.resource_version {
            patch["metadata"]["resourceVersion"] = version.as_str().into();
        }
        let result = match dry {
            DryRun::Client => Ok(merged(&one.object, &patch)),
            _ if !changed => Ok(one.object.clone()),
            _ => session.patch(&arguments.writing.on(one.path(), what.manager)?, MERGE, &patch).await,
        };
        match result {
            Ok(object) => teller.tell(&object, done)?,
            Err(failure) => failures.push(failure),
        }
    }
    together(failures)
}

/// A merge patch, applied (RFC 7386).
fn merged(object: &Value, patch: &Value) -> Value {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            let mut result = object.clone();
            for (key, value) in patch {
                if value.is_null() {
                    result.remove(key);
                } else {
                    result.insert(key.clone(), merged(object.get(key).unwrap_or(&Value::Null), value));
                }
            }
            Value::Object(result)
        }
        (_, Value::Object(_)) => merged(&json!({}), patch),
        (_, patch) => patch.clone(),
    }
}

#[derive(Args, Debug)]
pub(crate) struct Patch {
    /// TYPE NAME
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    writing: Writing,
    /// The patch, as JSON or YAML
    #[arg(short, long)]
    patch: Option<String>,
    /// A file with the patch
    #[arg(long)]
    patch_file: Option<String>,
    /// strategic, merge or json
    #[arg(long = "type", default_value = "strategic")]
    kind: String,
    /// A part of the object, such as status
    #[arg(long)]
    subresource: Option<String>,
}

pub(crate) async fn patch(session: &Session, arguments: Patch) -> Outcome {
    let read = match (&arguments.patch, &arguments.patch_file) {
        (Some(patch), None) => patch.clone(),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|error| Failure::Text(format!("unable to read patch file: {error}")))?,
        (Some(_), Some(_)) => return fail("cannot specify --patch and --patch-file together"),
        (None, None) => return fail("must specify --patch or --patch-file containing the contents of the patch"),
    };
    let parsed = podlab_api::decode::documents(&read);
    let patch = match parsed {
        Ok(mut documents) if documents.len() == 1 => documents.remove(0),
        _ => return fail(format!("unable to parse \"{read}\": yaml: it is not one document")),
    };
    let content_type = match arguments.kind.as_str() {
        "strategic" => STRATEGIC,
        "merge" => MERGE,
        "json" => "application/json-patch+json",
        other => return fail(format!("--type must be one of [json merge strategic], not \"{other}\"")),
    };
    let dry = arguments.writing.dry()?;
    let mut teller = arguments.writing.teller()?;
    let (found, mut failures) = session.found(&arguments.words, &arguments.choice).await?;
    for one in found {
        let path = match &arguments.subresource {
            Some(name) => one.path().segment(name),
            None => one.path(),
        };
        let result = match dry {
            DryRun::Client => patched_here(&one, &patch, &arguments.kind),
            _ => session.patch(&arguments.writing.on(path, "kubectl-patch")?, content_type, &patch).await,
        };
        match result {
            Ok(object) => {
                let version = |object: &Value| text(object, &["metadata", "resourceVersion"]).to_owned();
                let same = match dry {
                    DryRun::No => version(&object) == version(&one.object),
                    _ => object == one.object,
                };
                teller.tell(&object, if same { "patched (no change)" } else { "patched" })?;
            }
            Err(failure) => failures.push(failure),
        }
    }
    together(failures)
}

/// What the patch would make, computed here.
fn patched_here(one: &Found, patch: &Value, kind: &str) -> Outcome<Value> {
    use podlab_api::patch::{PatchKind, apply};
    let kind_of = match kind {
        "json" => PatchKind::from_content_type(Some("application/json-patch+json")),
        "merge" => PatchKind::from_content_type(Some(MERGE)),
        _ => PatchKind::from_content_type(Some(STRATEGIC)),
    };
    let known = registry::find_kind(&one.kind.group, &one.kind.version, &one.kind.kind);
    let result = kind_of.and_then(|kind| {
        apply(kind, known.map_or("", |resource| resource.schema), &one.object, patch.to_string().as_bytes())
    });
    result.map_err(|error| Failure::Text(error.to_string()))
}

#[derive(Args, Debug)]
pub(crate) struct Scale {
    /// TYPE NAME
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    writing: Writing,
    /// How many
    #[arg(long)]
    replicas: Option<i64>,
    /// Only if there are so many
    #[arg(long, default_value_t = -1)]
    current_replicas: i64,
    /// Only if unchanged since this revision
    #[arg(long)]
    resource_version: Option<String>,
    /// How long to wait for them
    #[arg(long, default_value = "0s")]
    timeout: String,
}

pub(crate) async fn scale(session: &Session, arguments: Scale) -> Outcome {
    let Some(replicas) = arguments.replicas.filter(|replicas| *replicas >= 0) else {
        return fail("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    };
    let timeout = super::common::duration(&arguments.timeout)?;
    let mut teller = arguments.writing.teller()?;
    let (found, mut failures) = session.found(&arguments.words, &arguments.choice).await?;
    if found.is_empty() && failures.is_empty() {
        return fail("no objects passed to scale");
    }
    for one in found {
        let there = integer(&one.object, &["spec", "replicas"]);
        if arguments.current_replicas >= 0 && there != arguments.current_replicas {
            failures
                .push(Failure::Text(format!("Expected replicas to be {}, was {there}", arguments.current_replicas)));
            continue;
        }
        let mut body = json!({ "spec": { "replicas": replicas } });
        if let Some(version) = &arguments.resource_version {
            body["metadata"]["resourceVersion"] = version.as_str().into();
        }
        let path = arguments.writing.on(one.path().segment("scale"), "kubectl-scale")?;
        let call = Call { accept: None, content_type: Some(MERGE), body: Bytes::from(body.to_string()) };
        if arguments.writing.dry()? != DryRun::Client
            && let Err(failure) = session.call(Method::PATCH, &path, call).await
        {
            failures.push(failure);
            continue;
        }
        teller.tell(&one.object, "scaled")?;
        if !timeout.is_zero() {
            let reached = async {
                loop {
                    let now = session.get(&one.path()).await?;
                    if integer(&now, &["status", "replicas"]) == replicas
                        && integer(&now, &["status", "observedGeneration"])
                            >= integer(&now, &["metadata", "generation"])
                    {
                        return Outcome::Ok(());
                    }
                    pause(Duration::from_millis(200)).await;
                }
            };
            match tokio::time::timeout(timeout, reached).await {
                Ok(reached) => reached?,
                Err(_) => failures.push(Failure::Text("timed out waiting for the condition".to_owned())),
            }
        }
    }
    together(failures)
}
