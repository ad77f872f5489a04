//! `kubectl create deployment`, `job`, `cronjob` and `poddisruptionbudget`.

use clap::Args;
use serde_json::{Value, json};

use super::{How, meta};
use crate::failure::{Outcome, fail};

#[derive(Args, Debug)]
pub(super) struct Deployment {
    names: Vec<String>,
    /// Images, a container each
    #[arg(long)]
    image: Vec<String>,
    /// The port that the container opens
    #[arg(long)]
    port: Option<i64>,
    /// Pods
    #[arg(short, long, default_value_t = 1)]
    replicas: i64,
    #[command(flatten)]
    pub(super) how: How,
    /// The containers' command
    #[arg(last = true)]
    command: Vec<String>,
}

pub(super) fn deployment(of: &Deployment) -> Outcome<Value> {
    if of.image.is_empty() {
        return fail("required flag(s) \"image\" not set");
    }
    let mut metadata = meta(&of.names, "deployment")?;
    let name = of.names[0].as_str();
    if of.image.len() > 1 && !of.command.is_empty() {
        return fail("cannot specify multiple --image options and command");
    }
    metadata["labels"] = json!({ "app": name });
    let containers: Vec<Value> = of
        .image
        .iter()
        .map(|image| {
            // Named as the last part of the image.
            let called = image.rsplit('/').next().unwrap_or(image).split([':', '@']).next().unwrap_or(image);
            let called: String = called
                .to_lowercase()
                .chars()
                .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
                .collect();
            let mut container = container(&called, image, &of.command);
            if let Some(port) = of.port {
                container["ports"] = json!([{ "containerPort": port }]);
            }
            container
        })
        .collect();
    Ok(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "status": {},
        "spec": {
            "replicas": of.replicas, "selector": { "matchLabels": { "app": name } }, "strategy": {},
            "template": {
                "metadata": { "creationTimestamp": null, "labels": { "app": name } }, "spec": { "containers": containers },
            },
        },
    }))
}

fn container(name: &str, image: &str, command: &[String]) -> Value {
    let mut container = json!({ "name": name, "image": image, "resources": {} });
    if !command.is_empty() {
        container["command"] = command.into();
    }
    container
}

#[derive(Args, Debug)]
pub(super) struct Job {
    names: Vec<String>,
    /// The container's image
    #[arg(long, default_value = "")]
    image: String,
    /// A job that is made so (not built in)
    #[arg(long, default_value = "")]
    from: String,
    #[command(flatten)]
    pub(super) how: How,
    /// The container's command
    #[arg(last = true)]
    command: Vec<String>,
}

pub(super) fn job(of: &Job) -> Outcome<Value> {
    let metadata = meta(&of.names, "job")?;
    if of.image.is_empty() == of.from.is_empty() {
        return fail("either --image or --from must be specified");
    }
    if !of.from.is_empty() {
        return fail(
            "the built-in kubectl creates no job --from another: use the real one, https://kubernetes.io/docs/tasks/tools/",
        );
    }
    let spec = template(&of.names[0], &of.image, &of.command, "Never");
    Ok(json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec, "status": {} }))
}

/// What a job does, once or each time.
fn template(name: &str, image: &str, command: &[String], restart: &str) -> Value {
    json!({
        "template": {
            "metadata": { "creationTimestamp": null },
            "spec": { "containers": [container(name, image, command)], "restartPolicy": restart },
        },
    })
}

#[derive(Args, Debug)]
pub(super) struct CronJob {
    names: Vec<String>,
    /// The container's image
    #[arg(long)]
    image: Option<String>,
    /// When, as cron has it
    #[arg(long)]
    schedule: Option<String>,
    /// OnFailure or Never
    #[arg(long, default_value = "OnFailure")]
    restart: String,
    #[command(flatten)]
    pub(super) how: How,
    /// The container's command
    #[arg(last = true)]
    command: Vec<String>,
}

pub(super) fn cronjob(of: &CronJob) -> Outcome<Value> {
    let (image, schedule) = match (&of.image, &of.schedule) {
        (Some(image), Some(schedule)) => (image, schedule),
        (None, Some(_)) => return fail("required flag(s) \"image\" not set"),
        (Some(_), None) => return fail("required flag(s) \"schedule\" not set"),
        (None, None) => return fail("required flag(s) \"image\", \"schedule\" not set"),
    };
    let metadata = meta(&of.names, "cronjob")?;
    let spec = json!({
        "jobTemplate": { "metadata": metadata, "spec": template(&of.names[0], image, &of.command, &of.restart) },
        "schedule": schedule,
    });
    Ok(json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec, "status": {} }))
}

#[derive(Args, Debug)]
pub(super) struct Budget {
    names: Vec<String>,
    /// How many Pods, or which percentage of them, must stay
    #[arg(long, default_value = "")]
    min_available: String,
    /// How many, or which percentage, may be away
    #[arg(long, default_value = "")]
    max_unavailable: String,
    /// The Pods' labels
    #[arg(long, default_value = "")]
    selector: String,
    #[command(flatten)]
    pub(super) how: How,
}

pub(super) fn budget(of: &Budget) -> Outcome<Value> {
    let metadata = meta(&of.names, "poddisruptionbudget")?;
    if of.selector.is_empty() {
        return fail("a selector must be specified");
    }
    let (field, flag, amount) = match (of.min_available.as_str(), of.max_unavailable.as_str()) {
        ("", "") => return fail("one of min-available or max-unavailable must be specified"),
        (amount, "") => ("minAvailable", "min-available", amount),
        ("", amount) => ("maxUnavailable", "max-unavailable", amount),
        _ => return fail("min-available and max-unavailable cannot be both specified"),
    };
    let percentage = amount.strip_suffix('%');
    if !percentage.unwrap_or(amount).bytes().all(|byte| byte.is_ascii_digit()) {
        return fail(format!("invalid format specified for {flag}"));
    }
    let amount = amount.parse::<i64>().map_or_else(|_| Value::from(amount), Value::from);
    let mut labels = json!({});
    for pair in of.selector.split(',') {
        let Some((key, value)) = pair.split_once('=') else {
            return fail(
                "the built-in kubectl takes a budget's selector as key=value: use the real one, https://kubernetes.io/docs/tasks/tools/",
            );
        };
        labels[key.trim()] = value.trim_start_matches('=').trim().into();
    }
    let spec = json!({ field: amount, "selector": { "matchLabels": labels } });
    let status = json!({ "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 });
    Ok(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec, "status": status,
    }))
}
