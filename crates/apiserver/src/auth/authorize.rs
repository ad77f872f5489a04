//! Who may do what. There are no roles to bind: four kinds of callers, each with fixed rights.
//!
//! - `system:masters`: everything.
//! - A node: what its Pods need ([`super::node`]).
//! - A service account: reads its own namespace, but for Secrets; one of kube-system reads everywhere.
//! - Anybody who has logged in: discovery, and questions about themselves. Nobody: health and version.

use http::Method;
use http::request::Parts;
use podlab_api::error::ApiError;
use podlab_api::selector::FieldSelector;

use super::{Identity, node};
use crate::http::{Query, Route, Target, Verb};
use crate::server::Server;

/// What a service account of kube-system (the cluster's DNS, say) belongs to.
const SYSTEM_ACCOUNTS: &str = "system:serviceaccounts:kube-system";

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Resource {
        verb: String,
        group: String,
        resource: String,
        subresource: String,
        namespace: String,
        name: String,
        /// Of a list or a watch.
        fields: FieldSelector,
    },
    Path {
        verb: String,
        path: String,
    },
}

/// Why somebody may not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What follows the sentence that says who may not do what; often nothing.
    Reason(String),
    /// The sentence itself: what a real server's admission says, which asks after the authorizer.
    Admission(String),
}

impl Default for Refusal {
    fn default() -> Self {
        Self::Reason(String::new())
    }
}

impl Refusal {
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self::Reason(reason.into())
    }

    /// What a review tells of it.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Reason(reason) | Self::Admission(reason) => reason,
        }
    }
}

impl Action {
    fn of(method: &Method, parts: &Parts, query: &Query, route: &Route) -> Self {
        if let Route::Resource(target) = route {
            return Self::of_target(method, query, target);
        }
        Self::Path { verb: method.as_str().to_ascii_lowercase(), path: parts.uri.path().to_owned() }
    }

    fn of_target(method: &Method, query: &Query, target: &Target) -> Self {
        let verb = target.verb.map_or_else(|| method.as_str().to_ascii_lowercase(), |verb| verb.name().to_owned());
        let namespace = match (target.resource.plural, &target.namespace) {
            // A namespace is in itself.
            ("namespaces", None) if target.resource.group.is_empty() => target.name(),
            _ => target.namespace(),
        };
        let selects = matches!(target.verb, Some(Verb::List | Verb::Watch | Verb::DeleteCollection));
        let fields = if selects { query.text("fieldSelector").unwrap_or_default() } else { "" };
        // One that cannot be read selects nothing here, and is refused with its own words by whoever lists.
        let fields = FieldSelector::parse(fields).unwrap_or_default();
        // A list by name is about the one object (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go).
        let name = fields.required("metadata.name").unwrap_or(target.name()).to_owned();
        Self::Resource {
            verb,
            group: target.resource.group.to_owned(),
            resource: target.resource.plural.to_owned(),
            subresource: target.subresource.map_or("", |subresource| subresource.name).to_owned(),
            namespace: namespace.to_owned(),
            name,
            fields,
        }
    }

    fn refusal(&self, identity: &Identity, refusal: &Refusal) -> ApiError {
        let user = &identity.user;
        let why = |sentence: String| match refusal {
            Refusal::Admission(message) => message.clone(),
            Refusal::Reason(reason) if reason.is_empty() => sentence,
            Refusal::Reason(reason) => format!("{sentence}: {reason}"),
        };
        match self {
            Self::Path { verb, path } => ApiError::Forbidden {
                group: String::new(),
                plural: String::new(),
                name: String::new(),
                message: why(format!("User {user:?} cannot {verb} path {path:?}")),
            },
            Self::Resource { verb, group, resource, subresource, namespace, name, .. } => {
                let whole = if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") };
                let scope = if namespace.is_empty() {
                    "at the cluster scope".to_owned()
                } else {
                    format!("in the namespace {namespace:?}")
                };
                ApiError::Forbidden {
                    group: group.clone(),
                    plural: resource.clone(),
                    name: name.clone(),
                    message: why(format!(
                        "User {user:?} cannot {verb} resource {whole:?} in API group {group:?} {scope}"
                    )),
                }
            }
        }
    }
}

/// Lets a request pass, or not.
///
/// # Errors
/// [`ApiError::Forbidden`] with the real server's text (golden 580).
pub(crate) fn authorize(
    server: &Server,
    identity: &Identity,
    parts: &Parts,
    query: &Query,
    route: &Route,
) -> Result<(), ApiError> {
    if identity.is_in("system:masters") {
        return Ok(());
    }
    let action = Action::of(&parts.method, parts, query, route);
    may(server, identity, &action).map_err(|refusal| action.refusal(identity, &refusal))
}

/// Whether `identity` may do it.
///
/// # Errors
/// Why not.
pub(crate) fn may(server: &Server, identity: &Identity, action: &Action) -> Result<(), Refusal> {
    if identity.is_in("system:masters") {
        return Ok(());
    }
    let allowed = match action {
        Action::Path { verb, path } => may_path(identity, verb, path),
        Action::Resource { verb, group, resource, subresource, namespace, name, fields } => {
            let reads = matches!(verb.as_str(), "get" | "list" | "watch");
            let asked = Asked { verb, group, resource, part: subresource, namespace, name, fields, reads };
            let logged_in = identity.is_in("system:authenticated");
            if logged_in && asked.is_about_oneself() {
                return Ok(());
            }
            if let Some(node) = node_of(identity) {
                return node::may(&asked, server, node);
            }
            service_account_of(identity).is_some_and(|home| asked.service_account_may(identity, home))
        }
    };
    if allowed { Ok(()) } else { Err(Refusal::default()) }
}

/// Paths that are open to all, and those open to who has logged in.
fn may_path(identity: &Identity, verb: &str, path: &str) -> bool {
    if verb != "get" {
        return false;
    }
    let under = |root: &str| path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    let open = ["/healthz", "/livez", "/readyz", "/version"];
    let known = ["/api", "/apis", "/openapi"];
    open.into_iter().any(under)
        || (identity.is_in("system:authenticated") && (path == "/" || known.into_iter().any(under)))
}

/// The node whose kubelet this is.
pub(crate) fn node_of(identity: &Identity) -> Option<&str> {
    identity.is_in("system:nodes").then(|| identity.user.strip_prefix("system:node:")).flatten()
}

/// The namespace of a service account.
fn service_account_of(identity: &Identity) -> Option<&str> {
    let (namespace, _) = identity.user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(namespace)
}

/// What is asked about a resource.
pub(super) struct Asked<'a> {
    pub(super) verb: &'a str,
    pub(super) group: &'a str,
    pub(super) resource: &'a str,
    /// The subresource; empty for the object itself.
    pub(super) part: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) fields: &'a FieldSelector,
    pub(super) reads: bool,
}

impl Asked<'_> {
    fn is_about_oneself(&self) -> bool {
        self.verb == "create"
            && matches!(
                (self.group, self.resource),
                ("authentication.k8s.io", "selfsubjectreviews")
                    | ("authorization.k8s.io", "selfsubjectaccessreviews" | "selfsubjectrulesreviews")
            )
    }

    fn service_account_may(&self, identity: &Identity, home: &str) -> bool {
        let here = self.namespace == home || identity.is_in(SYSTEM_ACCOUNTS);
        self.reads && here && self.resource != "secrets" && matches!(self.part, "" | "status" | "log" | "scale")
    }
}
