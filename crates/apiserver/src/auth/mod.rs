//! Who asks, and whether they may.

mod authorize;
mod impersonate;
mod node;
pub(crate) mod origin;
pub(crate) mod token;

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use podlab_api::error::ApiError;

pub(crate) use authorize::{Action, authorize, may, node_of};
pub(crate) use impersonate::taken;

use crate::http::Peer;
use crate::server::Server;

/// Who a request comes from: the peer, where the connection says so; a bearer token, where there is one; nobody.
///
/// # Errors
/// [`ApiError::Unauthorized`] for a token that does not hold.
pub(crate) fn authenticate(server: &Server, peer: &Peer, parts: &Parts) -> Result<Arc<Identity>, ApiError> {
    match peer {
        Peer::Known(identity) | Peer::Network { client: Some(identity) } => return Ok(identity.clone()),
        Peer::Network { client: None } => {}
    }
    let Some(header) = parts.headers.get(AUTHORIZATION) else { return Ok(Arc::new(Identity::anonymous())) };
    let text = header.to_str().map_err(|_| ApiError::Unauthorized)?;
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token.trim(),
        _ => return Err(ApiError::Unauthorized),
    };
    token::authenticate(server, token).map(Arc::new).ok_or(ApiError::Unauthorized)
}

/// Who a request comes from, as authentication found it.
///
/// Its [groups](Identity::groups) decide: `system:masters` may do anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: String,
    pub groups: Vec<String>,
    /// Only service accounts have one.
    pub uid: Option<String>,
    /// What `kubectl auth whoami` prints below the groups: key and values, sorted by key.
    pub extra: Vec<(String, Vec<String>)>,
}

impl Identity {
    /// An authenticated user; `system:authenticated` is added to the groups.
    pub fn user<S: Into<String>>(user: impl Into<String>, groups: impl IntoIterator<Item = S>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        groups.push("system:authenticated".into());
        Self { user: user.into(), groups, uid: None, extra: Vec::new() }
    }

    /// Who the kubeconfig is written for.
    pub fn admin() -> Self {
        Self::user("kubernetes-admin", ["system:masters"])
    }

    /// The kubelet of a node.
    pub fn node(name: &str) -> Self {
        Self::user(format!("system:node:{name}"), ["system:nodes"])
    }

    pub fn scheduler() -> Self {
        Self::user("system:kube-scheduler", ["system:masters"])
    }

    pub fn controller_manager() -> Self {
        Self::user("system:kube-controller-manager", ["system:masters"])
    }

    /// Who gave no credentials at all.
    pub fn anonymous() -> Self {
        Self {
            user: "system:anonymous".into(),
            groups: vec!["system:unauthenticated".into()],
            uid: None,
            extra: Vec::new(),
        }
    }

    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}
