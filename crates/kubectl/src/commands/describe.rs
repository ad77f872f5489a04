//! `kubectl describe`

use clap::Args;
use podlab_api::json::{list, object_mut, text};
use serde_json::Value;

use crate::describe::{About, describe};
use crate::discovery::Kind;
use crate::failure::{Outcome, fail, together};
use crate::print::{complain, say};
use crate::select::Files;
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// TYPE [NAME_PREFIX...] or TYPE/NAME...
    words: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// With what happened to them
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", action = clap::ArgAction::Set)]
    show_events: bool,
    /// Objects a request
    #[arg(long, default_value_t = 500)]
    chunk_size: i64,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let namespace = session.namespace()?;
    let space = Some(namespace.as_str()).filter(|_| !arguments.all_namespaces);
    let mut found: Vec<(Kind, Value)> = Vec::new();
    let mut failures = Vec::new();
    if arguments.files.is_empty() && arguments.words.is_empty() {
        complain(
            "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of supported resources.\n",
        );
        return fail(
            "Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that resource (e.g. kubectl explain pods).\nSee 'kubectl describe -h' for help and examples",
        );
    }
    for manifest in session.manifests(&arguments.files).await? {
        let path = manifest.kind.object(manifest.namespace.as_deref(), manifest.name());
        match session.get(&path).await {
            Ok(object) => found.push((manifest.kind, object)),
            Err(failure) => failures.push(failure),
        }
    }
    for target in session.targets(&arguments.words).await? {
        let collection = || target.kind.collection(space).query("limit", &arguments.chunk_size.to_string());
        match &target.name {
            Some(name) => match session.get(&target.kind.object(space, name)).await {
                Ok(object) => found.push((target.kind, object)),
                Err(failure) if failure.is_not_found() => {
                    // A beginning of names will do, when there is no such name.
                    let all = session.get(&collection()).await?;
                    let before = found.len();
                    found.extend(matching(&all, &target.kind, |item| {
                        text(item, &["metadata", "name"]).starts_with(name)
                    }));
                    if found.len() == before {
                        failures.push(failure);
                    }
                }
                Err(failure) => failures.push(failure),
            },
            None => {
                let path = match &arguments.selector {
                    Some(selector) => collection().query("labelSelector", selector),
                    None => collection(),
                };
                match session.get(&path).await {
                    Ok(all) => found.extend(matching(&all, &target.kind, |_| true)),
                    Err(failure) => {
                        failures.push(target.kind.not_listed((arguments.selector.as_deref(), None), failure));
                    }
                }
            }
        }
    }
    let about = About { session, events: arguments.show_events, now: jiff::Timestamp::now() };
    let mut pages = Vec::new();
    for (kind, object) in &found {
        pages.push(describe(&about, kind, object).await?);
    }
    say(&pages.join("\n\n"));
    if found.is_empty() && failures.is_empty() {
        complain(&match arguments.all_namespaces {
            true => "No resources found".to_owned(),
            false => format!("No resources found in {namespace} namespace."),
        });
    }
    together(failures)
}

/// Items of a list with the type that a list leaves out.
fn matching(all: &Value, kind: &Kind, wanted: impl Fn(&Value) -> bool) -> Vec<(Kind, Value)> {
    let items = list(all, &["items"]).iter().filter(|item| wanted(item));
    items
        .map(|item| {
            let mut item = item.clone();
            object_mut(&mut item, &[]).insert("apiVersion".into(), kind.api_version().into());
            object_mut(&mut item, &[]).insert("kind".into(), kind.kind.clone().into());
            (kind.clone(), item)
        })
        .collect()
}
