//! `kubectl api-resources`, `kubectl api-versions`

use clap::Args;
use podlab_api::json::{list, text};
use podlab_client::Path;

use crate::discovery::Kind;
use crate::failure::{Outcome, fail};
use crate::print::{say, tabs::Tabs};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Only those of this API group
    #[arg(long)]
    api_group: Option<String>,
    /// Only those that are, or are not, in namespaces
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    namespaced: Option<bool>,
    /// Only those of these categories
    #[arg(long, value_delimiter = ',')]
    categories: Vec<String>,
    /// Only those with these verbs
    #[arg(long, value_delimiter = ',')]
    verbs: Vec<String>,
    /// Without headings
    #[arg(long)]
    no_headers: bool,
    /// wide or name
    #[arg(short, long)]
    output: Option<String>,
    /// name or kind
    #[arg(long)]
    sort_by: Option<String>,
    /// Ask again, keep nothing (nothing is kept)
    #[arg(long)]
    cached: bool,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let wide = match arguments.output.as_deref() {
        None => false,
        Some("wide") => true,
        Some("name") => false,
        Some(other) => return fail(format!("--output {other} is not available: wide, name")),
    };
    let mut kinds: Vec<&Kind> = session
        .all_kinds()
        .await?
        .iter()
        .filter(|kind| !kind.verbs.is_empty())
        .filter(|kind| arguments.api_group.as_ref().is_none_or(|group| *group == kind.group))
        .filter(|kind| arguments.namespaced.is_none_or(|namespaced| namespaced == kind.namespaced))
        .filter(|kind| arguments.verbs.iter().all(|verb| kind.verbs.contains(verb)))
        .filter(|kind| arguments.categories.iter().all(|category| kind.categories.contains(category)))
        .collect();
    match arguments.sort_by.as_deref() {
        None => kinds.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural))),
        Some("name") => kinds.sort_by(|a, b| a.plural.cmp(&b.plural)),
        Some("kind") => kinds.sort_by(|a, b| a.kind.cmp(&b.kind)),
        Some(other) => return fail(format!("--sort-by accepts only name or kind, not {other}")),
    }
    if arguments.output.as_deref() == Some("name") {
        say(&kinds.iter().map(|kind| kind.resource() + "\n").collect::<String>());
        return Ok(());
    }
    let mut table = String::new();
    if !arguments.no_headers {
        table.push_str("NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND");
        table.push_str(if wide { "\tVERBS\tCATEGORIES\n" } else { "\n" });
    }
    for kind in kinds {
        let (names, version) = (kind.short_names.join(","), kind.api_version());
        table.push_str(&format!("{}\t{names}\t{version}\t{}\t{}", kind.plural, kind.namespaced, kind.kind));
        if wide {
            table.push_str(&format!("\t{}\t{}", kind.verbs.join(","), kind.categories.join(",")));
        }
        table.push('\n');
    }
    say(&Tabs::table().format(&table));
    Ok(())
}

/// Every group and version, in the order of the alphabet.
pub(crate) async fn versions(session: &Session) -> Outcome {
    let core = session.get(&Path::new("/api").query("timeout", "32s")).await?;
    let groups = session.get(&Path::new("/apis").query("timeout", "32s")).await?;
    let mut versions: Vec<&str> = list(&core, &["versions"]).iter().filter_map(serde_json::Value::as_str).collect();
    for group in list(&groups, &["groups"]) {
        versions.extend(list(group, &["versions"]).iter().map(|version| text(version, &["groupVersion"])));
    }
    versions.sort_unstable();
    say(&versions.iter().map(|version| format!("{version}\n")).collect::<String>());
    Ok(())
}
