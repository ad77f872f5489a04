//! `kubectl debug`: a container beside those of a Pod, or a Pod on a node.

use clap::Args;
use podlab_api::json::{list, text};
use podlab_client::Path;
use serde_json::{Value, json};

use super::common::duration;
use super::exec::{Streams, attach_to, connect, of};
use crate::failure::{Outcome, fail};
use crate::http_call::STRATEGIC;
use crate::print::{complain, say_line};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// POD or node/NAME
    words: Vec<String>,
    /// The image
    #[arg(long)]
    image: Option<String>,
    /// The new container's name
    #[arg(short, long)]
    container: Option<String>,
    /// The container whose processes it sees
    #[arg(long)]
    target: Option<String>,
    /// Pass standard input
    #[arg(short = 'i', long)]
    stdin: bool,
    /// With a terminal
    #[arg(short, long)]
    tty: bool,
    /// Show what it writes
    #[arg(long)]
    attach: bool,
    /// Say less
    #[arg(short, long)]
    quiet: bool,
    /// NAME=VALUE
    #[arg(long)]
    env: Vec<String>,
    /// Always, IfNotPresent or Never
    #[arg(long)]
    image_pull_policy: Option<String>,
    /// What it may: legacy, general, baseline, restricted, netadmin, sysadmin
    #[arg(long, default_value = "legacy")]
    profile: String,
    /// A copy of the Pod (not built in)
    #[arg(long)]
    copy_to: Option<String>,
    /// Share processes in the copy
    #[arg(long)]
    share_processes: bool,
    /// The command
    #[arg(last = true)]
    command: Vec<String>,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let Some(word) = arguments.words.first() else {
        return fail("NAME or TYPE/NAME is required for debug");
    };
    if arguments.copy_to.is_some() {
        return fail(
            "the built-in kubectl debugs no copies: use the real one, https://kubernetes.io/docs/tasks/tools/",
        );
    }
    let Some(image) = arguments.image.as_deref() else {
        return fail("you must specify --image when not using --copy-to.");
    };
    if arguments.profile == "legacy" {
        complain(
            "--profile=legacy is deprecated and will be removed in the future. It is recommended to explicitly specify a profile, for example \"--profile=general\".",
        );
    }
    if arguments.tty && !arguments.stdin {
        return fail("-i/--stdin is required for containers with -t/--tty=true");
    }
    let name = arguments.container.clone().unwrap_or_else(|| format!("debugger-{}", suffix()));
    let mut container = json!({
        "name": name, "image": image, "terminationMessagePolicy": "File",
    });
    if let Some(policy) = &arguments.image_pull_policy {
        container["imagePullPolicy"] = policy.as_str().into();
    }
    if !arguments.command.is_empty() {
        container["command"] = arguments.command.clone().into();
    }
    let variables: Vec<Value> = arguments
        .env
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    if !variables.is_empty() {
        container["env"] = variables.into();
    }
    if arguments.stdin {
        container["stdin"] = true.into();
    }
    if arguments.tty {
        container["tty"] = true.into();
    }
    match word.strip_prefix("node/").or(word.strip_prefix("nodes/")) {
        Some(node) => on_node(session, &arguments, node, container).await,
        None => in_pod(session, &arguments, word, &name, container).await,
    }
}

fn streams(arguments: &Arguments) -> Option<Streams> {
    let wanted = arguments.attach || arguments.stdin;
    wanted.then_some(Streams { stdin: arguments.stdin, tty: arguments.tty, quiet: arguments.quiet })
}

async fn in_pod(session: &Session, arguments: &Arguments, word: &str, name: &str, mut container: Value) -> Outcome {
    let pod = session.pod(word).await?;
    if arguments.container.is_none() && !arguments.quiet {
        say_line(&format!("Defaulting debug container name to {name}."));
    }
    if let Some(target) = &arguments.target {
        if !arguments.quiet {
            say_line(&format!(
                "Targeting container \"{target}\". If you don't see processes from this container it may be because the container runtime doesn't support this feature."
            ));
        }
        container["targetContainerName"] = target.as_str().into();
    }
    let mut all = list(&pod, &["spec", "ephemeralContainers"]).to_vec();
    all.push(container);
    let patch = json!({ "spec": { "ephemeralContainers": all } });
    let mut now = session.patch(&of(&pod, "ephemeralcontainers"), STRATEGIC, &patch).await?;
    let Some(streams) = streams(arguments) else { return Ok(()) };
    loop {
        let statuses = list(&now, &["status", "ephemeralContainerStatuses"]);
        let state =
            statuses.iter().find(|status| text(status, &["name"]) == name).map(|status| status["state"].clone());
        match state {
            Some(state) if state.get("running").is_some() => {
                if streams.stdin && !streams.quiet {
                    complain("If you don't see a command prompt, try pressing enter.");
                }
                return connect(session, of(&now, "attach").query("container", name), &streams).await;
            }
            Some(state) if state.get("terminated").is_some() => {
                let path = of(&now, "log").query("container", name);
                let log = session.bytes(http::Method::GET, &path, crate::http_call::Call::default()).await?;
                crate::print::say(&String::from_utf8_lossy(&log));
                return Ok(());
            }
            _ => {}
        }
        let namespace = text(&now, &["metadata", "namespace"]);
        let pods = Path::new("/api/v1/namespaces").segment(namespace).segment("pods");
        let version = text(&now, &["metadata", "resourceVersion"]);
        let mut changes = super::delete::watch(session, &pods, text(&now, &["metadata", "name"]), version).await?;
        changes.next().await?;
        now = session.get(&pods.segment(text(&pod, &["metadata", "name"]))).await?;
    }
}

async fn on_node(session: &Session, arguments: &Arguments, node: &str, mut container: Value) -> Outcome {
    session.get(&Path::new("/api/v1/nodes").segment(node)).await?;
    let name = format!("node-debugger-{node}-{}", suffix());
    container["name"] = "debugger".into();
    container["volumeMounts"] = json!([{ "mountPath": "/host", "name": "host-root" }]);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": {
            "containers": [container], "hostIPC": true, "hostNetwork": true, "hostPID": true, "nodeName": node,
            "restartPolicy": "Never", "tolerations": [{ "operator": "Exists" }],
            "volumes": [{ "name": "host-root", "hostPath": { "path": "/" } }],
        },
    });
    let namespace = session.namespace()?;
    let pods = Path::new("/api/v1/namespaces").segment(&namespace).segment("pods");
    session.send(http::Method::POST, &pods.query("fieldManager", "kubectl-debug"), &pod).await?;
    if !arguments.quiet {
        say_line(&format!("Creating debugging pod {name} with container debugger on node {node}."));
    }
    match streams(arguments) {
        Some(streams) => attach_to(session, &namespace, &name, "debugger", &streams, duration("1m")?).await,
        None => Ok(()),
    }
}

/// Five letters that make a name new.
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut number = jiff::Timestamp::now().as_nanosecond().unsigned_abs();
    (0..5)
        .map(|_| {
            let letter = LETTERS[usize::try_from(number % LETTERS.len() as u128).unwrap_or(0)];
            number /= LETTERS.len() as u128;
            char::from(letter)
        })
        .collect()
}
