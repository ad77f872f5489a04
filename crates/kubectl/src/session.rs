//! One run of the program: its flags, and the way to the server, opened when something is asked.

use std::cell::OnceCell;

use podlab_client::Client;

use crate::cli::Globals;
use crate::discovery::Kind;
use crate::failure::{Failure, Outcome};
use crate::kubeconfig::{self, Merged};

pub(crate) struct Session {
    pub(crate) globals: Globals,
    merged: OnceCell<Merged>,
    server: OnceCell<Server>,
    /// Every kind of this server, once it was asked for them.
    pub(crate) kinds: OnceCell<Vec<Kind>>,
}

pub(crate) struct Server {
    pub(crate) client: Client,
    /// `https://127.0.0.1:6443`, without a slash at its end.
    pub(crate) url: String,
    namespace: String,
}

impl Session {
    pub(crate) fn new(globals: Globals) -> Self {
        Session { globals, merged: OnceCell::new(), server: OnceCell::new(), kinds: OnceCell::new() }
    }

    /// What the kubeconfig files say.
    pub(crate) fn merged(&self) -> Outcome<&Merged> {
        match self.merged.get() {
            Some(merged) => Ok(merged),
            None => {
                let merged = kubeconfig::load(&self.globals)?;
                Ok(self.merged.get_or_init(|| merged))
            }
        }
    }

    /// The server; nothing is connected yet.
    pub(crate) fn server(&self) -> Outcome<&Server> {
        if let Some(server) = self.server.get() {
            return Ok(server);
        }
        let endpoint = kubeconfig::endpoint(self.merged()?, &self.globals)?;
        let url = endpoint.server.to_string().trim_end_matches('/').to_owned();
        let namespace = endpoint.namespace.clone();
        let client = Client::from_endpoint(endpoint).map_err(|error| Failure::Text(error.to_string()))?;
        let agent = concat!("kubectl/v1.32.0 (linux/amd64) podlab/", env!("CARGO_PKG_VERSION"));
        Ok(self.server.get_or_init(|| Server { client: client.user_agent(agent), url, namespace }))
    }

    /// `-n`, or what the context says, or `default`.
    pub(crate) fn namespace(&self) -> Outcome<String> {
        match &self.globals.namespace {
            Some(namespace) if !namespace.is_empty() => Ok(namespace.clone()),
            _ => Ok(self.server()?.namespace.clone()),
        }
    }
}
