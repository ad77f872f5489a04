//! `kubectl get`

use clap::Args;
use http::Method;
use podlab_api::json::{at, object_mut, text};
use podlab_client::Path;
use serde_json::{Value, json};

use crate::discovery::Kind;
use crate::failure::{Failure, Outcome, fail, together};
use crate::http_call::{Call, Lines, TABLE};
use crate::print::object::{self, Printer};
use crate::print::{complain, jsonpath, say, table};
use crate::select::Files;
use crate::session::Session;

#[derive(Args, Debug, Default)]
pub(crate) struct Arguments {
    /// TYPE[,TYPE] [NAME...] or TYPE/NAME...
    words: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// json, yaml, name, wide, jsonpath=…, go-template=…, custom-columns=… and their -file forms
    #[arg(short, long)]
    output: Option<String>,
    /// The template of -o go-template, or its file
    #[arg(long)]
    template: Option<String>,
    /// Whether fields that are missing in a template print as nothing
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", action = clap::ArgAction::Set)]
    allow_missing_template_keys: bool,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Only objects with these fields
    #[arg(long)]
    field_selector: Option<String>,
    /// Labels that become columns
    #[arg(short = 'L', long, value_delimiter = ',')]
    label_columns: Vec<String>,
    /// All labels in a last column
    #[arg(long)]
    show_labels: bool,
    /// The kind in front of every name
    #[arg(long)]
    show_kind: bool,
    /// With metadata.managedFields
    #[arg(long)]
    show_managed_fields: bool,
    /// Without headings
    #[arg(long)]
    no_headers: bool,
    /// The field to sort by, as a JSONPath
    #[arg(long)]
    sort_by: Option<String>,
    /// A missing object is no failure
    #[arg(long)]
    ignore_not_found: bool,
    /// Objects a request
    #[arg(long, default_value_t = 500)]
    chunk_size: i64,
    /// A part of the object, such as status
    #[arg(long)]
    subresource: Option<String>,
    /// Ask for this path as it is
    #[arg(long)]
    raw: Option<String>,
    /// Go on with the changes
    #[arg(short, long)]
    watch: bool,
    /// Only the changes
    #[arg(long)]
    watch_only: bool,
    /// What a change is, in a first column
    #[arg(long)]
    output_watch_events: bool,
    /// Tables made by the server (always)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", action = clap::ArgAction::Set)]
    server_print: bool,
}

/// A question to the server, and whose answer it is.
struct Part {
    kind: Kind,
    path: Path,
    /// One object is asked for, not a list.
    single: bool,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    if let Some(raw) = &arguments.raw {
        if !arguments.words.is_empty() {
            return fail("arguments may not be passed when --raw is specified");
        }
        let call = Call { accept: Some("application/json, */*"), ..Call::default() };
        let bytes = session.bytes(Method::GET, &Path::new(raw.as_str()), call).await?;
        say(&String::from_utf8_lossy(&bytes));
        return Ok(());
    }
    let parts = match parts(session, &arguments).await {
        Err(failure @ Failure::Refused(_)) => {
            session.complain_of_discovery().await;
            return Err(failure);
        }
        parts => parts?,
    };
    let wide = arguments.output.as_deref() == Some("wide");
    match arguments.output.as_deref().filter(|output| !wide && !output.is_empty()) {
        Some(output) => {
            let options = object::Options {
                template: arguments.template.clone(),
                managed_fields: arguments.show_managed_fields,
                no_headings: arguments.no_headers,
                strict: !arguments.allow_missing_template_keys,
                columns: true,
            };
            objects(session, &arguments, parts, Printer::parse(output, &options)?).await
        }
        None if arguments.watch || arguments.watch_only => watch(session, &arguments, parts, None).await,
        None => tables(session, &arguments, parts, wide).await,
    }
}

/// What is to be asked.
async fn parts(session: &Session, arguments: &Arguments) -> Outcome<Vec<Part>> {
    let mut parts = Vec::new();
    let namespace = session.namespace()?;
    let subresource = |path: Path| match &arguments.subresource {
        Some(name) => path.segment(name),
        None => path,
    };
    if !arguments.files.is_empty() {
        for manifest in session.manifests(&arguments.files).await? {
            let path = subresource(manifest.kind.object(manifest.namespace.as_deref(), manifest.name()));
            parts.push(Part { kind: manifest.kind, path, single: true });
        }
        return Ok(parts);
    }
    if arguments.words.is_empty() {
        complain(
            "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.\n",
        );
        return fail(
            "Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and examples",
        );
    }
    for target in session.targets(&arguments.words).await? {
        let space = Some(namespace.as_str()).filter(|_| !arguments.all_namespaces);
        match target.name {
            Some(_) if arguments.selector.is_some() => {
                return fail("name cannot be provided when a selector is specified");
            }
            Some(_) if arguments.all_namespaces && target.kind.namespaced => {
                return fail("a resource cannot be retrieved by name across all namespaces");
            }
            Some(name) => {
                let path = subresource(target.kind.object(space, &name));
                parts.push(Part { kind: target.kind, path, single: true });
            }
            None => {
                let mut path = target.kind.collection(space);
                if let Some(selector) = &arguments.selector {
                    path = path.query("labelSelector", selector);
                }
                if let Some(selector) = &arguments.field_selector {
                    path = path.query("fieldSelector", selector);
                }
                parts.push(Part { kind: target.kind, path, single: false });
            }
        }
    }
    Ok(parts)
}

/// A list in pieces of `chunk_size`, put together.
async fn fetch(session: &Session, part: &Part, arguments: &Arguments, as_table: bool) -> Outcome<Value> {
    let accept = as_table.then_some(TABLE);
    let include = |path: Path| match as_table && arguments.sort_by.is_some() {
        true => path.query("includeObject", "Object"),
        false => path,
    };
    let call = Call { accept, ..Call::default() };
    if part.single {
        return session.call(Method::GET, &include(part.path.clone()), call).await;
    }
    let limit = arguments.chunk_size.max(0).to_string();
    let path = |token: &str| {
        let path = include(part.path.clone()).query("limit", &limit);
        if token.is_empty() { path } else { path.query("continue", token) }
    };
    let selectors = (arguments.selector.as_deref(), arguments.field_selector.as_deref());
    let mut all = session
        .call(Method::GET, &path(""), call.clone())
        .await
        .map_err(|failure| part.kind.not_listed(selectors, failure))?;
    let items = if all["kind"] == "Table" { "rows" } else { "items" };
    loop {
        let token = text(&all, &["metadata", "continue"]).to_owned();
        if token.is_empty() {
            return Ok(all);
        }
        let mut next = session.call(Method::GET, &path(&token), call.clone()).await?;
        if let (Some(all), Some(more)) = (all[items].as_array_mut(), next[items].as_array_mut()) {
            all.append(more);
        }
        all["metadata"] = next["metadata"].take();
    }
}

async fn tables(session: &Session, arguments: &Arguments, parts: Vec<Part>, wide: bool) -> Outcome {
    let several = arguments.show_kind || parts.iter().any(|part| part.kind != parts[0].kind);
    let mut failures = Vec::new();
    let mut printed = String::new();
    let mut answers: Vec<(Kind, Vec<Value>)> = Vec::new();
    for part in parts {
        let answer = match fetch(session, &part, arguments, true).await {
            Ok(answer) => answer,
            Err(failure @ Failure::Refused(_)) => {
                session.complain_of_discovery().await;
                return Err(failure);
            }
            Err(failure) if arguments.ignore_not_found && failure.is_not_found() => continue,
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        match answers.last_mut() {
            Some((kind, tables)) if *kind == part.kind => tables.push(answer),
            _ => answers.push((part.kind, vec![answer])),
        }
    }
    for (kind, mut tables) in answers {
        if let Some(path) = &arguments.sort_by {
            sort_rows(&mut tables, path)?;
        }
        let mut printer = table::Printer::new(table_options(arguments, &kind, several, wide));
        for table in &tables {
            printer.add(&as_table(table), None);
        }
        let text = printer.take();
        if !printed.is_empty() && !text.is_empty() && !arguments.no_headers {
            printed.push('\n');
        }
        printed.push_str(&text);
    }
    let nothing = printed.is_empty() && failures.is_empty();
    say(&printed);
    if nothing && !arguments.ignore_not_found {
        complain(&nothing_found(session, arguments)?);
    }
    together(failures)
}

fn nothing_found(session: &Session, arguments: &Arguments) -> Outcome<String> {
    let everywhere = arguments.all_namespaces;
    Ok(if everywhere {
        "No resources found".to_owned()
    } else {
        format!("No resources found in {} namespace.", session.namespace()?)
    })
}

fn table_options(arguments: &Arguments, kind: &Kind, several: bool, wide: bool) -> table::Options {
    table::Options {
        wide,
        headings: !arguments.no_headers,
        namespace: arguments.all_namespaces && kind.namespaced,
        kind: several.then(|| kind.lower()),
        show_labels: arguments.show_labels,
        label_columns: arguments.label_columns.clone(),
        events: arguments.output_watch_events,
    }
}

/// A server that makes no tables gives objects: their names and ages can be told.
fn as_table(answer: &Value) -> std::borrow::Cow<'_, Value> {
    if answer["kind"] == "Table" {
        return std::borrow::Cow::Borrowed(answer);
    }
    let now = jiff::Timestamp::now();
    let rows: Vec<Value> = object::items(answer)
        .into_iter()
        .map(|object| {
            let age = podlab_api::duration::since(at(object, &["metadata", "creationTimestamp"]), now);
            json!({ "cells": [text(object, &["metadata", "name"]), age], "object": object })
        })
        .collect();
    let columns = json!([{ "name": "Name", "priority": 0 }, { "name": "Age", "priority": 0 }]);
    std::borrow::Cow::Owned(json!({ "kind": "Table", "columnDefinitions": columns, "rows": rows }))
}

fn sort_rows(tables: &mut [Value], path: &str) -> Outcome {
    let template = jsonpath::Template::relaxed(path).map_err(Failure::Text)?;
    for table in tables {
        if let Some(rows) = table.get_mut("rows").and_then(Value::as_array_mut) {
            let found = rows.iter().any(|row| !template.find(&row["object"]).is_empty());
            if !found && !rows.is_empty() {
                return fail(format!(
                    "couldn't find any field with path \"{{{}}}\" in the list of objects",
                    path.trim_matches(['{', '}'])
                ));
            }
            rows.sort_by(|a, b| compare(template.find(&a["object"]).first(), template.find(&b["object"]).first()));
        }
    }
    Ok(())
}

/// Numbers and quantities by size, the rest by letters; what is missing comes first.
fn compare(a: Option<&&Value>, b: Option<&&Value>) -> std::cmp::Ordering {
    use podlab_api::quantity::Quantity;
    match (a, b) {
        (Some(Value::String(a)), Some(Value::String(b))) => match (Quantity::parse(a), Quantity::parse(b)) {
            (Ok(a), Ok(b)) => a.milli_value().cmp(&b.milli_value()),
            _ => a.cmp(b),
        },
        (Some(a), Some(b)) if a.is_null() || b.is_null() => b.is_null().cmp(&a.is_null()),
        (Some(a), Some(b)) => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

async fn objects(session: &Session, arguments: &Arguments, parts: Vec<Part>, mut printer: Printer) -> Outcome {
    if arguments.watch || arguments.watch_only {
        return watch(session, arguments, parts, Some(printer)).await;
    }
    let alone = matches!(parts.as_slice(), [part] if part.single);
    let mut failures = Vec::new();
    let mut all = Vec::new();
    for part in &parts {
        match fetch(session, part, arguments, false).await {
            Ok(answer) if alone => {
                say(&printer.print(&answer)?);
                return Ok(());
            }
            Ok(mut answer) if part.single => all.push(answer.take()),
            Ok(mut answer) => {
                let (version, kind) = (part.kind.api_version(), part.kind.kind.clone());
                for mut item in
                    answer.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default()
                {
                    object_mut(&mut item, &[]).insert("apiVersion".into(), version.as_str().into());
                    object_mut(&mut item, &[]).insert("kind".into(), kind.as_str().into());
                    all.push(item);
                }
            }
            Err(failure) if arguments.ignore_not_found && failure.is_not_found() => {}
            Err(failure @ Failure::Refused(_)) => {
                session.complain_of_discovery().await;
                return Err(failure);
            }
            Err(failure) => failures.push(failure),
        }
    }
    if alone {
        return together(failures);
    }
    if let Some(path) = &arguments.sort_by {
        let template = jsonpath::Template::relaxed(path).map_err(Failure::Text)?;
        all.sort_by(|a, b| compare(template.find(a).first(), template.find(b).first()));
    }
    if !all.is_empty() || failures.is_empty() {
        let list = json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "" }, "items": all });
        say(&printer.print(&list)?);
    }
    together(failures)
}

/// What there is, and then its changes, until the program is stopped.
async fn watch(session: &Session, arguments: &Arguments, parts: Vec<Part>, mut printer: Option<Printer>) -> Outcome {
    let [part] = parts.as_slice() else {
        return fail("you may only specify a single resource type");
    };
    let wide = arguments.output.as_deref() == Some("wide");
    let mut tables = table::Printer::new(table_options(arguments, &part.kind, arguments.show_kind, wide));
    let first = fetch(session, part, arguments, printer.is_none()).await?;
    let version = text(&first, &["metadata", "resourceVersion"]).to_owned();
    if !arguments.watch_only {
        let shown = match &mut printer {
            Some(printer) => {
                let mut shown = String::new();
                for item in object::items(&first) {
                    let event = json!({ "type": "ADDED", "object": item });
                    shown.push_str(&printer.print(if arguments.output_watch_events { &event } else { item })?);
                }
                shown
            }
            None => {
                tables.add(&as_table(&first), Some("ADDED"));
                tables.take()
            }
        };
        say(&shown);
    }
    let mut path = match (part.single, text(&first, &["metadata", "name"])) {
        (true, _) => {
            let (collection, name) = part.path.as_str().rsplit_once('/').unwrap_or_default();
            Path::new(collection).query("fieldSelector", &format!("metadata.name={name}"))
        }
        (false, _) => part.path.clone(),
    };
    path = path.query("watch", "true");
    if !version.is_empty() {
        path = path.query("resourceVersion", &version);
    }
    let accept = printer.is_none().then_some(TABLE);
    let body = session.open(Method::GET, &path, Call { accept, ..Call::default() }).await?;
    let mut lines = Lines::new(body);
    while let Some(line) = lines.next().await? {
        let event: Value = serde_json::from_slice(&line).map_err(|error| Failure::Text(error.to_string()))?;
        let what = text(&event, &["type"]);
        match what {
            "BOOKMARK" => continue,
            "ERROR" => return Err(Failure::Status(Box::new(event["object"].clone()))),
            _ => {}
        }
        let shown = match &mut printer {
            Some(printer) if arguments.output_watch_events => printer.print(&event)?,
            Some(printer) => printer.print(&event["object"])?,
            None => {
                tables.add(&as_table(&event["object"]), Some(what));
                tables.take()
            }
        };
        say(&shown);
    }
    Ok(())
}
