//! `kubectl create role`, `clusterrole`, their bindings, and `token`.

use std::collections::BTreeMap;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::{How, meta};
use crate::commands::common::{Writing, duration};
use crate::failure::{Failure, Outcome, fail};
use crate::print::{complain, say};
use crate::session::Session;

#[derive(Args, Debug)]
pub(super) struct Role {
    names: Vec<String>,
    /// get, list and so on
    #[arg(long, value_delimiter = ',')]
    verb: Vec<String>,
    /// TYPE[.GROUP][/SUBRESOURCE]
    #[arg(long, value_delimiter = ',')]
    resource: Vec<String>,
    /// Only objects with these names
    #[arg(long)]
    resource_name: Vec<String>,
    /// Paths that are no objects, for clusterroles
    #[arg(long, value_delimiter = ',')]
    non_resource_url: Vec<String>,
    #[command(flatten)]
    pub(super) how: How,
}

const VERBS: [&str; 14] = [
    "*",
    "get",
    "delete",
    "list",
    "create",
    "update",
    "patch",
    "watch",
    "proxy",
    "deletecollection",
    "use",
    "bind",
    "escalate",
    "impersonate",
];
const VERBS_OF_PATHS: [&str; 8] = ["*", "get", "post", "put", "delete", "patch", "head", "options"];

pub(super) async fn role(session: &Session, of: &Role, cluster: bool) -> Outcome<Value> {
    let kind = if cluster { "ClusterRole" } else { "Role" };
    if !cluster && !of.non_resource_url.is_empty() {
        return fail("unknown flag: --non-resource-url\nSee 'kubectl create role --help' for usage.");
    }
    let metadata = meta(&of.names, &kind.to_lowercase())?;
    if of.verb.is_empty() {
        return fail("at least one verb must be specified");
    }
    match (of.resource.is_empty(), of.non_resource_url.is_empty()) {
        (true, true) if cluster => return fail("one of resource or nonResourceURL must be specified"),
        (true, _) if !cluster => return fail("at least one resource must be specified"),
        _ => {}
    }
    for url in &of.non_resource_url {
        if url != "*" && !url.starts_with('/') {
            return fail("nonResourceURL should start with /");
        }
        if url.strip_suffix('*').unwrap_or(url).contains('*') {
            return fail("nonResourceURL only supports wildcard matches when '*' is at the end");
        }
    }
    let verbs = unique(&of.verb);
    if !of.non_resource_url.is_empty()
        && let Some(verb) = verbs.iter().find(|verb| !VERBS_OF_PATHS.contains(&verb.as_str()))
    {
        return fail(format!("invalid verb: '{verb}' for nonResourceURL"));
    }
    if !of.resource.is_empty() {
        for verb in verbs.iter().filter(|verb| !VERBS.contains(&verb.as_str())) {
            complain(&format!("Warning: '{verb}' is not a standard resource verb"));
        }
    }
    let mut rules = Vec::new();
    for (group, resources) in groups(session, &of.resource).await? {
        let mut rule = json!({ "apiGroups": [group], "resources": resources, "verbs": verbs });
        if !of.resource_name.is_empty() {
            rule["resourceNames"] = unique(&of.resource_name).into();
        }
        rules.push(rule);
    }
    if !of.non_resource_url.is_empty() {
        rules.push(json!({ "nonResourceURLs": of.non_resource_url, "verbs": verbs }));
    }
    Ok(json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules }))
}

fn unique(all: &[String]) -> Vec<String> {
    let mut unique: Vec<String> = Vec::new();
    for one in all {
        if !unique.contains(one) {
            unique.push(one.clone());
        }
    }
    // Whoever may do everything need not be told the rest.
    if unique.iter().any(|one| one == "*") { vec!["*".to_owned()] } else { unique }
}

/// The types by their group, by the names that the server has for them.
async fn groups(session: &Session, resources: &[String]) -> Outcome<BTreeMap<String, Vec<String>>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for resource in resources {
        let (called, below) = resource.split_once('/').map_or((resource.as_str(), None), |(a, b)| (a, Some(b)));
        let (group, mut plural) = match called {
            "*" => (String::new(), "*".to_owned()),
            called => {
                let kind = session.kind(called).await.map_err(|_| not_there(called))?;
                (kind.group, kind.plural)
            }
        };
        if let Some(below) = below {
            plural = format!("{plural}/{below}");
        }
        let known = groups.entry(group).or_default();
        if !known.contains(&plural) {
            known.push(plural);
        }
    }
    Ok(groups)
}

fn not_there(called: &str) -> Failure {
    Failure::Raw(match called.split_once('.') {
        Some((name, group)) => format!("the server doesn't have a resource type \"{name}\" in group \"{group}\""),
        None => format!("the server doesn't have a resource type \"{called}\""),
    })
}

#[derive(Args, Debug)]
pub(super) struct Binding {
    names: Vec<String>,
    /// The clusterrole
    #[arg(long)]
    clusterrole: Option<String>,
    /// The role, for rolebindings
    #[arg(long)]
    role: Option<String>,
    /// Users
    #[arg(long)]
    user: Vec<String>,
    /// Groups
    #[arg(long)]
    group: Vec<String>,
    /// NAMESPACE:NAME
    #[arg(long)]
    serviceaccount: Vec<String>,
    #[command(flatten)]
    pub(super) how: How,
}

pub(super) fn binding(of: &Binding, cluster: bool) -> Outcome<Value> {
    let kind = if cluster { "ClusterRoleBinding" } else { "RoleBinding" };
    if cluster && of.clusterrole.is_none() {
        return fail("required flag(s) \"clusterrole\" not set");
    }
    let metadata = meta(&of.names, &kind.to_lowercase())?;
    let (what, name) = match (&of.clusterrole, &of.role) {
        (Some(name), None) => ("ClusterRole", name),
        (None, Some(name)) => ("Role", name),
        _ => return fail("exactly one of clusterrole or role must be specified"),
    };
    const GROUP: &str = "rbac.authorization.k8s.io";
    let mut subjects = Vec::new();
    for (kind, names) in [("User", &of.user), ("Group", &of.group)] {
        subjects.extend(names.iter().map(|name| json!({ "apiGroup": GROUP, "kind": kind, "name": name })));
    }
    for account in &of.serviceaccount {
        match account.split_once(':') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains(':') => {
                subjects.push(json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace }));
            }
            _ => return fail("serviceaccount must be <namespace>:<name>"),
        }
    }
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata,
        "roleRef": { "apiGroup": GROUP, "kind": what, "name": name },
    });
    if !subjects.is_empty() {
        object["subjects"] = subjects.into();
    }
    Ok(object)
}

#[derive(Args, Debug)]
pub(super) struct Token {
    names: Vec<String>,
    /// Who it is to be shown to
    #[arg(long)]
    audience: Vec<String>,
    /// How long it is good for
    #[arg(long, default_value = "0s")]
    duration: String,
    /// json, yaml
    #[arg(short, long)]
    output: Option<String>,
}

pub(super) async fn token(session: &Session, of: &Token) -> Outcome {
    // Checks that there is one name.
    meta(&of.names, "token")?;
    if of.duration.starts_with('-') {
        return fail("--duration must be greater than or equal to 0");
    }
    let seconds = duration(&of.duration)?.as_secs();
    let mut request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": { "creationTimestamp": null },
        "spec": { "audiences": of.audience, "boundObjectRef": null }, "status": { "expirationTimestamp": null, "token": "" },
    });
    if of.audience.is_empty() {
        request["spec"]["audiences"] = Value::Null;
    }
    if seconds > 0 {
        request["spec"]["expirationSeconds"] = seconds.into();
    }
    let kind = session.kind_of("v1", "ServiceAccount").await?;
    let path = kind.object(Some(&session.namespace()?), &of.names[0]).segment("token");
    let made = session.send(Method::POST, &path, &request).await;
    let made = made.map_err(|failure| match failure {
        Failure::Status(_) => Failure::Text(format!("failed to create token: {}", failure.message())),
        other => other,
    })?;
    if of.output.is_some() {
        return Writing::plain(of.output.clone()).teller()?.tell(&made, "created");
    }
    // Without a line feed, so that it can be put somewhere; the real one has one on a terminal only.
    say(podlab_api::json::text(&made, &["status", "token"]));
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        say("\n");
    }
    Ok(())
}
