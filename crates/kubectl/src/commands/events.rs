//! `kubectl events`

use clap::Args;
use http::Method;
use podlab_api::json::{at, list, text};
use podlab_client::Path;
use serde_json::{Value, json};

use crate::describe::interval;
use crate::failure::{Failure, Outcome, fail};
use crate::http_call::{Call, Lines};
use crate::print::object::{Options, Printer};
use crate::print::{complain, say, tabs::Tabs};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    words: Vec<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only those of TYPE/NAME
    #[arg(long = "for", value_name = "FOR")]
    of: Option<String>,
    /// Only these types: Normal, Warning
    #[arg(long, value_delimiter = ',')]
    types: Vec<String>,
    /// Go on with the new ones
    #[arg(short, long)]
    watch: bool,
    /// Without headings
    #[arg(long)]
    no_headers: bool,
    /// json, yaml
    #[arg(short, long)]
    output: Option<String>,
    /// Objects a request
    #[arg(long, default_value_t = 500)]
    chunk_size: i64,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    for kind in &arguments.types {
        if !["normal", "warning"].contains(&kind.to_lowercase().as_str()) {
            return fail("valid --types are Normal or Warning");
        }
    }
    let namespace = session.namespace()?;
    let mut path = match arguments.all_namespaces {
        true => Path::new("/api/v1/events"),
        false => Path::new("/api/v1/namespaces").segment(&namespace).segment("events"),
    };
    if let Some(of) = &arguments.of {
        let Some((kind, name)) = of.split_once('/') else {
            return fail("--for must be in resource/name form");
        };
        let kind = session.kind(kind).await?.kind;
        path = path.query("fieldSelector", &format!("involvedObject.kind={kind},involvedObject.name={name}"));
    }
    let wanted = |event: &Value| {
        arguments.types.is_empty()
            || arguments.types.iter().any(|kind| kind.eq_ignore_ascii_case(text(event, &["type"])))
    };
    let all = session.get(&path.clone().query("limit", &arguments.chunk_size.to_string())).await?;
    let mut events: Vec<&Value> = list(&all, &["items"]).iter().filter(|event| wanted(event)).collect();
    events.sort_by_key(|event| when(event));
    if events.is_empty() && !arguments.watch {
        complain(&match arguments.all_namespaces {
            true => "No events found.".to_owned(),
            false => format!("No events found in {namespace} namespace."),
        });
        return Ok(());
    }
    if let Some(output) = &arguments.output {
        let list = json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": events });
        say(&Printer::parse(output, &Options::default())?.print(&list)?);
        return Ok(());
    }
    let mut tabs = Tabs::table();
    let mut table = String::new();
    if !arguments.no_headers && !events.is_empty() {
        table.push_str(if arguments.all_namespaces { "NAMESPACE\t" } else { "" });
        table.push_str("LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n");
    }
    for event in &events {
        table.push_str(&row(event, arguments.all_namespaces));
    }
    say(&tabs.format(&table));
    if arguments.watch {
        let path = path.query("watch", "true").query("resourceVersion", text(&all, &["metadata", "resourceVersion"]));
        let mut lines = Lines::new(session.open(Method::GET, &path, Call::default()).await?);
        while let Some(line) = lines.next().await? {
            let change: Value = serde_json::from_slice(&line).map_err(|error| Failure::Text(error.to_string()))?;
            if matches!(text(&change, &["type"]), "ADDED" | "MODIFIED") && wanted(&change["object"]) {
                say(&tabs.format(&row(&change["object"], arguments.all_namespaces)));
            }
        }
    }
    Ok(())
}

/// The last time it happened.
fn when(event: &Value) -> Option<jiff::Timestamp> {
    let series = text(event, &["series", "lastObservedTime"]);
    let all = [series, text(event, &["lastTimestamp"]), text(event, &["eventTime"])];
    all.into_iter().find_map(|time| time.parse().ok())
}

fn row(event: &Value, namespaced: bool) -> String {
    let namespace = if namespaced { format!("{}\t", text(event, &["metadata", "namespace"])) } else { String::new() };
    let of = at(event, &["involvedObject"]);
    let [kind, reason, message] = ["type", "reason", "message"].map(|field| text(event, &[field]));
    let age = interval(event, jiff::Timestamp::now());
    format!("{namespace}{age}\t{kind}\t{reason}\t{}/{}\t{}\n", text(of, &["kind"]), text(of, &["name"]), message.trim())
}
