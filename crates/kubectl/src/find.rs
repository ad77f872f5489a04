//! The objects that a command changes, read from the server.

use clap::Args;
use podlab_api::json::{list, object_mut, text};
use podlab_client::Path;
use serde_json::Value;

use crate::discovery::Kind;
use crate::failure::{Failure, Outcome, fail};
use crate::print::complain;
use crate::select::Files;
use crate::session::Session;

/// How objects are chosen.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Choice {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
    /// Only objects with these fields
    #[arg(long)]
    pub(crate) field_selector: Option<String>,
    /// All objects of the type
    #[arg(long)]
    pub(crate) all: bool,
    /// In all namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
}

/// An object and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) object: Value,
}

impl Found {
    pub(crate) fn object_name(&self) -> &str {
        text(&self.object, &["metadata", "name"])
    }

    /// `pod/kuard`
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.kind.lower(), self.object_name())
    }

    pub(crate) fn path(&self) -> Path {
        self.kind.object(self.namespace.as_deref(), self.object_name())
    }
}

impl Session {
    /// Reads the objects; those that cannot be read are told of at the end.
    ///
    /// # Errors
    /// Words that do not go together, a type that is not known.
    pub(crate) async fn found(&self, words: &[String], choice: &Choice) -> Outcome<(Vec<Found>, Vec<Failure>)> {
        let mut found = Vec::new();
        let mut failures = Vec::new();
        let namespace = self.namespace()?;
        let space = Some(namespace.as_str()).filter(|_| !choice.all_namespaces);
        for manifest in self.manifests(&choice.files).await? {
            match self.get(&manifest.kind.object(manifest.namespace.as_deref(), manifest.name())).await {
                Ok(object) => {
                    found.push(Found { kind: manifest.kind, namespace: manifest.namespace, object });
                }
                Err(failure) => failures.push(failure),
            }
        }
        let unnamed = choice.selector.is_some() || choice.field_selector.is_some() || choice.all;
        for target in self.targets(words).await? {
            match target.name {
                Some(_) if choice.all => {
                    return fail("setting 'all' parameter but found a non empty selector. ")
                        .or(fail("name cannot be provided when a selector is specified"));
                }
                Some(_) if unnamed => return fail("name cannot be provided when a selector is specified"),
                Some(name) => match self.get(&target.kind.object(space, &name)).await {
                    Ok(object) => {
                        let namespace = space.filter(|_| target.kind.namespaced).map(str::to_owned);
                        found.push(Found { kind: target.kind, namespace, object });
                    }
                    Err(failure) => failures.push(failure),
                },
                None if !unnamed => {
                    return fail("resource(s) were provided, but no name was specified");
                }
                None => {
                    let mut path = target.kind.collection(space);
                    for (name, value) in
                        [("labelSelector", &choice.selector), ("fieldSelector", &choice.field_selector)]
                    {
                        if let Some(value) = value {
                            path = path.query(name, value);
                        }
                    }
                    let selectors = (choice.selector.as_deref(), choice.field_selector.as_deref());
                    let all = self.get(&path).await.map_err(|failure| target.kind.not_listed(selectors, failure))?;
                    for item in list(&all, &["items"]) {
                        let mut object = item.clone();
                        object_mut(&mut object, &[]).insert("apiVersion".into(), target.kind.api_version().into());
                        object_mut(&mut object, &[]).insert("kind".into(), target.kind.kind.clone().into());
                        let namespace = item["metadata"]["namespace"].as_str().map(str::to_owned);
                        found.push(Found { kind: target.kind.clone(), namespace, object });
                    }
                }
            }
        }
        Ok((found, failures))
    }
}

/// Said when a selector chose nothing.
pub(crate) fn nothing() {
    complain("No resources found");
}
