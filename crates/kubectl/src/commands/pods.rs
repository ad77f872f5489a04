//! Which Pod and which container a command is about.

use podlab_api::json::{at, list, text};
use podlab_client::Path;
use serde_json::Value;

use crate::failure::{Outcome, fail};
use crate::print::complain;
use crate::session::Session;

/// Which container is meant when none is named.
const DEFAULT: &str = "kubectl.kubernetes.io/default-container";

impl Session {
    /// The Pod that a word names: `kuard`, `pod/kuard`, or the first of `deployment/web`.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn pod(&self, word: &str) -> Outcome<Value> {
        let namespace = self.namespace()?;
        let pods = Path::new("/api/v1/namespaces").segment(&namespace).segment("pods");
        let Some((kind, name)) = word.split_once('/') else { return self.get(&pods.segment(word)).await };
        let kind = self.kind(kind).await?;
        let object = self.get(&kind.object(Some(&namespace), name)).await?;
        if kind.kind == "Pod" {
            return Ok(object);
        }
        let selector = selector_of(&object);
        if selector.is_empty() {
            return fail(format!("cannot attach to {}: selector is empty", object["kind"]));
        }
        let found = self.get(&pods.query("labelSelector", &selector)).await?;
        let mut found: Vec<&Value> = list(&found, &["items"]).iter().collect();
        // Those that run come first, the oldest of them.
        found.sort_by_key(|pod| {
            (text(pod, &["status", "phase"]) != "Running", text(pod, &["metadata", "creationTimestamp"]))
        });
        let Some(first) = found.first() else {
            return fail("timed out waiting for the condition");
        };
        if found.len() > 1 {
            complain(&format!("Found {} pods, using pod/{}", found.len(), text(first, &["metadata", "name"])));
        }
        let mut pod = (*first).clone();
        pod["kind"] = "Pod".into();
        pod["apiVersion"] = "v1".into();
        Ok(pod)
    }
}

/// The selector of a workload or a Service, as a query has it.
pub(crate) fn selector_of(object: &Value) -> String {
    let selector = at(object, &["spec", "selector"]);
    let labels = match at(selector, &["matchLabels"]) {
        Value::Null => selector,
        labels => labels,
    };
    let pairs = labels.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect::<Vec<_>>().join(",")
}

/// All containers, in the order in which kubectl names them, with what they are.
pub(crate) fn containers(pod: &Value) -> Vec<(&str, &'static str)> {
    [("containers", ""), ("initContainers", " (init)"), ("ephemeralContainers", " (ephem)")]
        .into_iter()
        .flat_map(|(field, mark)| {
            list(pod, &["spec", field]).iter().map(move |container| (text(container, &["name"]), mark))
        })
        .collect()
}

/// The container that is meant; says so when it had to choose.
pub(crate) fn container(pod: &Value, named: Option<&str>, quiet: bool) -> String {
    if let Some(name) = named.filter(|name| !name.is_empty()) {
        return name.to_owned();
    }
    let all = containers(pod);
    let annotated = text(pod, &["metadata", "annotations", DEFAULT]);
    if all.iter().any(|(name, _)| *name == annotated) {
        return annotated.to_owned();
    }
    let first = all.first().map_or("", |(name, _)| name);
    if all.len() > 1 && !quiet {
        let names: Vec<String> = all.iter().map(|(name, mark)| format!("{name}{mark}")).collect();
        complain(&format!("Defaulted container \"{first}\" out of: {}", names.join(", ")));
    }
    first.to_owned()
}
