//! `kubectl drain`: a node is closed, and the Pods on it are asked to leave (k8s.io/kubectl/pkg/drain).

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use http::Method;
use podlab_api::json::{list, text, truth};
use podlab_client::Path;
use serde_json::{Value, json};

use super::common::{DryRun, duration, pause};
use super::delete::gone;
use super::nodes::{close, nodes};
use crate::failure::{Failure, Outcome, together};
use crate::find::Found;
use crate::print::{complain, quoted, say_line};
use crate::session::Session;

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Arguments {
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

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let (found, mut failures) = nodes(session, "drain", &arguments.words, arguments.selector.as_ref(), false).await?;
    let dry = DryRun::parse(&arguments.dry_run)?;
    duration(&arguments.timeout)?;
    for node in &found {
        close(session, node, true, dry).await?;
    }
    let mut pending = Vec::new();
    let mut why = Vec::new();
    for node in &found {
        match empty(session, &arguments, node, dry).await {
            Ok(()) => say_line(&format!("{} drained{}", node.name(), dry.suffix())),
            Err(all) => {
                let told = match all.as_slice() {
                    [one] => one.clone(),
                    all => format!("[{}]", all.join(", ")),
                };
                let name = node.object_name();
                complain(&format!(
                    "error: unable to drain node \"{name}\" due to error: {told}, continuing command..."
                ));
                pending.push(format!(" {name}"));
                why.extend(all);
            }
        }
    }
    if !pending.is_empty() {
        let told = format!("There are pending nodes to be drained:\n{}\n{}", pending.join("\n"), why.join("\n"));
        failures.push(Failure::Raw(told));
    }
    together(failures)
}

/// What becomes of a Pod on the node.
#[derive(Debug, PartialEq)]
enum Fate {
    /// It leaves; with a warning, if there is one.
    Leaves(Option<&'static str>),
    /// It stays, and that is said.
    Stays(&'static str),
    /// Nobody speaks of it.
    Unseen,
    /// The node cannot be drained.
    Refused(&'static str),
}

/// The first reason against it decides, as in the real one.
fn fate(pod: &Value, arguments: &Arguments) -> Fate {
    let done = matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed");
    let owner = list(pod, &["metadata", "ownerReferences"]).iter().find(|owner| truth(owner, &["controller"]));
    if !done && owner.is_some_and(|owner| text(owner, &["kind"]) == "DaemonSet") {
        return match arguments.ignore_daemonsets {
            true => Fate::Stays("ignoring DaemonSet-managed Pods"),
            false => Fate::Refused("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"),
        };
    }
    if !text(pod, &["metadata", "annotations", "kubernetes.io/config.mirror"]).is_empty() {
        return Fate::Unseen;
    }
    let data = list(pod, &["spec", "volumes"]).iter().any(|volume| volume.get("emptyDir").is_some());
    if !done && data && !arguments.delete_emptydir_data {
        return Fate::Refused("Pods with local storage (use --delete-emptydir-data to override)");
    }
    match done || owner.is_some() {
        true => Fate::Leaves(None),
        false if arguments.force => Fate::Leaves(Some("deleting Pods that declare no controller")),
        // The doubled words are the real one's.
        false => Fate::Refused("cannot delete Pods that declare no controller (use --force to override)"),
    }
}

async fn empty(session: &Session, arguments: &Arguments, node: &Found, dry: DryRun) -> Result<(), Vec<String>> {
    let one = |failure: Failure| vec![failure.message()];
    let mut path = Path::new("/api/v1/pods").query("fieldSelector", &format!("spec.nodeName={}", node.object_name()));
    if let Some(selector) = &arguments.pod_selector {
        path = path.query("labelSelector", selector);
    }
    let pods = session.get(&path).await.map_err(one)?;
    let (mut leaving, mut refused, mut warned) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for pod in list(&pods, &["items"]) {
        let name = format!("{}/{}", text(pod, &["metadata", "namespace"]), text(pod, &["metadata", "name"]));
        match fate(pod, arguments) {
            Fate::Unseen => {}
            Fate::Leaves(warning) => {
                leaving.push(pod);
                if let Some(warning) = warning {
                    warned.entry(warning).or_insert_with(Vec::new).push(name);
                }
            }
            Fate::Stays(warning) => warned.entry(warning).or_insert_with(Vec::new).push(name),
            Fate::Refused(why) => refused.entry(why).or_insert_with(Vec::new).push(name),
        }
    }
    if !refused.is_empty() {
        return Err(refused.iter().map(|(why, names)| format!("cannot delete {why}: {}", names.join(", "))).collect());
    }
    if !warned.is_empty() {
        let told: Vec<String> = warned.iter().map(|(why, names)| format!("{why}: {}", names.join(", "))).collect();
        complain(&format!("Warning: {}", told.join("; ")));
    }
    let limit = duration(&arguments.timeout).map_err(one)?;
    let end = (!limit.is_zero()).then(|| tokio::time::Instant::now() + limit);
    let mut asked = Vec::new();
    for pod in leaving {
        if ask(session, arguments, pod, dry, end).await.map_err(|why| vec![why])? {
            asked.push(pod);
        }
    }
    for (at, pod) in asked.iter().enumerate() {
        if let Err(why) = wait(session, arguments, pod, end).await {
            let name = node.object_name();
            complain(&format!("There are pending pods in node \"{name}\" when an error occurred: {why}"));
            for pending in &asked[at..] {
                complain(&format!("pod/{}", text(pending, &["metadata", "name"])));
            }
            return Err(vec![why]);
        }
    }
    Ok(())
}

/// Asks a Pod to leave, again as long as a budget refuses; says whether that is to be waited for.
async fn ask(
    session: &Session,
    arguments: &Arguments,
    pod: &Value,
    dry: DryRun,
    end: Option<tokio::time::Instant>,
) -> Result<bool, String> {
    let (namespace, name) = (text(pod, &["metadata", "namespace"]), text(pod, &["metadata", "name"]));
    // The real one says nothing of a deletion before it, and speaks of an eviction where it is only tried.
    if !arguments.disable_eviction || dry != DryRun::No {
        say_line(&format!("evicting pod {namespace}/{name}{}", dry.suffix()));
    }
    if dry != DryRun::No {
        return Ok(false);
    }
    let kind = session.kind_of("v1", "Pod").await.map_err(|failure| failure.message())?;
    let object = kind.object(Some(namespace), name);
    let mut options = json!({});
    if arguments.grace_period >= 0 {
        options["gracePeriodSeconds"] = arguments.grace_period.into();
    }
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name, "namespace": namespace },
        "deleteOptions": options,
    });
    loop {
        let answer = match arguments.disable_eviction {
            true => session.send(Method::DELETE, &object, &options).await,
            false => session.send(Method::POST, &object.clone().segment("eviction"), &eviction).await,
        };
        match answer {
            Ok(_) => return Ok(true),
            Err(failure) if failure.is_not_found() => return Ok(false),
            Err(failure) if failure.reason() == "TooManyRequests" => {
                let which = format!("error when evicting pods/\"{name}\" -n \"{namespace}\"");
                complain(&format!("{which} (will retry after 5s): {}", failure.message()));
                if end.is_some_and(|end| end <= tokio::time::Instant::now() + AGAIN) {
                    return Err(format!("{which}: global timeout reached: {}", arguments.timeout));
                }
                pause(AGAIN).await;
            }
            Err(failure) => {
                return Err(format!("error when evicting pods/\"{name}\" -n \"{namespace}\": {}", failure.message()));
            }
        }
    }
}

/// Until a budget may have changed its mind.
const AGAIN: Duration = Duration::from_secs(5);

/// Until the Pod is gone.
async fn wait(
    session: &Session,
    arguments: &Arguments,
    pod: &Value,
    end: Option<tokio::time::Instant>,
) -> Result<(), String> {
    let (namespace, name) = (text(pod, &["metadata", "namespace"]), text(pod, &["metadata", "name"]));
    let kind = session.kind_of("v1", "Pod").await.map_err(|failure| failure.message())?;
    let leaving = gone(session, &kind, Some(namespace), name, text(pod, &["metadata", "uid"]));
    let left = match end {
        Some(end) => tokio::time::timeout_at(end, leaving).await.map_err(|_| {
            let which = format!("error when waiting for pod {} in namespace {}", quoted(name), quoted(namespace));
            format!("{which} to terminate: context deadline exceeded")
        })?,
        None => leaving.await,
    };
    left.map_err(|failure| failure.message())?;
    let word = if arguments.disable_eviction { "deleted" } else { "evicted" };
    say_line(&format!("pod/{name} {word}"));
    Ok(())
}

#[test]
fn the_first_reason_against_a_pod_decides() {
    let pod = |owner: Option<&str>, data: bool, phase: &str| {
        let owners: Vec<Value> = owner.iter().map(|kind| json!({ "kind": kind, "controller": true })).collect();
        let volumes = if data { json!([{ "name": "data", "emptyDir": {} }]) } else { json!([]) };
        json!({ "metadata": { "ownerReferences": owners }, "spec": { "volumes": volumes }, "status": { "phase": phase } })
    };
    let none = Arguments::default();
    let all = Arguments { force: true, ignore_daemonsets: true, delete_emptydir_data: true, ..none.clone() };
    let refused = |pod: Value| matches!(fate(&pod, &none), Fate::Refused(_));
    for daemon in [pod(Some("DaemonSet"), false, "Running"), pod(Some("DaemonSet"), true, "Running")] {
        assert_eq!(fate(&daemon, &none), Fate::Refused("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"));
        assert_eq!(fate(&daemon, &all), Fate::Stays("ignoring DaemonSet-managed Pods"));
    }
    assert!(refused(pod(Some("ReplicaSet"), true, "Running")) && refused(pod(None, false, "Pending")));
    assert_eq!(fate(&pod(None, true, "Running"), &all), Fate::Leaves(Some("deleting Pods that declare no controller")));
    assert_eq!(fate(&pod(Some("ReplicaSet"), false, "Running"), &none), Fate::Leaves(None));
    // One that has ended has nothing to lose.
    assert_eq!(fate(&pod(None, true, "Succeeded"), &none), Fate::Leaves(None));
    let mut mirror = pod(None, false, "Running");
    mirror["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "x" });
    assert_eq!(fate(&mirror, &all), Fate::Unseen);
}
