//! What a request is about, from its method and path (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go).

use http::Method;
use percent_encoding::percent_decode_str;
use podlab_api::registry::{self, Resource, Subresource};

use super::Query;

/// Bytes of a path at most, and parts between its slashes.
const PATH_BYTES: usize = 8 * 1024;
const PATH_PARTS: usize = 64;

#[derive(Clone)]
pub(crate) enum Route {
    /// `/healthz`, `/livez`, `/readyz`, and single checks below them.
    Health(Vec<String>),
    Version,
    /// The root, discovery and OpenAPI; the parts of the path.
    Document(Vec<String>),
    Resource(Target),
    Unknown,
}

/// A resource, or one object, or a part of one.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<&'static Subresource>,
    /// What follows the subresource: the path that `proxy` forwards.
    pub(crate) rest: Option<String>,
    /// None where the method means nothing here.
    pub(crate) verb: Option<Verb>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// As discovery and authorization call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    fn of(method: &Method, named: bool, query: &Query) -> Option<Self> {
        Some(match (method.as_str(), named) {
            ("GET", true) => Self::Get,
            ("GET", false) if query.flag("watch") => Self::Watch,
            ("GET", false) => Self::List,
            ("POST", _) => Self::Create,
            ("PUT", _) => Self::Update,
            ("PATCH", _) => Self::Patch,
            ("DELETE", true) => Self::Delete,
            ("DELETE", false) => Self::DeleteCollection,
            _ => return None,
        })
    }
}

impl Target {
    /// The name, where the route made sure of it; empty for a collection.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The namespace; empty for a resource without them, and for all of them.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

impl Route {
    pub(crate) fn of(method: &Method, path: &str, query: &Query) -> Self {
        Self::parse(method, path, query).unwrap_or(Self::Unknown)
    }

    fn parse(method: &Method, path: &str, query: &Query) -> Option<Self> {
        if path.len() > PATH_BYTES {
            return None;
        }
        let parts = path.trim_matches('/').splitn(PATH_PARTS, '/').map(part).collect::<Option<Vec<String>>>()?;
        let words: Vec<&str> = parts.iter().map(String::as_str).collect();
        Some(match words.as_slice() {
            [""] => Self::Document(Vec::new()),
            ["healthz" | "livez" | "readyz", ..] => Self::Health(parts),
            ["version"] => Self::Version,
            ["openapi", ..] | ["api"] | ["api", _] | ["apis"] | ["apis", _] | ["apis", _, _] => Self::Document(parts),
            ["api", version, rest @ ..] => Self::Resource(target("", version, rest, method, query, path)?),
            ["apis", group, version, rest @ ..] if !group.is_empty() => {
                Self::Resource(target(group, version, rest, method, query, path)?)
            }
            _ => return None,
        })
    }
}

/// One part of a path, decoded. Slashes, and what is no text, cannot be part of a name.
fn part(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    (!decoded.contains(['/', '\0'])).then(|| decoded.into_owned())
}

fn target(group: &str, version: &str, words: &[&str], method: &Method, query: &Query, path: &str) -> Option<Target> {
    let find = |plural: &str| registry::find(group, version, plural);
    let (resource, namespace, rest) = match words {
        // The namespace itself, and its parts; anything else behind its name lies in it.
        ["namespaces"] | ["namespaces", _] => (find("namespaces")?, None, &words[1..]),
        ["namespaces", _, part @ ("status" | "finalize")] if group.is_empty() => {
            let resource = find("namespaces")?;
            resource.subresource(part)?;
            (resource, None, &words[1..])
        }
        ["namespaces", namespace, plural, rest @ ..] => (find(plural)?, Some((*namespace).to_owned()), rest),
        [plural, rest @ ..] => (find(plural)?, None, rest),
        [] => return None,
    };
    if namespace.as_deref() == Some("") || (namespace.is_some() && !resource.namespaced) {
        return None;
    }
    let (name, subresource, tail) = match rest {
        [] => (None, None, None),
        [name] => (Some(*name), None, None),
        [name, "proxy", ..] => {
            // All words of the path that are not behind `proxy`, the version's included.
            let before = words.len() - rest.len() + 2 + if group.is_empty() { 2 } else { 3 };
            (Some(*name), Some(resource.subresource("proxy")?), Some(behind(path, before)))
        }
        [name, subresource] => (Some(*name), Some(resource.subresource(subresource)?), None),
        _ => return None,
    };
    if name == Some("") {
        return None;
    }
    // Across all namespaces one can list and watch, but nothing has a name.
    if resource.namespaced && namespace.is_none() && (name.is_some() || subresource.is_some()) {
        return None;
    }
    let mut verb = Verb::of(method, name.is_some(), query);
    let across = resource.namespaced && namespace.is_none();
    let question = resource.storage == registry::Storage::None;
    if across && !question && !matches!(verb, Some(Verb::List | Verb::Watch)) {
        verb = None;
    }
    // An object is created by posting to its collection; only parts of an object are posted to.
    if verb == Some(Verb::Create) && name.is_some() && subresource.is_none() {
        verb = None;
    }
    if matches!(verb, Some(Verb::Update | Verb::Patch)) && name.is_none() {
        verb = None;
    }
    Some(Target { resource, namespace, name: name.map(str::to_owned), subresource, rest: tail, verb })
}

/// What follows so many parts of a path, as it was sent, with its slash.
fn behind(path: &str, parts: usize) -> String {
    let slashes = path.trim_start_matches('/').match_indices('/').map(|(at, _)| at);
    let start = path.len() - path.trim_start_matches('/').len();
    slashes.skip(parts - 1).map(|at| path[start + at..].to_owned()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str) -> Route {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Route::of(&method.parse().unwrap(), path, &Query::parse(query).unwrap())
    }

    /// Resource, namespace, name, subresource and verb in one line.
    fn told(method: &str, path: &str) -> String {
        match route(method, path) {
            Route::Resource(target) => format!(
                "{} {} {} {} {}",
                target.resource.plural,
                target.namespace.as_deref().unwrap_or("-"),
                target.name.as_deref().unwrap_or("-"),
                target.subresource.map_or("-", |subresource| subresource.name),
                target.verb.map_or("-", Verb::name)
            ),
            _ => "no resource".to_owned(),
        }
    }

    #[test]
    fn paths_say_what_they_are_about() {
        for (method, path, expected) in [
            ("GET", "/api/v1/pods", "pods - - - list"),
            ("GET", "/api/v1/pods?watch=1", "pods - - - watch"),
            ("GET", "/api/v1/namespaces/a/pods", "pods a - - list"),
            ("POST", "/api/v1/namespaces/a/pods", "pods a - - create"),
            ("GET", "/api/v1/namespaces/a/pods/x", "pods a x - get"),
            ("POST", "/api/v1/namespaces/a/pods/x", "pods a x - -"),
            ("DELETE", "/api/v1/namespaces/a/pods/x", "pods a x - delete"),
            ("DELETE", "/api/v1/namespaces/a/pods", "pods a - - deletecollection"),
            ("DELETE", "/api/v1/pods", "pods - - - -"),
            ("PATCH", "/api/v1/namespaces/a/pods/x/status", "pods a x status patch"),
            ("POST", "/api/v1/namespaces/a/pods/x/exec", "pods a x exec create"),
            ("GET", "/api/v1/namespaces", "namespaces - - - list"),
            ("GET", "/api/v1/namespaces/a", "namespaces - a - get"),
            ("PUT", "/api/v1/namespaces/a/finalize", "namespaces - a finalize update"),
            ("GET", "/api/v1/nodes/n", "nodes - n - get"),
            ("GET", "/apis/apps/v1/namespaces/a/deployments/d", "deployments a d - get"),
        ] {
            assert_eq!(told(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn what_is_behind_proxy_is_kept_as_it_was_sent() {
        for (path, expected) in [
            ("/api/v1/namespaces/proxy/pods/proxy/proxy", ""),
            ("/api/v1/namespaces/proxy/pods/proxy/proxy/", "/"),
            ("/api/v1/namespaces/a/services/x:http/proxy/a%20b//c/", "/a%20b//c/"),
            ("/api/v1/nodes/n1/proxy/healthz", "/healthz"),
        ] {
            let Route::Resource(target) = route("GET", path) else { panic!("{path}") };
            assert_eq!(target.rest.as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in [
            "/nope",
            "/api/v2/pods",
            "/api/v1/pods/x",
            "/api/v1/nope",
            "/api/v1/namespaces/a/nodes",
            "/api/v1/namespaces/a/pods/x/nope",
            "/api/v1/namespaces/a/pods/x/status/more",
            "/api/v1/namespaces//pods",
            "/api/v1/namespaces/a/pods/x%2f..%2fy",
            "/api/v1/namespaces/a/pods/%ff",
            "/apis/apps/v1/pods",
        ] {
            assert!(matches!(route("GET", path), Route::Unknown), "{path}");
        }
        assert!(matches!(route("GET", &format!("/api/v1/namespaces/{}", "a".repeat(9000))), Route::Unknown));
        assert!(matches!(route("GET", &"/a".repeat(10_000)), Route::Unknown));
    }
}
