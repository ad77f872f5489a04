//! Deleting a namespace: what is in it goes first, then the namespace (k8s.io/kubernetes/pkg/controller/namespace).

use k8s_openapi::api::core::v1::{Namespace, Pod};
use podlab_client::Object;
use podlab_client::cache::Key;
use podlab_client::{Client, DeleteOptions, Error, Path, Propagation};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::context::Context;
use crate::queue::WorkQueue;
use crate::worker::{Again, feed, itself, settled, work};

/// The finalizer in a namespace's spec that this controller stands for.
const FINALIZER: &str = "kubernetes";
/// How long until emptiness is looked for again while things are still ending.
const RECHECK: std::time::Duration = std::time::Duration::from_millis(500);

/// What is left to do for a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is not being deleted.
    Nothing,
    /// Delete everything in it.
    Empty,
    /// Everything is gone, and the namespace may go.
    Finalize,
}

/// Decides by what is left in the namespace.
#[must_use]
pub fn step(namespace: &Namespace, left: usize) -> Step {
    let held = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
    if namespace.metadata.deletion_timestamp.is_none() {
        Step::Nothing
    } else if left > 0 {
        Step::Empty
    } else if held.is_some_and(|held| held.iter().any(|name| name == FINALIZER)) {
        Step::Finalize
    } else {
        Step::Nothing
    }
}

/// A kind with objects in namespaces, as discovery names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind {
    group: String,
    version: String,
    plural: String,
}

/// Runs the controller.
pub async fn run(context: Context) {
    let queue = WorkQueue::default();
    let namespaces = context.cache::<Namespace>();
    namespaces.synced().await;
    let client = &context.client;
    let deal = async |key: Key| {
        let Some(namespace) = namespaces.get_key(&key) else { return Ok(Again::No) };
        if namespace.metadata.deletion_timestamp.is_none() {
            return Ok(Again::No);
        }
        let kinds = namespaced_kinds(client).await?;
        let mut left = 0;
        for kind in &kinds {
            left += remaining(client, kind, &key.name).await?.len();
        }
        match step(&namespace, left) {
            Step::Nothing => Ok(Again::No),
            Step::Empty => {
                empty(client, &kinds, &key.name).await?;
                Ok(Again::After(RECHECK))
            }
            Step::Finalize => {
                settled(finalize(client, &namespace).await)?;
                Ok(Again::No)
            }
        }
    };
    tokio::join!(feed(namespaces.clone(), &queue, itself), work("namespaces", &queue, &context.time, deal));
}

/// Deletes everything, Pods with their grace.
async fn empty(client: &Client, kinds: &[Kind], namespace: &str) -> Result<(), Error> {
    for kind in kinds {
        let collection = Path::collection_of(&kind.group, &kind.version, Some(namespace), &kind.plural);
        for (name, going) in remaining(client, kind, namespace).await? {
            if going {
                continue;
            }
            let options = DeleteOptions::default().propagation(Propagation::Background);
            settled(client.delete_at(&collection.clone().segment(&name), &options).await)?;
        }
    }
    Ok(())
}

/// The names of the objects of a kind, and which of them are being deleted already.
async fn remaining(client: &Client, kind: &Kind, namespace: &str) -> Result<Vec<(String, bool)>, Error> {
    let path = Path::collection_of(&kind.group, &kind.version, Some(namespace), &kind.plural);
    let list: Value = match client.get_at(&path).await {
        // A kind that discovery promises and the server does not have holds nothing.
        Err(error) if error.is_not_found() || error.code() == Some(405) => return Ok(Vec::new()),
        other => other?,
    };
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(items
        .iter()
        .filter_map(|item| {
            let metadata = &item["metadata"];
            let name = metadata["name"].as_str()?.to_owned();
            Some((name, !metadata["deletionTimestamp"].is_null()))
        })
        .collect())
}

async fn finalize(client: &Client, namespace: &Namespace) -> Result<Value, Error> {
    let left: Vec<&String> = namespace
        .spec
        .as_ref()
        .and_then(|spec| spec.finalizers.as_ref())
        .into_iter()
        .flatten()
        .filter(|name| *name != FINALIZER)
        .collect();
    let body = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": namespace.name(), "uid": namespace.uid(), "resourceVersion": namespace.metadata.resource_version },
        "spec": { "finalizers": left },
    });
    client.put_at(&Path::object::<Namespace>(None, namespace.name()).segment("finalize"), &body).await
}

/// Every kind that can be listed and deleted in a namespace, by the server's discovery. Pods go last: what makes them
/// must be gone, or it would make them again.
async fn namespaced_kinds(client: &Client) -> Result<Vec<Kind>, Error> {
    #[derive(Deserialize)]
    struct ResourceList {
        #[serde(rename = "groupVersion")]
        group_version: String,
        resources: Vec<Resource>,
    }
    #[derive(Deserialize)]
    struct Resource {
        name: String,
        namespaced: bool,
        verbs: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Groups {
        groups: Vec<Group>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Group {
        preferred_version: Version,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        group_version: String,
    }

    let groups: Groups = client.get_at(&Path::new("/apis")).await?;
    let mut lists: Vec<ResourceList> = vec![client.get_at(&Path::new("/api/v1")).await?];
    for group in groups.groups {
        lists.push(client.get_at(&Path::new(format!("/apis/{}", group.preferred_version.group_version))).await?);
    }
    let mut kinds = Vec::new();
    for list in lists {
        let (group, version) = list.group_version.split_once('/').unwrap_or(("", &list.group_version));
        for resource in list.resources {
            let can = |verb: &str| resource.verbs.iter().any(|known| known == verb);
            if resource.namespaced && !resource.name.contains('/') && can("list") && can("delete") {
                kinds.push(Kind { group: group.to_owned(), version: version.to_owned(), plural: resource.name });
            }
        }
    }
    let pods = <Pod as k8s_openapi::Resource>::URL_PATH_SEGMENT;
    kinds.sort_by_key(|kind| kind.group.is_empty() && kind.plural == pods);
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_goes_when_it_is_empty_and_not_before() {
        let alive: Namespace = serde_json::from_value(json!({
            "metadata": { "name": "team-a" }, "spec": { "finalizers": ["kubernetes"] } }))
        .expect("a namespace");
        let mut dying = alive.clone();
        dying.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        let mut done = dying.clone();
        done.spec = None;
        assert_eq!(step(&alive, 3), Step::Nothing);
        assert_eq!(step(&dying, 3), Step::Empty);
        assert_eq!(step(&dying, 0), Step::Finalize);
        assert_eq!(step(&done, 0), Step::Nothing);
    }
}
