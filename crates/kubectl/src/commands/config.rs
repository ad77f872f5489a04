//! `kubectl config`: view, contexts, and which one is current.

use std::io::Write;

use clap::{Args, Subcommand};
use podlab_api::json::{list, object_mut, text};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome, fail};
use crate::kubeconfig;
use crate::print::object::{Options, Printer};
use crate::print::{say, say_line, tabs::Tabs, yaml};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Display merged kubeconfig settings or a specified kubeconfig file
    View {
        /// json, yaml, a template
        #[arg(short, long, default_value = "yaml")]
        output: String,
        /// With certificates and keys
        #[arg(long)]
        raw: bool,
        /// Only what the current context uses
        #[arg(long)]
        minify: bool,
        /// With the contents of the files that are named
        #[arg(long)]
        flatten: bool,
    },
    /// Display the current-context
    #[command(name = "current-context")]
    CurrentContext,
    /// Describe one or many contexts
    #[command(name = "get-contexts")]
    GetContexts {
        /// Only these
        names: Vec<String>,
        /// name
        #[arg(short, long)]
        output: Option<String>,
        /// Without headings
        #[arg(long)]
        no_headers: bool,
    },
    /// Display clusters defined in the kubeconfig
    #[command(name = "get-clusters")]
    GetClusters,
    /// Display users defined in the kubeconfig
    #[command(name = "get-users")]
    GetUsers,
    /// Set the current-context in a kubeconfig file
    #[command(name = "use-context", alias = "use")]
    UseContext {
        /// Its name
        name: Option<String>,
    },
    /// Set a context entry in kubeconfig
    #[command(name = "set-context")]
    SetContext {
        /// Its name
        name: Option<String>,
        /// The current one
        #[arg(long)]
        current: bool,
    },
}

pub(crate) fn run(session: &Session, arguments: Arguments) -> Outcome {
    match arguments.command {
        Command::View { output, raw, minify, flatten } => view(session, &output, raw, minify, flatten),
        Command::CurrentContext => match current(session)?.as_str() {
            "" => fail("current-context is not set"),
            name => {
                say_line(name);
                Ok(())
            }
        },
        Command::GetContexts { names, output, no_headers } => contexts(session, &names, output.as_deref(), no_headers),
        Command::GetClusters => names(session, "clusters"),
        Command::GetUsers => names(session, "users"),
        Command::UseContext { name } => use_context(session, name.as_deref()),
        Command::SetContext { name, current } => set_context(session, name, current),
    }
}

fn current(session: &Session) -> Outcome<String> {
    match &session.globals.context {
        Some(name) => Ok(name.clone()),
        None => Ok(text(&session.merged()?.config, &["current-context"]).to_owned()),
    }
}

fn view(session: &Session, output: &str, raw: bool, minify: bool, flatten: bool) -> Outcome {
    let mut config = session.merged()?.config.clone();
    if minify {
        let name = current(session)?;
        let context = list(&config, &["contexts"]).iter().find(|context| text(context, &["name"]) == name).cloned();
        let Some(context) = context else { return fail("current-context must exist in order to minify") };
        let (cluster, user) = (text(&context, &["context", "cluster"]), text(&context, &["context", "user"]));
        for (kind, wanted) in [("contexts", name.as_str()), ("clusters", cluster), ("users", user)] {
            let kept: Vec<Value> =
                list(&config, &[kind]).iter().filter(|entry| text(entry, &["name"]) == wanted).cloned().collect();
            config[kind] = kept.into();
        }
    }
    for (kind, inner) in [("clusters", "cluster"), ("users", "user")] {
        for entry in config[kind].as_array_mut().into_iter().flatten() {
            let Some(fields) = entry.get_mut(inner).and_then(Value::as_object_mut) else { continue };
            if flatten {
                embed(fields)?;
            }
            if !raw {
                for (name, value) in fields.iter_mut() {
                    if name.ends_with("-data") {
                        *value = "DATA+OMITTED".into();
                    } else if matches!(name.as_str(), "token" | "password") {
                        *value = "REDACTED".into();
                    }
                }
            }
        }
    }
    for kind in ["clusters", "contexts", "users"] {
        if list(&config, &[kind]).is_empty() {
            config[kind] = Value::Null;
        }
    }
    say(&Printer::parse(output, &Options::default())?.print(&config)?);
    Ok(())
}

/// Files become their contents.
fn embed(fields: &mut serde_json::Map<String, Value>) -> Outcome {
    use base64::Engine;
    for name in ["certificate-authority", "client-certificate", "client-key"] {
        if let Some(path) = fields.get(name).and_then(Value::as_str).map(str::to_owned) {
            let bytes = std::fs::read(&path).map_err(|error| Failure::Text(format!("open {path}: {error}")))?;
            fields.remove(name);
            fields.insert(format!("{name}-data"), base64::engine::general_purpose::STANDARD.encode(bytes).into());
        }
    }
    Ok(())
}

fn contexts(session: &Session, wanted: &[String], output: Option<&str>, no_headings: bool) -> Outcome {
    let config = &session.merged()?.config;
    let current = current(session)?;
    let all = list(config, &["contexts"]);
    for name in wanted {
        if !all.iter().any(|context| text(context, &["name"]) == name) {
            return fail(format!("context {name} not found"));
        }
    }
    let shown =
        all.iter().filter(|context| wanted.is_empty() || wanted.iter().any(|name| name == text(context, &["name"])));
    match output {
        Some("name") => {
            say(&shown.map(|context| format!("{}\n", text(context, &["name"]))).collect::<String>());
            return Ok(());
        }
        None | Some("") => {}
        Some(_) => return fail("output must be one of '' or 'name'"),
    }
    let mut table =
        if no_headings { String::new() } else { "CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n".to_owned() };
    for context in shown {
        let name = text(context, &["name"]);
        let field = |field: &str| text(context, &["context", field]);
        let mark = if name == current { "*" } else { "" };
        table.push_str(&format!("{mark}\t{name}\t{}\t{}\t{}\n", field("cluster"), field("user"), field("namespace")));
    }
    say(&Tabs::table().format(&table));
    Ok(())
}

fn names(session: &Session, kind: &str) -> Outcome {
    let names = list(&session.merged()?.config, &[kind]).iter().map(|entry| format!("{}\n", text(entry, &["name"])));
    say(&format!("NAME\n{}", names.collect::<String>()));
    Ok(())
}

fn use_context(session: &Session, name: Option<&str>) -> Outcome {
    let Some(name) = name else { return fail("accepts 1 arg(s), received 0") };
    let merged = session.merged()?;
    if !list(&merged.config, &["contexts"]).iter().any(|context| text(context, &["name"]) == name) {
        return fail(format!("no context exists with the name: \"{name}\""));
    }
    change(session, |config| config["current-context"] = name.into())?;
    say_line(&format!("Switched to context \"{name}\"."));
    Ok(())
}

fn set_context(session: &Session, name: Option<String>, of_current: bool) -> Outcome {
    let name = match name.filter(|_| !of_current) {
        Some(name) => name,
        None if of_current => current(session)?,
        None => return fail("you must specify a non-empty context name or --current"),
    };
    if name.is_empty() {
        return fail("no current context is set");
    }
    let globals = &session.globals;
    let fields = [("cluster", &globals.cluster), ("user", &globals.user), ("namespace", &globals.namespace)];
    let known = list(&session.merged()?.config, &["contexts"]).iter().any(|context| text(context, &["name"]) == name);
    change(session, |config| {
        if !config["contexts"].is_array() {
            config["contexts"] = json!([]);
        }
        let Some(all) = config["contexts"].as_array_mut() else { return };
        if !all.iter().any(|context| text(context, &["name"]) == name) {
            all.push(json!({ "name": name, "context": { "cluster": "", "user": "" } }));
        }
        for context in all.iter_mut().filter(|context| text(context, &["name"]) == name) {
            for (field, value) in fields {
                if let Some(value) = value {
                    object_mut(context, &["context"]).insert(field.to_owned(), value.as_str().into());
                }
            }
        }
    })?;
    say_line(&format!("Context \"{name}\" {}.", if known { "modified" } else { "created" }));
    Ok(())
}

/// Changes the file that counts first, in one step.
fn change(session: &Session, change: impl FnOnce(&mut Value)) -> Outcome {
    let path = &session.merged()?.file;
    let failed = |why: String| Failure::Text(format!("{}: {why}", path.display()));
    let mut config = kubeconfig::read(path).map_err(failed)?.unwrap_or(json!({ "apiVersion": "v1", "kind": "Config" }));
    change(&mut config);
    let folder = path.parent().unwrap_or(std::path::Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(error.to_string()))?;
    file.write_all(yaml::document(&config).as_bytes()).map_err(|error| failed(error.to_string()))?;
    file.persist(path).map_err(|error| failed(error.to_string()))?;
    Ok(())
}
