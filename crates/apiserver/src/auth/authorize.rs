//! Who may do what. There are no roles to bind: four kinds of callers, each with fixed rights.
//!
//! - `system:masters`: everything.
//! - A node: reads what Pods need; writes its own Node, lease, and the Pods bound to it; tokens for their accounts.
//! - A service account: reads its own namespace, but for Secrets; one of kube-system reads everywhere.
//! - Anybody who has logged in: discovery, and questions about themselves. Nobody: health and version.

use http::Method;
use http::request::Parts;
use podlab_api::error::ApiError;

use super::Identity;
use crate::http::{Route, Target};
use crate::server::Server;
use crate::store::{GroupResource, Key};

const PODS: GroupResource = GroupResource { group: "", resource: "pods" };
/// What a service account of kube-system (the cluster's DNS, say) belongs to.
const SYSTEM_ACCOUNTS: &str = "system:serviceaccounts:kube-system";

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Resource { verb: String, group: String, resource: String, subresource: String, namespace: String, name: String },
    Path { verb: String, path: String },
}

impl Action {
    fn of(method: &Method, parts: &Parts, route: &Route) -> Self {
        if let Route::Resource(target) = route {
            return Self::of_target(method, target);
        }
        Self::Path { verb: method.as_str().to_ascii_lowercase(), path: parts.uri.path().to_owned() }
    }

    fn of_target(method: &Method, target: &Target) -> Self {
        let verb = target.verb.map_or_else(|| method.as_str().to_ascii_lowercase(), |verb| verb.name().to_owned());
        let namespace = match (target.resource.plural, &target.namespace) {
            // A namespace is in itself.
            ("namespaces", None) if target.resource.group.is_empty() => target.name(),
            _ => target.namespace(),
        };
        Self::Resource {
            verb,
            group: target.resource.group.to_owned(),
            resource: target.resource.plural.to_owned(),
            subresource: target.subresource.map_or("", |subresource| subresource.name).to_owned(),
            namespace: namespace.to_owned(),
            name: target.name().to_owned(),
        }
    }

    fn refusal(&self, identity: &Identity) -> ApiError {
        let user = &identity.user;
        match self {
            Self::Path { verb, path } => ApiError::Forbidden {
                group: String::new(),
                plural: String::new(),
                name: String::new(),
                message: format!("User {user:?} cannot {verb} path {path:?}"),
            },
            Self::Resource { verb, group, resource, subresource, namespace, name } => {
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
                    message: format!("User {user:?} cannot {verb} resource {whole:?} in API group {group:?} {scope}"),
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
    method: &Method,
    parts: &Parts,
    route: &Route,
) -> Result<(), ApiError> {
    if identity.is_in("system:masters") {
        return Ok(());
    }
    let action = Action::of(method, parts, route);
    if may(server, identity, &action) { Ok(()) } else { Err(action.refusal(identity)) }
}

/// Whether `identity` may do it.
pub(crate) fn may(server: &Server, identity: &Identity, action: &Action) -> bool {
    if identity.is_in("system:masters") {
        return true;
    }
    match action {
        Action::Path { verb, path } => may_path(identity, verb, path),
        Action::Resource { verb, group, resource, subresource, namespace, name } => {
            let asked = Asked {
                verb,
                group,
                resource,
                subresource,
                namespace,
                name,
                reads: matches!(verb.as_str(), "get" | "list" | "watch"),
            };
            let logged_in = identity.is_in("system:authenticated");
            if logged_in && asked.is_about_oneself() {
                return true;
            }
            if let Some(node) = node_of(identity) {
                return asked.node_may(server, node);
            }
            service_account_of(identity).is_some_and(|home| asked.service_account_may(identity, home))
        }
    }
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

struct Asked<'a> {
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
    reads: bool,
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
        self.reads && here && self.resource != "secrets" && matches!(self.subresource, "" | "status" | "log" | "scale")
    }

    fn node_may(&self, server: &Server, node: &str) -> bool {
        let writes = matches!(self.verb, "update" | "patch");
        match (self.group, self.resource, self.subresource) {
            ("", "pods", "") => self.reads || (self.verb == "delete" && self.is_pod_of(server, node)),
            ("", "pods", "status") => writes && self.is_pod_of(server, node),
            // Whether a new one is its own, admission sees.
            ("", "nodes", "") => self.reads || self.verb == "create" || (writes && self.name == node),
            ("", "nodes", "status") => writes && self.name == node,
            ("", "serviceaccounts", "token") => self.verb == "create",
            ("" | "events.k8s.io", "events", "") => matches!(self.verb, "create" | "patch" | "update"),
            ("coordination.k8s.io", "leases", "") => {
                let own = self.name == node && (writes || matches!(self.verb, "get" | "delete"));
                self.namespace == "kube-node-lease" && (self.verb == "create" || own)
            }
            (
                "",
                "services"
                | "endpoints"
                | "configmaps"
                | "secrets"
                | "persistentvolumes"
                | "persistentvolumeclaims"
                | "namespaces"
                | "serviceaccounts",
                "",
            )
            | ("discovery.k8s.io", "endpointslices", "")
            | ("storage.k8s.io", _, "") => self.reads,
            _ => false,
        }
    }

    fn is_pod_of(&self, server: &Server, node: &str) -> bool {
        let pod = server.store().get(&Key::new(PODS, self.namespace, self.name));
        // One that is gone is answered with 404: nothing is told about it, and nothing can happen to it.
        pod.is_none_or(|pod| pod.value()["spec"]["nodeName"] == *node)
    }
}
