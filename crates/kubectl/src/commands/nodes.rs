//! `kubectl cordon`, `uncordon`, `drain`, `taint`

use std::time::Duration;

use clap::Args;
use http::Method;
use podlab_api::json::{list, text, truth};
use podlab_client::Path;
use serde_json::{Value, json};

use super::common::{DryRun, Writing, duration, pause};
use super::delete::gone;
use crate::failure::{Failure, Outcome, fail, together};
use crate::find::{Choice, Found};
use crate::http_call::{MERGE, STRATEGIC};
use crate::print::{complain, say_line};
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

async fn nodes(
    session: &Session,
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
        return fail("error: USAGE: NODE [NODE...] [flags]\nSee the command's -h for help and examples");
    }
    session.found(&named, &choice).await
}

pub(crate) async fn cordon(session: &Session, arguments: Cordon, closed: bool) -> Outcome {
    let (found, mut failures) = nodes(session, &arguments.words, arguments.selector.as_ref(), false).await?;
    for one in &found {
        if let Err(failure) = close(session, one, closed, arguments.dry_run != "none").await {
            failures.push(failure);
        }
    }
    together(failures)
}

async fn close(session: &Session, node: &Found, closed: bool, dry: bool) -> Outcome {
    let word = if closed { "cordoned" } else { "uncordoned" };
    let suffix = if dry { " (dry run)" } else { "" };
    if truth(&node.object, &["spec", "unschedulable"]) == closed {
        say_line(&format!("{} already {word}{suffix}", node.name()));
        return Ok(());
    }
    if !dry {
        let value = if closed { Value::Bool(true) } else { Value::Null };
        session.patch(&node.path(), STRATEGIC, &json!({ "spec": { "unschedulable": value } })).await?;
    }
    say_line(&format!("{} {word}{suffix}", node.name()));
    Ok(())
}

#[derive(Args, Debug)]
pub(crate) struct Drain {
    /// NODE...
    words: Vec<String>,
    /// Only nodes with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Also Pods that nobody makes again
    #[arg(long)]
    force: bool,
    /// Leave the Pods of DaemonSets
    #[arg(long)]
    ignore_daemonsets: bool,
    /// Also Pods that lose what is in their emptyDirs
    #[arg(long)]
    delete_emptydir_data: bool,
    /// Seconds to end in; -1 is what the Pod says
    #[arg(long, default_value_t = -1)]
    grace_period: i64,
    /// How long; 0 is for ever
    #[arg(long, default_value = "0s")]
    timeout: String,
    /// Only Pods with these labels
    #[arg(long)]
    pod_selector: Option<String>,
    /// Delete, whatever budgets say
    #[arg(long)]
    disable_eviction: bool,
    /// none, client or server
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "client", default_value = "none")]
    dry_run: String,
}

pub(crate) async fn drain(session: &Session, arguments: Drain) -> Outcome {
    let (found, mut failures) = nodes(session, &arguments.words, arguments.selector.as_ref(), false).await?;
    let timeout = duration(&arguments.timeout)?;
    let dry = arguments.dry_run != "none";
    for node in &found {
        close(session, node, true, dry).await?;
    }
    for node in &found {
        let drained = empty(session, &arguments, node, dry);
        let ended = match timeout.is_zero() {
            true => drained.await,
            false => match tokio::time::timeout(timeout, drained).await {
                Ok(ended) => ended,
                Err(_) => fail("drain did not complete within the timeout"),
            },
        };
        match ended {
            Ok(()) => say_line(&format!("{} drained{}", node.name(), if dry { " (dry run)" } else { "" })),
            Err(failure) => {
                let why = format!(
                    "unable to drain node \"{}\" due to error: {}, continuing command...",
                    node.object_name(),
                    failure.message()
                );
                complain(&format!("error: {why}"));
                failures.push(Failure::Raw(format!(
                    "There are pending nodes to be drained:\n {}\nerror: {}",
                    node.object_name(),
                    failure.message()
                )));
            }
        }
    }
    together(failures)
}

async fn empty(session: &Session, arguments: &Drain, node: &Found, dry: bool) -> Outcome {
    let mut path = Path::new("/api/v1/pods").query("fieldSelector", &format!("spec.nodeName={}", node.object_name()));
    if let Some(selector) = &arguments.pod_selector {
        path = path.query("labelSelector", selector);
    }
    let pods = session.get(&path).await?;
    let named = |pods: &[&Value]| {
        let names: Vec<String> = pods
            .iter()
            .map(|pod| format!("{}/{}", text(pod, &["metadata", "namespace"]), text(pod, &["metadata", "name"])))
            .collect();
        names.join(", ")
    };
    let (mut leaving, mut left, mut alone, mut data) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for pod in list(&pods, &["items"]) {
        let annotated = !text(pod, &["metadata", "annotations", "kubernetes.io/config.mirror"]).is_empty();
        let owner = list(pod, &["metadata", "ownerReferences"]).iter().find(|owner| truth(owner, &["controller"]));
        let done = matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed");
        match owner.map(|owner| text(owner, &["kind"])) {
            _ if annotated => continue,
            Some("DaemonSet") if !done => {
                left.push(pod);
                continue;
            }
            None if !done => alone.push(pod),
            _ => {}
        }
        if !done && list(pod, &["spec", "volumes"]).iter().any(|volume| volume.get("emptyDir").is_some()) {
            data.push(pod);
        }
        leaving.push(pod);
    }
    let mut refused = Vec::new();
    if !data.is_empty() && !arguments.delete_emptydir_data {
        refused.push(format!(
            "cannot delete Pods with local storage (use --delete-emptydir-data to override): {}",
            named(&data)
        ));
    }
    if !alone.is_empty() && !arguments.force {
        refused.push(
            format!(
                "cannot delete cannot delete Pods that declare no controller (use --force to override): {}",
                named(&alone)
            )
            .replace("cannot delete cannot", "cannot"),
        );
    }
    if !left.is_empty() && !arguments.ignore_daemonsets {
        refused.push(format!(
            "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): {}",
            named(&left)
        ));
    }
    match refused.as_slice() {
        [] => {}
        [one] => return fail(one.as_str()),
        all => return fail(format!("[{}]", all.join(", "))),
    }
    if !alone.is_empty() {
        complain(&format!("Warning: deleting Pods that declare no controller: {}", named(&alone)));
    }
    if !left.is_empty() {
        complain(&format!("Warning: ignoring DaemonSet-managed Pods: {}", named(&left)));
    }
    let kind = session.kind_of("v1", "Pod").await?;
    for pod in &leaving {
        let (namespace, name) = (text(pod, &["metadata", "namespace"]), text(pod, &["metadata", "name"]));
        if dry {
            say_line(&format!("evicting pod {namespace}/{name} (dry run)"));
            continue;
        }
        say_line(&format!(
            "{} pod {namespace}/{name}",
            if arguments.disable_eviction { "deleting" } else { "evicting" }
        ));
        let mut options = json!({});
        if arguments.grace_period >= 0 {
            options["gracePeriodSeconds"] = arguments.grace_period.into();
        }
        let object = kind.object(Some(namespace), name);
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name, "namespace": namespace }, "deleteOptions": options,
        });
        loop {
            let asked = match arguments.disable_eviction {
                true => session.send(Method::DELETE, &object, &options).await,
                false => session.send(Method::POST, &object.clone().segment("eviction"), &eviction).await,
            };
            match asked {
                Ok(_) => break,
                Err(failure) if failure.is_not_found() => break,
                Err(failure) if failure.reason() == "TooManyRequests" => {
                    complain(&format!(
                        "error when evicting pods/\"{name}\" -n \"{namespace}\" (will retry after 5s): {}",
                        failure.message()
                    ));
                    pause(Duration::from_secs(5)).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    for pod in leaving.iter().filter(|_| !dry) {
        let (namespace, name) = (text(pod, &["metadata", "namespace"]), text(pod, &["metadata", "name"]));
        gone(session, &kind, Some(namespace), name, text(pod, &["metadata", "uid"])).await?;
        say_line(&format!("pod/{name} evicted"));
    }
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
    let (found, mut failures) = nodes(session, &names, arguments.selector.as_ref(), arguments.all).await?;
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
