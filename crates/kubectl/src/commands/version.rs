//! `kubectl version`

use clap::Args;
use podlab_api::json::text;
use podlab_client::Path;
use serde_json::json;

use crate::failure::{Outcome, fail};
use crate::print::{json as print_json, say, say_line, yaml};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Only the client's version
    #[arg(long)]
    client: bool,
    /// json or yaml
    #[arg(short, long)]
    output: Option<String>,
}

/// The version of Kubernetes whose words this client has.
const VERSION: &str = "v1.32.0";
/// What the real client of that version has built in; here it is refused.
const KUSTOMIZE: &str = "v5.5.0";

pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let server = match arguments.client {
        true => None,
        false => Some(session.get(&Path::new("/version").query("timeout", "32s")).await),
    };
    let mut all = json!({
        "clientVersion": {
            "major": "1", "minor": "32", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
        },
        "kustomizeVersion": KUSTOMIZE,
    });
    match arguments.output.as_deref() {
        None => {
            say(&format!("Client Version: {VERSION}\nKustomize Version: {KUSTOMIZE}\n"));
            if let Some(Ok(server)) = &server {
                say_line(&format!("Server Version: {}", text(server, &["gitVersion"])));
            }
        }
        Some(form @ ("json" | "yaml")) => {
            if let Some(Ok(server)) = &server {
                all["serverVersion"] = server.clone();
            }
            say(&if form == "json" { ordered(&all) } else { yaml::document(&all) });
        }
        Some(_) => return fail("--output must be 'yaml' or 'json'"),
    }
    server.transpose().map(|_| ())
}

/// The fields in the order of the type, not of the alphabet.
fn ordered(all: &serde_json::Value) -> String {
    const FIELDS: [&str; 9] =
        ["major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"];
    let mut parts = Vec::new();
    for name in ["clientVersion", "kustomizeVersion", "serverVersion"] {
        match all.get(name) {
            Some(object) if object.is_object() => {
                let fields: Vec<String> = FIELDS
                    .iter()
                    .filter_map(|field| Some(format!("    \"{field}\": {}", print_json::compact(object.get(field)?))))
                    .collect();
                parts.push(format!("  \"{name}\": {{\n{}\n  }}", fields.join(",\n")));
            }
            Some(value) => parts.push(format!("  \"{name}\": {}", print_json::compact(value))),
            None => {}
        }
    }
    format!("{{\n{}\n}}\n", parts.join(",\n"))
}
