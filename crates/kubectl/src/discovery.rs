//! Which kinds there are and what they are called.
//!
//! Those that every cluster has are known without asking (they come from Podlab's own registry); a name that is not
//! among them is asked for, so that a kind of another cluster works as well.

use http::Method;
use podlab_api::json::{list, text, truth};
use podlab_api::registry;
use podlab_client::Path;
use serde_json::Value;

use crate::failure::{Failure, Outcome, fail};
use crate::http_call::{Call, log_line};
use crate::print::complain;
use crate::session::Session;

/// A kind of object and how it is addressed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
}

impl Kind {
    /// `v1`, or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        registry::api_version(&self.group, &self.version)
    }

    /// `pods`, or `deployments.apps`.
    pub(crate) fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `pod`, or `deployment.apps`.
    pub(crate) fn lower(&self) -> String {
        let kind = self.kind.to_lowercase();
        if self.group.is_empty() { kind } else { format!("{kind}.{}", self.group) }
    }

    /// Where its objects are; without a namespace those of all.
    pub(crate) fn collection(&self, namespace: Option<&str>) -> Path {
        let path = match self.group.as_str() {
            "" => Path::new("/api").segment(&self.version),
            group => Path::new("/apis").segment(group).segment(&self.version),
        };
        let path = match namespace.filter(|_| self.namespaced) {
            Some(namespace) => path.segment("namespaces").segment(namespace),
            None => path,
        };
        path.segment(&self.plural)
    }

    /// Where one is.
    pub(crate) fn object(&self, namespace: Option<&str>, name: &str) -> Path {
        self.collection(namespace).segment(name)
    }

    /// The words for a list that was refused: which one, by which selectors for labels and fields.
    pub(crate) fn not_listed(&self, selectors: (Option<&str>, Option<&str>), failure: Failure) -> Failure {
        match failure {
            Failure::Status(mut status) if matches!(text(&status, &["reason"]), "BadRequest" | "NotFound") => {
                let which = format!("{}/{}, Resource={}", self.group, self.version, self.plural);
                let message = text(&status, &["message"]).to_owned();
                status["message"] = match selectors {
                    (None, None) => format!("Unable to list \"{which}\": {message}"),
                    (labels, fields) => format!(
                        "Unable to find \"{which}\" that match label selector \"{}\", field selector \"{}\": {message}",
                        labels.unwrap_or_default(),
                        fields.unwrap_or_default(),
                    ),
                }
                .into();
                Failure::Status(status)
            }
            other => other,
        }
    }

    fn is_called(&self, name: &str) -> bool {
        self.plural == name || self.singular == name || self.short_names.iter().any(|short| short == name)
    }
}

impl From<&registry::Resource> for Kind {
    fn from(resource: &registry::Resource) -> Self {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        Kind {
            group: resource.group.to_owned(),
            version: resource.version.to_owned(),
            kind: resource.kind.to_owned(),
            plural: resource.plural.to_owned(),
            singular: resource.singular.to_owned(),
            short_names: owned(resource.short_names),
            categories: owned(resource.categories),
            namespaced: resource.namespaced,
            verbs: owned(resource.verbs),
        }
    }
}

/// The kinds known without asking. Metrics are asked for: not every cluster has them.
fn usual() -> impl Iterator<Item = Kind> {
    registry::all().iter().filter(|resource| resource.group != "metrics.k8s.io").map(Kind::from)
}

/// `pods`, `deployments.apps`, `deployments.v1.apps`, whatever kubectl takes for a type.
fn named(kinds: impl Iterator<Item = Kind>, argument: &str) -> Option<Kind> {
    let lower = argument.to_lowercase();
    let (name, rest) = lower.split_once('.').map_or((lower.as_str(), None), |(name, rest)| (name, Some(rest)));
    let mut matching = kinds.filter(|kind| kind.is_called(name) || kind.kind.to_lowercase() == name);
    match rest {
        None => matching.next(),
        Some(rest) => matching.find(|kind| {
            let (version, group) = rest.split_once('.').unwrap_or((rest, ""));
            kind.group == rest
                || kind.version == version && kind.group == group
                || kind.group.starts_with(&format!("{rest}."))
        }),
    }
}

impl Session {
    /// The kind that is called so.
    ///
    /// # Errors
    /// `the server doesn't have a resource type "foos"`.
    pub(crate) async fn kind(&self, argument: &str) -> Outcome<Kind> {
        if let Some(kind) = named(usual(), argument) {
            return Ok(kind);
        }
        match named(self.all_kinds().await?.iter().cloned(), argument) {
            Some(kind) => Ok(kind),
            None => fail(format!("the server doesn't have a resource type \"{argument}\"")),
        }
    }

    /// The kind of an object.
    ///
    /// # Errors
    /// `no matches for kind "Foo" in version "v1"`, with the advice that follows it.
    pub(crate) async fn kind_of(&self, api_version: &str, kind: &str) -> Outcome<Kind> {
        let (group, version) = registry::split_api_version(api_version);
        let matching = |known: &Kind| known.kind == kind && known.group == group && known.version == version;
        if let Some(kind) = usual().find(matching) {
            return Ok(kind);
        }
        match self.all_kinds().await?.iter().find(|known| matching(known)) {
            Some(kind) => Ok(kind.clone()),
            None => fail(format!("no matches for kind \"{kind}\" in version \"{api_version}\"")),
        }
    }

    /// Every kind of the server, grouped, in its order.
    pub(crate) async fn all_kinds(&self) -> Outcome<&[Kind]> {
        if let Some(kinds) = self.kinds.get() {
            return Ok(kinds);
        }
        let mut kinds = Vec::new();
        for root in ["/api", "/apis"] {
            let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
            let path = Path::new(root).query("timeout", "32s");
            let answer = self.call(Method::GET, &path, Call { accept: Some(accept), ..Call::default() }).await?;
            match text(&answer, &["kind"]) {
                "APIGroupDiscoveryList" => kinds.extend(aggregated(&answer)),
                _ => kinds.extend(self.one_by_one(root, &answer).await?),
            }
        }
        Ok(self.kinds.get_or_init(|| kinds))
    }

    /// Discovery as it was before it was aggregated: a request a version.
    async fn one_by_one(&self, root: &str, answer: &Value) -> Outcome<Vec<Kind>> {
        let versions: Vec<String> = match text(answer, &["kind"]) {
            "APIVersions" => list(answer, &["versions"]).iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => list(answer, &["groups"])
                .iter()
                .flat_map(|group| list(group, &["versions"]))
                .map(|version| text(version, &["groupVersion"]).to_owned())
                .collect(),
        };
        let mut kinds = Vec::new();
        for api_version in versions {
            let path = api_version.split('/').fold(Path::new(root), |path, part| path.segment(part));
            let Ok(resources) = self.get(&path).await else { continue };
            let (group, version) = registry::split_api_version(&api_version);
            kinds.extend(list(&resources, &["resources"]).iter().filter_map(|resource| one(group, version, resource)));
        }
        Ok(kinds)
    }

    /// What the real client says when it cannot ask for the kinds, which it tries five times.
    pub(crate) async fn complain_of_discovery(&self) {
        let Ok(server) = self.server() else { return };
        for _ in 0..5 {
            let path = Path::new("/api").query("timeout", "32s");
            let Err(Failure::Refused(host)) = self.get(&path).await else { return };
            let why =
                format!("Get \\\"{}/api?timeout=32s\\\": dial tcp {host}: connect: connection refused", server.url);
            let text = format!("\"Unhandled Error\" err=\"couldn't get current server API group list: {why}\"");
            complain(&log_line('E', "memcache.go:265", &text));
        }
    }
}

fn aggregated(answer: &Value) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for group in list(answer, &["items"]) {
        for version in list(group, &["versions"]) {
            for resource in list(version, &["resources"]) {
                kinds.push(Kind {
                    group: text(group, &["metadata", "name"]).to_owned(),
                    version: text(version, &["version"]).to_owned(),
                    kind: text(resource, &["responseKind", "kind"]).to_owned(),
                    plural: text(resource, &["resource"]).to_owned(),
                    singular: text(resource, &["singularResource"]).to_owned(),
                    short_names: texts(resource, "shortNames"),
                    categories: texts(resource, "categories"),
                    namespaced: text(resource, &["scope"]) == "Namespaced",
                    verbs: texts(resource, "verbs"),
                });
            }
        }
    }
    kinds
}

fn one(group: &str, version: &str, resource: &Value) -> Option<Kind> {
    let plural = text(resource, &["name"]);
    if plural.contains('/') {
        return None;
    }
    Some(Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: text(resource, &["kind"]).to_owned(),
        plural: plural.to_owned(),
        singular: text(resource, &["singularName"]).to_owned(),
        short_names: texts(resource, "shortNames"),
        categories: texts(resource, "categories"),
        namespaced: truth(resource, &["namespaced"]),
        verbs: texts(resource, "verbs"),
    })
}

fn texts(value: &Value, field: &str) -> Vec<String> {
    list(value, &[field]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_many_names() {
        for name in ["po", "pod", "pods", "Pod", "pods.v1."] {
            assert_eq!(named(usual(), name).map(|kind| kind.resource()).as_deref(), Some("pods"), "{name}");
        }
        for name in ["deploy", "deployments.apps", "deployment.v1.apps"] {
            assert_eq!(named(usual(), name).map(|kind| kind.resource()).as_deref(), Some("deployments.apps"), "{name}");
        }
        assert_eq!(named(usual(), "events").map(|kind| kind.group).as_deref(), Some(""));
        assert_eq!(named(usual(), "foos"), None);
    }
}
