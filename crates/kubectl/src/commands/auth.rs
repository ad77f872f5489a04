//! `kubectl auth can-i`, `kubectl auth whoami`

use clap::{Args, Subcommand};
use http::Method;
use podlab_api::json::{at, list, text, truth};
use podlab_client::Path;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome, fail};
use crate::print::object::{Options, Printer};
use crate::print::{complain, say, say_line, tabs::Tabs};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Check whether an action is allowed
    #[command(name = "can-i")]
    CanI(CanI),
    /// Check self subject attributes
    Whoami {
        /// json, yaml and so on
        #[arg(short, long)]
        output: Option<String>,
    },
}

#[derive(Args, Debug)]
struct CanI {
    /// VERB [TYPE | TYPE/NAME | NONRESOURCEURL]
    words: Vec<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
    /// A part of the resource, such as log
    #[arg(long)]
    subresource: Option<String>,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    match arguments.command {
        Command::CanI(arguments) => can_i(session, &arguments).await,
        Command::Whoami { output } => whoami(session, output.as_deref()).await,
    }
}

async fn can_i(session: &Session, arguments: &CanI) -> Outcome {
    let (verb, what) = match arguments.words.as_slice() {
        [verb, what] => (verb, what.as_str()),
        [verb, what, name] => {
            return Box::pin(can_i(
                session,
                &CanI {
                    words: vec![verb.clone(), format!("{what}/{name}")],
                    all_namespaces: arguments.all_namespaces,
                    quiet: arguments.quiet,
                    subresource: arguments.subresource.clone(),
                },
            ))
            .await;
        }
        _ => {
            return fail(
                "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.",
            );
        }
    };
    let spec = if what.starts_with('/') {
        json!({ "nonResourceAttributes": { "path": what, "verb": verb } })
    } else {
        let (kind, name) = what.split_once('/').unwrap_or((what, ""));
        let namespace = if arguments.all_namespaces { String::new() } else { session.namespace()? };
        let (group, resource) = match kind {
            "*" => ("*".to_owned(), "*".to_owned()),
            _ => match session.kind(kind).await {
                Ok(kind) => (kind.group, kind.plural),
                Err(Failure::Text(_)) => {
                    complain(&format!("Warning: the server doesn't have a resource type '{kind}'\n"));
                    (String::new(), kind.to_owned())
                }
                Err(failure) => return Err(failure),
            },
        };
        json!({ "resourceAttributes": {
            "namespace": namespace, "verb": verb, "group": group, "resource": resource, "name": name,
            "subresource": arguments.subresource.clone().unwrap_or_default(),
        }})
    };
    let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec });
    let path = Path::new("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
    let answer = session.send(Method::POST, &path, &review).await?;
    let allowed = truth(&answer, &["status", "allowed"]);
    if !arguments.quiet {
        let mut told = if allowed { "yes" } else { "no" }.to_owned();
        for (field, mark) in [("reason", " - "), ("evaluationError", " - ")] {
            let why = text(&answer, &["status", field]);
            if !why.is_empty() && !allowed {
                told.push_str(&format!("{mark}{why}"));
            }
        }
        say_line(&told);
    }
    if allowed { Ok(()) } else { Err(Failure::Exit(1)) }
}

async fn whoami(session: &Session, output: Option<&str>) -> Outcome {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let path = Path::new("/apis/authentication.k8s.io/v1/selfsubjectreviews");
    let answer = session.send(Method::POST, &path, &review).await?;
    if let Some(output) = output {
        say(&Printer::parse(output, &Options::default())?.print(&answer)?);
        return Ok(());
    }
    let user = at(&answer, &["status", "userInfo"]);
    let mut table = "ATTRIBUTE\tVALUE\n".to_owned();
    for (heading, field) in [("Username", "username"), ("UID", "uid")] {
        let value = text(user, &[field]);
        if !value.is_empty() {
            table.push_str(&format!("{heading}\t{value}\n"));
        }
    }
    let listed = |values: &[Value]| values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    if !list(user, &["groups"]).is_empty() {
        table.push_str(&format!("Groups\t[{}]\n", listed(list(user, &["groups"]))));
    }
    for (key, values) in podlab_api::json::entries(user, &["extra"]) {
        table.push_str(&format!("Extra: {key}\t[{}]\n", listed(values.as_array().map_or(&[], Vec::as_slice))));
    }
    say(&Tabs::table().format(&table));
    Ok(())
}
