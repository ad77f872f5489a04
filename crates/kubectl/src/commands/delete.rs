//! `kubectl delete`

use bytes::Bytes;
use clap::Args;
use http::Method;
use podlab_api::json::{list, text};
use podlab_client::Path;
use serde_json::{Value, json};

use super::common::{DryRun, duration};
use crate::discovery::Kind;
use crate::failure::{Failure, Outcome, fail, together};
use crate::http_call::{Call, Lines};
use crate::print::{complain, say_line};
use crate::select::Files;
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// TYPE NAME... or TYPE/NAME...
    words: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Only objects with these fields
    #[arg(long)]
    field_selector: Option<String>,
    /// All objects of the type
    #[arg(long)]
    all: bool,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// What is not there is no failure
    #[arg(long)]
    ignore_not_found: bool,
    /// What becomes of what it owns: background, foreground, orphan
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "background", default_value = "background")]
    cascade: String,
    /// Seconds to end in; -1 is what the object says
    #[arg(long, default_value_t = -1)]
    grace_period: i64,
    /// In one second
    #[arg(long)]
    now: bool,
    /// At once, with --grace-period=0: nothing is waited for
    #[arg(long)]
    force: bool,
    /// Wait until it is gone
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", action = clap::ArgAction::Set)]
    wait: bool,
    /// How long; 0 is what the object needs
    #[arg(long, default_value = "0s")]
    timeout: String,
    /// none, client or server
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "client", default_value = "none")]
    dry_run: String,
    /// name
    #[arg(short, long)]
    output: Option<String>,
    /// Ask before
    #[arg(short, long)]
    interactive: bool,
}

/// An object to be deleted.
struct Doomed {
    kind: Kind,
    namespace: Option<String>,
    name: String,
    source: String,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let dry = match arguments.dry_run.as_str() {
        "none" | "false" => DryRun::No,
        "server" => DryRun::Server,
        _ => DryRun::Client,
    };
    if arguments.all && arguments.selector.is_some() {
        return fail("cannot set --all and --selector at the same time");
    }
    let mut grace = arguments.grace_period;
    if arguments.now {
        if grace != -1 {
            return fail("--now and --grace-period cannot be specified together");
        }
        grace = 1;
    }
    let mut wait = arguments.wait;
    if arguments.force {
        if grace < 0 {
            grace = 0;
        }
        wait = wait && grace != 0;
        if grace == 0 {
            complain(
                "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.",
            );
        }
    } else if grace == 0 {
        grace = 1;
    }
    let mut failures = Vec::new();
    let doomed = doomed(session, &arguments).await?;
    if doomed.is_empty() {
        if arguments.files.is_empty() || !arguments.ignore_not_found {
            say_line("No resources found");
        }
        return Ok(());
    }
    let mut waiting = Vec::new();
    for one in doomed {
        match delete(session, &arguments, &one, grace, dry).await {
            Ok(uid) => {
                told(&arguments, &one, grace == 0, dry);
                waiting.push((one, uid));
            }
            Err(failure) if arguments.ignore_not_found && failure.is_not_found() => {}
            Err(failure) => failures.push(failure.when("deleting", &one.source)),
        }
    }
    if wait && dry == DryRun::No {
        let timeout = duration(&arguments.timeout)?;
        let all = async {
            for (one, uid) in &waiting {
                gone(session, &one.kind, one.namespace.as_deref(), &one.name, uid).await?;
            }
            Ok(())
        };
        if timeout.is_zero() {
            all.await?;
        } else if let Ok(ended) = tokio::time::timeout(timeout, all).await {
            ended?;
        } else {
            let names: Vec<String> =
                waiting.iter().map(|(one, _)| format!("{}/{}", one.kind.plural, one.name)).collect();
            failures.push(Failure::Text(format!("timed out waiting for the condition on {}", names.join(", "))));
        }
    }
    together(failures)
}

async fn doomed(session: &Session, arguments: &Arguments) -> Outcome<Vec<Doomed>> {
    let mut doomed = Vec::new();
    for manifest in session.manifests(&arguments.files).await? {
        let name = manifest.name().to_owned();
        doomed.push(Doomed { kind: manifest.kind, namespace: manifest.namespace, name, source: manifest.source });
    }
    if arguments.files.is_empty() && arguments.words.is_empty() {
        return fail(
            "You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'",
        );
    }
    let namespace = session.namespace()?;
    let space = Some(namespace.as_str()).filter(|_| !arguments.all_namespaces);
    let unnamed = arguments.selector.is_some() || arguments.field_selector.is_some() || arguments.all;
    for target in session.targets(&arguments.words).await? {
        let own = |namespaced: bool| space.filter(|_| namespaced).map(str::to_owned);
        match target.name {
            Some(_) if unnamed => return fail("name cannot be provided when a selector is specified"),
            Some(name) => {
                let namespace = own(target.kind.namespaced);
                doomed.push(Doomed { kind: target.kind, namespace, name, source: String::new() });
            }
            None if !unnamed => return fail("resource(s) were provided, but no name was specified"),
            None => {
                let mut path = target.kind.collection(space);
                for (name, value) in
                    [("labelSelector", &arguments.selector), ("fieldSelector", &arguments.field_selector)]
                {
                    if let Some(value) = value {
                        path = path.query(name, value);
                    }
                }
                for item in list(&session.get(&path).await?, &["items"]) {
                    doomed.push(Doomed {
                        kind: target.kind.clone(),
                        namespace: item["metadata"]["namespace"].as_str().map(str::to_owned),
                        name: text(item, &["metadata", "name"]).to_owned(),
                        source: String::new(),
                    });
                }
            }
        }
    }
    Ok(doomed)
}

/// Asks for the end; the answer is the object's uid.
async fn delete(session: &Session, arguments: &Arguments, one: &Doomed, grace: i64, dry: DryRun) -> Outcome<String> {
    let path = one.kind.object(one.namespace.as_deref(), &one.name);
    if dry == DryRun::Client {
        let object = session.get(&path).await?;
        return Ok(text(&object, &["metadata", "uid"]).to_owned());
    }
    let propagation = match arguments.cascade.as_str() {
        "background" | "true" => "Background",
        "foreground" => "Foreground",
        "orphan" | "false" => "Orphan",
        other => {
            return fail(format!(
                "invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\""
            ));
        }
    };
    let mut options = json!({ "propagationPolicy": propagation });
    if grace >= 0 {
        options["gracePeriodSeconds"] = grace.into();
    }
    if dry == DryRun::Server {
        options["dryRun"] = json!(["All"]);
    }
    let call = Call { accept: None, content_type: Some("application/json"), body: Bytes::from(options.to_string()) };
    let answer = session.call(Method::DELETE, &path, call).await?;
    let uid = match text(&answer, &["kind"]) {
        "Status" => text(&answer, &["details", "uid"]),
        _ => text(&answer, &["metadata", "uid"]),
    };
    Ok(uid.to_owned())
}

fn told(arguments: &Arguments, one: &Doomed, forced: bool, dry: DryRun) {
    let kind = one.kind.lower();
    if arguments.output.as_deref() == Some("name") {
        say_line(&format!("{kind}/{}", one.name));
        return;
    }
    let suffix = match dry {
        DryRun::No => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    };
    let what = if forced { "force deleted" } else { "deleted" };
    say_line(&format!("{kind} \"{}\" {what}{suffix}", one.name));
}

/// Deletes at once and waits until it is gone.
pub(crate) async fn and_wait(session: &Session, kind: &Kind, namespace: Option<&str>, name: &str) -> Outcome {
    let path = kind.object(namespace, name);
    let answer = session.call(Method::DELETE, &path, Call::default()).await?;
    let uid = text(&answer, &["metadata", "uid"]).to_owned();
    gone(session, kind, namespace, name, &uid).await
}

/// Waits until the object of this uid is no more.
pub(crate) async fn gone(session: &Session, kind: &Kind, namespace: Option<&str>, name: &str, uid: &str) -> Outcome {
    loop {
        let current = match session.get(&kind.object(namespace, name)).await {
            Ok(current) => current,
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) => return Err(failure),
        };
        if !uid.is_empty() && text(&current, &["metadata", "uid"]) != uid {
            return Ok(());
        }
        let version = text(&current, &["metadata", "resourceVersion"]);
        let mut lines = watch(session, &kind.collection(namespace), name, version).await?;
        while let Some(line) = lines.next().await? {
            let event: Value = serde_json::from_slice(&line).unwrap_or_default();
            match text(&event, &["type"]) {
                "DELETED" => return Ok(()),
                "ERROR" => break,
                _ => {}
            }
        }
    }
}

/// What happens to one object from a revision on.
pub(crate) async fn watch(session: &Session, collection: &Path, name: &str, version: &str) -> Outcome<Lines> {
    let mut path = collection.clone().query("fieldSelector", &format!("metadata.name={name}")).query("watch", "true");
    if !version.is_empty() {
        path = path.query("resourceVersion", version);
    }
    Ok(Lines::new(session.open(Method::GET, &path, Call::default()).await?))
}
