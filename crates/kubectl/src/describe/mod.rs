//! `kubectl describe`: a file a group of kinds. Each description is text with tabs, laid out at the end
//! (the order of the lines is that of k8s.io/kubectl/pkg/describe/describe.go).

mod config;
mod container;
mod generic;
mod namespace;
mod node;
mod parts;
mod pod;
mod service;
mod storage;
mod volume;
mod workload;

pub(crate) use parts::interval;

use std::fmt::Write;

use podlab_api::json::{list, text};
use podlab_client::Path;
use serde_json::Value;

use crate::discovery::Kind;
use crate::failure::Outcome;
use crate::print::tabs::Tabs;
use crate::session::Session;

/// A description in the making.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// A line, indented by two blanks a level.
    fn line(&mut self, level: usize, line: impl AsRef<str>) {
        self.put(level, line);
        self.text.push('\n');
    }

    /// A line or its beginning.
    fn put(&mut self, level: usize, line: impl AsRef<str>) {
        let _ = write!(self.text, "{:width$}{}", "", line.as_ref(), width = 2 * level);
    }

    /// With its columns.
    pub(crate) fn finish(self) -> String {
        Tabs::description().format(&self.text)
    }
}

/// What a description is made of beside the object itself.
pub(crate) struct About<'a> {
    pub(crate) session: &'a Session,
    pub(crate) events: bool,
    pub(crate) now: jiff::Timestamp,
}

impl About<'_> {
    /// Objects of a kind, or none when they may not be seen.
    async fn others(&self, path: Path) -> Vec<Value> {
        match self.session.get(&path.query("limit", "500")).await {
            Ok(answer) => list(&answer, &["items"]).to_vec(),
            Err(_) => Vec::new(),
        }
    }

    /// The events that tell of an object.
    async fn events_of(&self, object: &Value, uid: Option<&str>) -> Option<Vec<Value>> {
        if !self.events {
            return None;
        }
        let namespace = text(object, &["metadata", "namespace"]);
        let mut wanted = vec![format!("involvedObject.name={}", text(object, &["metadata", "name"]))];
        if !namespace.is_empty() {
            wanted.push(format!("involvedObject.namespace={namespace}"));
        }
        let uid = uid.unwrap_or(text(object, &["metadata", "uid"]));
        if !uid.is_empty() {
            wanted.push(format!("involvedObject.uid={uid}"));
        }
        let path = match namespace {
            "" => Path::new("/api/v1/events"),
            namespace => Path::new("/api/v1/namespaces").segment(namespace).segment("events"),
        };
        Some(self.others(path.query("fieldSelector", &wanted.join(","))).await)
    }
}

/// The description of what a Pod is made from. The real one leaves its tabs as they are.
pub(crate) fn template(template: &Value) -> String {
    let mut page = Page::default();
    workload::template(&mut page, template);
    page.text
}

/// The description of an object.
pub(crate) async fn describe(about: &About<'_>, kind: &Kind, object: &Value) -> Outcome<String> {
    let mut page = Page::default();
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => pod::describe(&mut page, about, object).await,
        ("", "Node") => node::describe(&mut page, about, object).await,
        ("", "Service") => service::describe(&mut page, about, object).await,
        ("", "Endpoints") => service::endpoints_object(&mut page, about, object).await,
        ("", "PersistentVolumeClaim") => storage::claim(&mut page, about, object).await,
        ("", "PersistentVolume") => storage::volume(&mut page, about, object).await,
        ("storage.k8s.io", "StorageClass") => storage::class(&mut page, about, object).await,
        ("", "Namespace") => namespace::describe(&mut page, about, object).await,
        ("", "ResourceQuota") => namespace::quota(&mut page, object),
        ("", "LimitRange") => namespace::limit_range(&mut page, object),
        ("", "ConfigMap") => config::config_map(&mut page, about, object).await,
        ("", "Secret") => config::secret(&mut page, object),
        ("", "ServiceAccount") => config::service_account(&mut page, about, object).await,
        ("apps", "Deployment") => workload::deployment(&mut page, about, object).await,
        ("apps", "ReplicaSet") => workload::replica_set(&mut page, about, object).await,
        _ => generic::describe(&mut page, about, object).await,
    }
    Ok(page.finish())
}
