//! `kubectl run`: one Pod.

use clap::Args;
use podlab_api::json::object_mut;
use serde_json::{Value, json};

use super::apply::with_last_applied;
use super::common::{DryRun, Writing};
use super::exec::{Streams, attach_to};
use crate::failure::{Outcome, fail};
use crate::print::{quoted, say_line};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// NAME
    words: Vec<String>,
    /// The container's image
    #[arg(long)]
    image: Option<String>,
    /// Always, OnFailure or Never
    #[arg(long, default_value = "Always")]
    restart: String,
    /// What follows -- is the command, not its arguments
    #[arg(long)]
    command: bool,
    /// NAME=VALUE
    #[arg(long)]
    env: Vec<String>,
    /// KEY=VALUE,...
    #[arg(short, long, value_delimiter = ',')]
    labels: Vec<String>,
    /// KEY=VALUE
    #[arg(long)]
    annotations: Vec<String>,
    /// The port that the container opens
    #[arg(long)]
    port: Option<i64>,
    /// Make a Service as well
    #[arg(long)]
    expose: bool,
    /// Always, IfNotPresent or Never
    #[arg(long)]
    image_pull_policy: Option<String>,
    /// JSON to be merged over the Pod
    #[arg(long)]
    overrides: Option<String>,
    /// All capabilities
    #[arg(long)]
    privileged: bool,
    /// Keep what is applied, for kubectl apply
    #[arg(long)]
    save_config: bool,
    /// Pass standard input
    #[arg(short = 'i', long)]
    stdin: bool,
    /// With a terminal
    #[arg(short, long)]
    tty: bool,
    /// Wait for it and show what it writes
    #[arg(long)]
    attach: bool,
    /// Delete it afterwards
    #[arg(long)]
    rm: bool,
    /// Say less
    #[arg(short, long)]
    quiet: bool,
    /// Standard input stays open after the first client
    #[arg(long)]
    leave_stdin_open: bool,
    /// How long to wait until it runs
    #[arg(long, default_value = "1m0s")]
    pod_running_timeout: String,
    #[command(flatten)]
    writing: Writing,
    /// Arguments, or the command
    #[arg(last = true)]
    rest: Vec<String>,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let Some(name) = arguments.words.first() else {
        return fail("NAME is required for run\nSee 'kubectl run -h' for help and examples");
    };
    let image = match arguments.image.as_deref() {
        Some(image) if !image.is_empty() => image,
        _ => return fail("required flag(s) \"image\" not set"),
    };
    if let Some(why) = wrong_image(image) {
        return fail(format!("Invalid image name {}: {why}", quoted(image)));
    }
    let attach = arguments.attach || arguments.stdin || arguments.tty;
    if arguments.tty && !arguments.stdin {
        return fail("-i/--stdin is required for containers with -t/--tty=true");
    }
    if arguments.rm && !attach {
        return fail("--rm should only be used for attached containers");
    }
    let dry = arguments.writing.dry()?;
    if attach && dry != DryRun::No {
        return fail(
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)\nSee 'kubectl run -h' for help and examples",
        );
    }
    if arguments.expose && arguments.port.is_none() {
        return fail("--port must be set when exposing a service\nSee 'kubectl run -h' for help and examples");
    }
    let mut pod = pod(&arguments, name, image)?;
    let namespace = session.namespace()?;
    if dry != DryRun::Client || session.globals.namespace.is_some() {
        object_mut(&mut pod, &["metadata"]).insert("namespace".into(), namespace.as_str().into());
    }
    if arguments.save_config {
        pod = with_last_applied(&pod);
    }
    let kind = session.kind_of("v1", "Pod").await?;
    let mut teller = arguments.writing.teller()?;
    let path = arguments.writing.on(kind.collection(Some(&namespace)), "kubectl-run")?;
    let made = session.make(path, &pod, dry).await?;
    if arguments.expose {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "creationTimestamp": null },
            "spec": {
                "ports": [{ "port": arguments.port, "protocol": "TCP", "targetPort": arguments.port }],
                "selector": pod["metadata"]["labels"],
            },
            "status": { "loadBalancer": {} },
        });
        let kind = session.kind_of("v1", "Service").await?;
        let path = arguments.writing.on(kind.collection(Some(&namespace)), "kubectl-run")?;
        let made = session.make(path, &service, dry).await?;
        teller.tell(&made, "created")?;
        if arguments.writing.output.as_deref() == Some("yaml") {
            // The real one separates them once more than its printer does.
            say_line("---");
        }
    }
    if !attach {
        return teller.tell(&made, "created");
    }
    let streams = Streams { stdin: arguments.stdin, tty: arguments.tty, quiet: arguments.quiet };
    let timeout = super::common::duration(&arguments.pod_running_timeout)?;
    let ended = attach_to(session, &namespace, name, name, &streams, timeout).await;
    if arguments.rm {
        super::delete::and_wait(session, &kind, Some(&namespace), name).await?;
        if !arguments.quiet {
            say_line(&format!("pod \"{name}\" deleted"));
        }
    }
    ended
}

/// Why this names no image (github.com/distribution/reference): `HOST/PATH:TAG@DIGEST`, of which only PATH must be there.
fn wrong_image(image: &str) -> Option<&'static str> {
    let (rest, digest) = image.split_once('@').map_or((image, None), |(rest, digest)| (rest, Some(digest)));
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let tag_right = tag.is_none_or(|tag| {
        tag.len() <= 128
            && tag.bytes().next().is_some_and(word)
            && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
    });
    let digest_right = digest.is_none_or(|digest| {
        let (_, hex) = digest.split_once(':').unwrap_or_default();
        hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    let path = match path.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => path,
    };
    let part_right = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric())
            && part.ends_with(|last: char| last.is_ascii_alphanumeric())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-'))
    };
    let right = tag_right && digest_right && path.split('/').all(part_right);
    (!right).then_some("invalid reference format")
}

fn pod(arguments: &Arguments, name: &str, image: &str) -> Outcome<Value> {
    let mut container = json!({ "name": name, "image": image, "resources": {} });
    if !matches!(arguments.restart.as_str(), "Always" | "OnFailure" | "Never") {
        return fail(format!(
            "invalid restart policy: {}\nSee 'kubectl run -h' for help and examples",
            arguments.restart
        ));
    }
    if !arguments.rest.is_empty() {
        let field = if arguments.command { "command" } else { "args" };
        container[field] = arguments.rest.clone().into();
    } else if arguments.words.len() > 1 {
        let field = if arguments.command { "command" } else { "args" };
        container[field] = arguments.words[1..].to_vec().into();
    }
    for pair in &arguments.env {
        let Some((name, value)) = pair.split_once('=') else { return fail(format!("invalid env: {pair}")) };
        let variable = json!({ "name": name, "value": value });
        match container.get_mut("env").and_then(Value::as_array_mut) {
            Some(all) => all.push(variable),
            None => container["env"] = json!([variable]),
        }
    }
    if let Some(port) = arguments.port {
        container["ports"] = json!([{ "containerPort": port }]);
    }
    if let Some(policy) = &arguments.image_pull_policy {
        container["imagePullPolicy"] = policy.as_str().into();
    }
    if arguments.privileged {
        container["securityContext"] = json!({ "privileged": true });
    }
    if arguments.stdin {
        container["stdin"] = true.into();
        container["stdinOnce"] = (!arguments.leave_stdin_open).into();
    }
    if arguments.tty {
        container["tty"] = true.into();
    }
    let mut metadata = json!({ "name": name, "creationTimestamp": null, "labels": { "run": name } });
    for (field, pairs) in [("labels", &arguments.labels), ("annotations", &arguments.annotations)] {
        if !pairs.is_empty() {
            metadata[field] = json!({});
        }
        for pair in pairs {
            let Some((key, value)) = pair.split_once('=') else { return fail(format!("unexpected {field}: {pair}")) };
            metadata[field][key] = value.into();
        }
    }
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {},
        "spec": { "containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": arguments.restart },
    });
    if let Some(overrides) = &arguments.overrides {
        let patch: Value = serde_json::from_str(overrides)
            .map_err(|error| crate::failure::Failure::Text(format!("Invalid JSON Patch: {error}")))?;
        let kind = podlab_api::patch::PatchKind::from_content_type(Some(crate::http_call::MERGE));
        let merged = kind.and_then(|kind| {
            podlab_api::patch::apply(kind, "io.k8s.api.core.v1.Pod", &pod, patch.to_string().as_bytes())
        });
        pod = merged.map_err(|error| crate::failure::Failure::Text(error.to_string()))?;
    }
    Ok(pod)
}

#[test]
fn images_are_named_as_references_are() {
    for right in
        ["nginx", "gcr.io/kuar-demo/kuard-amd64:1", "localhost:5000/a/b", "a@sha256:00000000000000000000000000000000"]
    {
        assert_eq!(wrong_image(right), None, "{right}");
    }
    for wrong in ["NGINX", "NGINX:::", "a:", "", "-a", "a/", "a@sha256:1", "a b", "a:-"] {
        assert_eq!(wrong_image(wrong), Some("invalid reference format"), "{wrong}");
    }
}
