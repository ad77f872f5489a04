//! `kubectl rollout status`, `restart`, `history`, `pause`, `resume`, `undo`

use clap::{Args, Subcommand};
use podlab_api::json::{at, integer, list, text, truth};
use podlab_client::Path;
use serde_json::{Value, json};

use super::common::{DryRun, Writing, duration};
use super::delete;
use crate::describe;
use crate::failure::{Failure, Outcome, fail, together};
use crate::find::{Choice, Found};
use crate::http_call::{MERGE, STRATEGIC};
use crate::print::{say, say_line, tabs::Tabs};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show the status of the rollout
    Status {
        #[command(flatten)]
        of: Of,
        /// Until it is done
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", action = clap::ArgAction::Set)]
        watch: bool,
        /// How long; 0 is for ever
        #[arg(long, default_value = "0s")]
        timeout: String,
    },
    /// Restart a resource
    Restart {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        writing: Writing,
    },
    /// View rollout history
    History {
        #[command(flatten)]
        of: Of,
        /// The Pods of this revision
        #[arg(long, default_value_t = 0)]
        revision: i64,
    },
    /// Mark the provided resource as paused
    Pause {
        #[command(flatten)]
        of: Of,
    },
    /// Resume a paused resource
    Resume {
        #[command(flatten)]
        of: Of,
    },
    /// Undo a previous rollout
    Undo {
        #[command(flatten)]
        of: Of,
        /// The revision to go back to; 0 is the one before
        #[arg(long, default_value_t = 0)]
        to_revision: i64,
        /// none, client or server
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "client", default_value = "none")]
        dry_run: String,
    },
}

#[derive(Args, Debug)]
struct Of {
    /// TYPE NAME or TYPE/NAME
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
}

const REVISION: &str = "deployment.kubernetes.io/revision";

/// The Deployments; `refusal` is what is said of another kind.
async fn found(session: &Session, of: &Of, refusal: impl Fn(&Found) -> String) -> Outcome<(Vec<Found>, Vec<Failure>)> {
    if of.words.is_empty() && of.choice.files.is_empty() {
        return fail("required resource not specified");
    }
    let mut choice = of.choice.clone();
    // A type alone is all of it.
    choice.all |= matches!(of.words.as_slice(), [only] if !only.contains('/')) && choice.selector.is_none();
    let (found, failures) = session.found(&of.words, &choice).await?;
    match found.iter().find(|one| one.kind.kind != "Deployment") {
        Some(other) => fail(refusal(other)),
        None => Ok((found, failures)),
    }
}

fn no(what: &str) -> impl Fn(&Found) -> String {
    move |one| format!("no {what} has been implemented for \"{}\"", one.kind.kind)
}

/// `pods "alone" restarting is not supported`
fn not(doing: &str) -> impl Fn(&Found) -> String {
    move |one| format!("{} \"{}\" {doing} is not supported", one.kind.resource(), one.object_name())
}

fn is_paused(deployment: &Value) -> bool {
    truth(deployment, &["spec", "paused"])
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    match arguments.command {
        Command::Status { of, watch, timeout } => {
            let timeout = duration(&timeout)?;
            let viewer = |one: &Found| format!("no status viewer has been implemented for {}", one.kind.kind);
            let (found, mut failures) = found(session, &of, viewer).await?;
            for one in &found {
                let status = status(session, one, watch);
                if timeout.is_zero() {
                    status.await?;
                } else {
                    match tokio::time::timeout(timeout, status).await {
                        Ok(ended) => ended?,
                        Err(_) => failures.push(Failure::Text("timed out waiting for the condition".to_owned())),
                    }
                }
            }
            together(failures)
        }
        Command::Restart { of, writing } => {
            let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let patch = json!({ "spec": { "template": { "metadata": { "annotations": { "kubectl.kubernetes.io/restartedAt": now } } } } });
            if writing.dry()? != DryRun::No {
                return fail("unknown flag: --dry-run\nSee 'kubectl rollout restart --help' for usage.");
            }
            let mut teller = writing.teller()?;
            let (found, mut failures) = found(session, &of, not("restarting")).await?;
            for one in &found {
                if is_paused(&one.object) {
                    let which = format!("{} \"{}\"", one.kind.resource(), one.object_name());
                    let why = format!("{which} can't restart paused deployment (run rollout resume first)");
                    failures.push(Failure::Text(why));
                    continue;
                }
                let path = writing.on(one.path(), "kubectl-rollout")?;
                let object = session.patch(&path, STRATEGIC, &patch).await?;
                teller.tell(&object, "restarted")?;
            }
            together(failures)
        }
        Command::History { of, revision: wanted } => {
            if wanted < 0 {
                return fail("revision must be a positive integer: ".to_owned() + &wanted.to_string());
            }
            let (found, failures) = found(session, &of, no("history viewer")).await?;
            for one in &found {
                let mut sets = sets(session, one).await?;
                sets.sort_by_key(revision);
                if wanted > 0 {
                    let Some(set) = sets.iter().find(|set| revision(set) == wanted) else {
                        return fail("unable to find the specified revision");
                    };
                    let template = describe::template(at(set, &["spec", "template"]));
                    say(&format!("{} with revision #{wanted}\n{template}\n", one.name()));
                    continue;
                }
                let mut table = "REVISION\tCHANGE-CAUSE\n".to_owned();
                for set in &sets {
                    let cause = match text(set, &["metadata", "annotations", "kubernetes.io/change-cause"]) {
                        "" => "<none>",
                        cause => cause,
                    };
                    table.push_str(&format!("{}\t{cause}\n", revision(set)));
                }
                say(&format!("{} \n{}\n", one.name(), Tabs::description().format(&table)));
            }
            together(failures)
        }
        Command::Pause { of } => pause(session, &of, true).await,
        Command::Resume { of } => pause(session, &of, false).await,
        Command::Undo { of, to_revision, dry_run } => {
            let dry = DryRun::parse(&dry_run)?;
            let (found, failures) = found(session, &of, no("rollbacker")).await?;
            for one in &found {
                undo(session, one, to_revision, dry).await?;
            }
            together(failures)
        }
    }
}

async fn pause(session: &Session, of: &Of, paused: bool) -> Outcome {
    let word = if paused { "paused" } else { "resumed" };
    let doing = if paused { "pausing" } else { "resuming" };
    let (found, mut failures) = found(session, of, not(doing)).await?;
    for one in &found {
        if is_paused(&one.object) == paused {
            let already = if paused { "is already paused" } else { "is not paused" };
            failures.push(Failure::Text(format!("{} \"{}\" {already}", one.kind.resource(), one.object_name())));
            continue;
        }
        session.patch(&one.path(), MERGE, &json!({ "spec": { "paused": paused } })).await?;
        say_line(&format!("{} {word}", one.name()));
    }
    together(failures)
}

fn revision(set: &Value) -> i64 {
    text(set, &["metadata", "annotations", REVISION]).parse().unwrap_or(0)
}

async fn sets(session: &Session, one: &Found) -> Outcome<Vec<Value>> {
    let namespace = one.namespace.as_deref().unwrap_or("default");
    let all = session.get(&Path::new("/apis/apps/v1/namespaces").segment(namespace).segment("replicasets")).await?;
    let uid = at(&one.object, &["metadata", "uid"]);
    let owned =
        |set: &&Value| list(set, &["metadata", "ownerReferences"]).iter().any(|owner| at(owner, &["uid"]) == uid);
    Ok(list(&all, &["items"]).iter().filter(owned).cloned().collect())
}

async fn undo(session: &Session, one: &Found, to: i64, dry: DryRun) -> Outcome {
    if is_paused(&one.object) {
        return fail(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again",
        );
    }
    let mut sets = sets(session, one).await?;
    sets.sort_by_key(revision);
    let target = match to {
        0 => sets.iter().rev().nth(1),
        to => sets.iter().find(|set| revision(set) == to),
    };
    let Some(target) = target else {
        return match to {
            0 => fail(format!("no rollout history found for deployment \"{}\"", one.object_name())),
            to => fail(format!("unable to find specified revision {to} in history")),
        };
    };
    if dry == DryRun::Client {
        let template = describe::template(at(target, &["spec", "template"]));
        say_line(&format!("{} {template}{}", one.name(), dry.suffix()));
        return Ok(());
    }
    let mut template = at(target, &["spec", "template"]).clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove("pod-template-hash");
    }
    // All of it: a restart changes nothing but an annotation.
    if at(&one.object, &["spec", "template"]) == &template {
        say_line(&format!(
            "{} skipped rollback (current template already matches revision {})",
            one.name(),
            revision(target)
        ));
        return Ok(());
    }
    let patch = json!([{ "op": "replace", "path": "/spec/template", "value": template }]);
    let path = if dry == DryRun::Server { one.path().query("dryRun", "All") } else { one.path() };
    session.patch(&path, "application/json-patch+json", &patch).await?;
    say_line(&format!("{} rolled back{}", one.name(), dry.suffix()));
    Ok(())
}

async fn status(session: &Session, one: &Found, watch: bool) -> Outcome {
    let name = one.object_name();
    let mut object = one.object.clone();
    let mut told = String::new();
    loop {
        let (text_now, done) = progress(&object, name)?;
        if text_now != told || done {
            say(&text_now);
            told = text_now;
        }
        if done || !watch {
            return Ok(());
        }
        let version = text(&object, &["metadata", "resourceVersion"]).to_owned();
        let namespace = one.namespace.as_deref();
        let mut lines = delete::watch(session, &one.kind.collection(namespace), name, &version).await?;
        while let Some(line) = lines.next().await? {
            let event: Value = serde_json::from_slice(&line).unwrap_or_default();
            match text(&event, &["type"]) {
                "DELETED" => return fail("object has been deleted"),
                "ERROR" => break,
                _ => {}
            }
            let (text_now, done) = progress(&event["object"], name)?;
            if text_now != told || done {
                say(&text_now);
                told = text_now;
            }
            if done {
                return Ok(());
            }
        }
        object = session.get(&one.path()).await?;
    }
}

/// How far a Deployment is (k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go).
fn progress(object: &Value, name: &str) -> Outcome<(String, bool)> {
    if integer(object, &["metadata", "generation"]) > integer(object, &["status", "observedGeneration"]) {
        return Ok(("Waiting for deployment spec update to be observed...\n".to_owned(), false));
    }
    let stuck = list(object, &["status", "conditions"]).iter().any(|condition| {
        text(condition, &["type"]) == "Progressing" && text(condition, &["reason"]) == "ProgressDeadlineExceeded"
    });
    if stuck {
        return fail(format!("deployment \"{name}\" exceeded its progress deadline"));
    }
    let wanted = integer(object, &["spec", "replicas"]);
    let [updated, all, available] =
        ["updatedReplicas", "replicas", "availableReplicas"].map(|field| integer(object, &["status", field]));
    let waiting = format!("Waiting for deployment \"{name}\" rollout to finish: ");
    Ok(if updated < wanted {
        (format!("{waiting}{updated} out of {wanted} new replicas have been updated...\n"), false)
    } else if all > updated {
        (format!("{waiting}{} old replicas are pending termination...\n", all - updated), false)
    } else if available < updated {
        (format!("{waiting}{available} of {updated} updated replicas are available...\n"), false)
    } else {
        (format!("deployment \"{name}\" successfully rolled out\n"), true)
    })
}
