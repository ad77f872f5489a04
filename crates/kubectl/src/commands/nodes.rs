//! `kubectl cordon`, `uncordon`, `taint`

use clap::Args;
use podlab_api::json::{list, text, truth};
use serde_json::{Value, json};

use super::common::{DryRun, Writing};
use crate::failure::{Failure, Outcome, fail, together};
use crate::find::{Choice, Found};
use crate::http_call::{MERGE, STRATEGIC};
use crate::print::say_line;
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Cordon {
    /// NODE...
    words: Vec<String>,
    /// Only nodes with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// none, client or server
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "client", default_value = "none")]
    dry_run: String,
}

pub(super) async fn nodes(
    session: &Session,
    command: &str,
    words: &[String],
    selector: Option<&String>,
    all: bool,
) -> Outcome<(Vec<Found>, Vec<Failure>)> {
    let mut named = vec!["nodes".to_owned()];
    named.extend(
        words
            .iter()
            .filter(|word| !matches!(word.as_str(), "node" | "nodes"))
            .map(|word| word.trim_start_matches("node/").to_owned()),
    );
    let choice = Choice { selector: selector.cloned(), all, ..Choice::default() };
    if named.len() == 1 && selector.is_none() && !all {
        return fail(format!("USAGE: {command} NODE [flags]\nSee 'kubectl {command} -h' for help and examples"));
    }
    if named.len() > 1 && selector.is_some() {
        let why = "cannot specify both a node name and a --selector option";
        return fail(format!("{why}\nSee 'kubectl {command} -h' for help and examples"));
    }
    session.found(&named, &choice).await
}

pub(crate) async fn cordon(session: &Session, arguments: Cordon, closed: bool) -> Outcome {
    let dry = DryRun::parse(&arguments.dry_run)?;
    let command = if closed { "cordon" } else { "uncordon" };
    let (found, mut failures) = nodes(session, command, &arguments.words, arguments.selector.as_ref(), false).await?;
    for one in &found {
        if let Err(failure) = close(session, one, closed, dry).await {
            failures.push(failure);
        }
    }
    together(failures)
}

pub(super) async fn close(session: &Session, node: &Found, closed: bool, dry: DryRun) -> Outcome {
    let word = if closed { "cordoned" } else { "uncordoned" };
    let suffix = dry.suffix();
    if truth(&node.object, &["spec", "unschedulable"]) == closed {
        say_line(&format!("{} already {word}{suffix}", node.name()));
        return Ok(());
    }
    if dry == DryRun::No {
        let value = if closed { Value::Bool(true) } else { Value::Null };
        session.patch(&node.path(), STRATEGIC, &json!({ "spec": { "unschedulable": value } })).await?;
    }
    say_line(&format!("{} {word}{suffix}", node.name()));
    Ok(())
}

#[derive(Args, Debug)]
pub(crate) struct Taint {
    /// NODE NAME KEY=VALUE:EFFECT... KEY[:EFFECT]-...
    words: Vec<String>,
    #[command(flatten)]
    writing: Writing,
    /// Only nodes with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// All nodes
    #[arg(long)]
    all: bool,
    /// Replace values that are there
    #[arg(long)]
    overwrite: bool,
}

pub(crate) async fn taint(session: &Session, arguments: Taint) -> Outcome {
    let (mut names, mut added, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for (index, word) in arguments.words.iter().enumerate() {
        let is_change = word.contains(':') || word.contains('=') || word.ends_with('-') && index > 0;
        match word.strip_suffix('-') {
            _ if index == 0 || !is_change => names.push(word.clone()),
            Some(taint) => {
                let (key, effect) = taint.split_once(':').unwrap_or((taint, ""));
                removed.push((key.split('=').next().unwrap_or(key).to_owned(), effect.to_owned()));
            }
            None => {
                let Some((pair, effect)) = word.rsplit_once(':') else {
                    return fail(format!("invalid taint spec: {word}"));
                };
                if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
                    return fail(format!("invalid taint effect: {effect}, unsupported taint effect"));
                }
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                added.push((key.to_owned(), value.to_owned(), effect.to_owned()));
            }
        }
    }
    if added.is_empty() && removed.is_empty() {
        return fail("at least one taint update is required");
    }
    let (found, mut failures) = nodes(session, "taint", &names, arguments.selector.as_ref(), arguments.all).await?;
    let mut teller = arguments.writing.teller()?;
    for node in &found {
        let mut taints: Vec<Value> = list(&node.object, &["spec", "taints"]).to_vec();
        let same = |taint: &Value, key: &str, effect: &str| {
            text(taint, &["key"]) == key && (effect.is_empty() || text(taint, &["effect"]) == effect)
        };
        let mut missing = Vec::new();
        for (key, effect) in &removed {
            let before = taints.len();
            taints.retain(|taint| !same(taint, key, effect));
            if taints.len() == before {
                let shown = if effect.is_empty() { key.clone() } else { format!("{key}:{effect}") };
                missing.push(Failure::Text(format!("taint \"{shown}\" not found")));
            }
        }
        if !missing.is_empty() {
            failures.extend(missing);
            continue;
        }
        let clash = added.iter().any(|(key, _, effect)| taints.iter().any(|taint| same(taint, key, effect)));
        if clash && !arguments.overwrite {
            failures.push(Failure::Text(format!(
                "node {} already has {} taint(s) with same effect(s) and --overwrite is false",
                node.object_name(),
                added[0].0
            )));
            continue;
        }
        for (key, value, effect) in &added {
            taints.retain(|taint| !same(taint, key, effect));
            let mut taint = json!({ "key": key, "effect": effect });
            if !value.is_empty() {
                taint["value"] = value.as_str().into();
            }
            taints.push(taint);
        }
        let what = match (added.is_empty(), removed.is_empty(), clash) {
            (true, _, _) => "untainted",
            (_, true, true) => "modified",
            (_, true, false) => "tainted",
            _ => "modified",
        };
        let path = arguments.writing.on(node.path(), "kubectl-taint")?;
        let taints = if taints.is_empty() { Value::Null } else { taints.into() };
        let object = match arguments.writing.dry()? {
            DryRun::Client => node.object.clone(),
            _ => session.patch(&path, MERGE, &json!({ "spec": { "taints": taints } })).await?,
        };
        teller.tell(&object, what)?;
    }
    together(failures)
}
