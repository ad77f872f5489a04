//! `kubectl rollout status`, `restart`, `history`, `pause`, `resume`, `undo`

use clap::{Args, Subcommand};
use podlab_api::json::{at, integer, list, text};
use podlab_client::Path;
use serde_json::{Value, json};

use super::common::{Writing, duration};
use super::delete;
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

async fn found(session: &Session, of: &Of) -> Outcome<(Vec<Found>, Vec<Failure>)> {
    if of.words.is_empty() && of.choice.files.is_empty() {
        return fail("required resource not specified");
    }
    let (found, failures) = session.found(&of.words, &of.choice).await?;
    match found.iter().find(|one| one.kind.kind != "Deployment") {
        Some(other) => fail(format!("no status viewer has been implemented for {}", other.kind.kind)),
        None => Ok((found, failures)),
    }
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    match arguments.command {
        Command::Status { of, watch, timeout } => {
            let timeout = duration(&timeout)?;
            let (found, mut failures) = found(session, &of).await?;
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
            let mut teller = writing.teller()?;
            let (found, failures) = found(session, &of).await?;
            for one in &found {
                let path = writing.on(one.path(), "kubectl-rollout")?;
                let object = session.patch(&path, STRATEGIC, &patch).await?;
                teller.tell(&object, "restarted")?;
            }
            together(failures)
        }
        Command::History { of } => {
            let (found, failures) = found(session, &of).await?;
            for one in &found {
                let mut sets = sets(session, one).await?;
                sets.sort_by_key(revision);
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
        Command::Undo { of, to_revision } => {
            let (found, failures) = found(session, &of).await?;
            for one in &found {
                undo(session, one, to_revision).await?;
            }
            together(failures)
        }
    }
}

async fn pause(session: &Session, of: &Of, paused: bool) -> Outcome {
    let (found, mut failures) = found(session, of).await?;
    let word = if paused { "paused" } else { "resumed" };
    for one in &found {
        if at(&one.object, &["spec", "paused"]).as_bool().unwrap_or_default() == paused {
            let already = if paused { "already paused" } else { "is not paused" };
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

async fn undo(session: &Session, one: &Found, to: i64) -> Outcome {
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
    let mut template = at(target, &["spec", "template"]).clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove("pod-template-hash");
    }
    if at(&one.object, &["spec", "template", "spec"]) == at(&template, &["spec"]) {
        say_line(&format!(
            "{} skipped rollback (current template already matches revision {})",
            one.name(),
            revision(target)
        ));
        return Ok(());
    }
    let patch = json!([{ "op": "replace", "path": "/spec/template", "value": template }]);
    session.patch(&one.path(), "application/json-patch+json", &patch).await?;
    say_line(&format!("{} rolled back", one.name()));
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
