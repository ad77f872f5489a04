//! `kubectl logs`

use clap::Args;
use http::Method;
use podlab_api::json::{list, text};
use podlab_client::Path;
use serde_json::Value;

use super::common::duration;
use super::pods::{container, containers, selector_of};
use crate::failure::{Failure, Outcome, fail};
use crate::http_call::{Call, Lines};
use crate::print::complain;
use crate::session::Session;

#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// POD or TYPE/NAME, and a container
    words: Vec<String>,
    /// The container; the first when left out
    #[arg(short, long)]
    container: Option<String>,
    /// Those of all containers
    #[arg(long)]
    all_containers: bool,
    /// Those of all Pods of a workload
    #[arg(long)]
    all_pods: bool,
    /// Go on with what is written
    #[arg(short, long)]
    follow: bool,
    /// Of the container that ran before
    #[arg(short, long)]
    previous: bool,
    /// The last lines; -1 are all, as it is without a selector, with which it is 10
    #[arg(long, allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Not older than this
    #[arg(long, default_value = "0s")]
    since: String,
    /// Not before this time
    #[arg(long)]
    since_time: Option<String>,
    /// With the time of each line
    #[arg(long)]
    timestamps: bool,
    /// Bytes at most
    #[arg(long, default_value_t = 0)]
    limit_bytes: i64,
    /// With where each line is from
    #[arg(long)]
    prefix: bool,
    /// Of Pods with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Go on after an error
    #[arg(long)]
    ignore_errors: bool,
    /// Containers at once, with -f
    #[arg(long, default_value_t = 5)]
    max_log_requests: usize,
    /// How long to wait until it runs
    #[arg(long, default_value = "20s")]
    pod_running_timeout: String,
    /// The node's certificate is not checked
    #[arg(long)]
    insecure_skip_tls_verify_backend: bool,
}

pub(crate) async fn run(session: &Session, mut arguments: Arguments) -> Outcome {
    if arguments.words.is_empty() && arguments.selector.is_none() {
        return fail(
            "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command\nSee 'kubectl logs -h' for help and examples",
        );
    }
    if arguments.words.len() == 2 && arguments.container.is_none() {
        arguments.container = Some(arguments.words[1].clone());
    }
    if arguments.since_time.is_some() && arguments.since != "0s" {
        return fail("at most one of `sinceTime` or `sinceSeconds` may be specified");
    }
    if arguments.tail.is_some_and(|lines| lines < -1) {
        return fail("--tail must be greater than or equal to -1");
    }
    let pods = pods(session, &mut arguments).await?;
    let mut sources = Vec::new();
    for pod in &pods {
        let name = text(pod, &["metadata", "name"]);
        if arguments.all_containers {
            let mut all = containers(pod);
            // Those that ran first come first.
            all.sort_by_key(|(_, mark)| [" (init)", "", " (ephem)"].iter().position(|known| known == mark));
            sources.extend(all.into_iter().map(|(container, _)| (name.to_owned(), container.to_owned(), pod)));
            continue;
        }
        let container = container(pod, arguments.container.as_deref(), false);
        if !containers(pod).iter().any(|(known, _)| *known == container) {
            return fail(format!("container {container} is not valid for pod {name}"));
        }
        sources.push((name.to_owned(), container, pod));
    }
    if arguments.follow && sources.len() > 1 {
        if sources.len() > arguments.max_log_requests {
            return fail(format!(
                "you are attempting to follow {} log streams, but maximum allowed concurrency is {}, use --max-log-requests to increase the limit",
                sources.len(),
                arguments.max_log_requests
            ));
        }
        let all = sources.iter().map(|(name, container, pod)| print(session, &arguments, name, container, pod));
        return futures_util::future::try_join_all(all).await.map(|_| ());
    }
    for (name, container, pod) in &sources {
        match print(session, &arguments, name, container, pod).await {
            Err(failure) if arguments.ignore_errors => complain(&failure.text()),
            other => other?,
        }
    }
    Ok(())
}

async fn pods(session: &Session, arguments: &mut Arguments) -> Outcome<Vec<Value>> {
    let namespace = session.namespace()?;
    let collection = Path::new("/api/v1/namespaces").segment(&namespace).segment("pods");
    let selector = match (&arguments.selector, arguments.words.first()) {
        (Some(selector), _) => selector.clone(),
        (None, Some(word)) if arguments.all_pods && word.contains('/') => {
            let (kind, name) = word.split_once('/').unwrap_or_default();
            let kind = session.kind(kind).await?;
            arguments.prefix = true;
            selector_of(&session.get(&kind.object(Some(&namespace), name)).await?)
        }
        (None, Some(word)) => {
            let word = word.clone();
            return match session.pod(&word).await {
                Ok(pod) => Ok(vec![pod]),
                Err(failure) if failure.is_not_found() && !word.contains('/') => {
                    fail(format!("error from server (NotFound): {} in namespace \"{namespace}\"", failure.message()))
                }
                Err(failure) => Err(failure),
            };
        }
        (None, None) => return Ok(Vec::new()),
    };
    if arguments.selector.is_some() {
        arguments.tail.get_or_insert(10);
    }
    let found = session.get(&collection.query("labelSelector", &selector)).await?;
    let pods = list(&found, &["items"]).to_vec();
    if pods.is_empty() {
        complain(&format!("No resources found in {namespace} namespace."));
    }
    Ok(pods)
}

async fn print(session: &Session, arguments: &Arguments, name: &str, container: &str, pod: &Value) -> Outcome {
    let mut path = super::exec::of(pod, "log").query("container", container);
    let flags = [("follow", arguments.follow), ("previous", arguments.previous), ("timestamps", arguments.timestamps)];
    for (name, _) in flags.into_iter().filter(|(_, wanted)| *wanted) {
        path = path.query(name, "true");
    }
    if let Some(lines) = arguments.tail.filter(|lines| *lines >= 0) {
        path = path.query("tailLines", &lines.to_string());
    }
    let since = duration(&arguments.since)?.as_secs();
    if since > 0 {
        path = path.query("sinceSeconds", &since.to_string());
    }
    if let Some(time) = &arguments.since_time {
        if time.parse::<jiff::Timestamp>().is_err() {
            return fail(format!("parsing time \"{time}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse it"));
        }
        path = path.query("sinceTime", time);
    }
    if arguments.limit_bytes > 0 {
        path = path.query("limitBytes", &arguments.limit_bytes.to_string());
    }
    let prefix = if arguments.prefix { format!("[pod/{name}/{container}] ") } else { String::new() };
    let call = Call { accept: Some("application/json, */*"), ..Call::default() };
    let mut lines = Lines::new(session.open(Method::GET, &path, call).await?);
    use std::io::Write;
    while let Some(line) = lines.next().await? {
        let mut out = std::io::stdout().lock();
        if out.write_all(prefix.as_bytes()).and_then(|()| out.write_all(&line)).is_err() {
            return Err(Failure::Exit(1));
        }
    }
    Ok(())
}
