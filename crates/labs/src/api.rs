//! The few things labs and checks ask of the Kubernetes API.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    ResourceQuota, Secret, Service, ServiceAccount,
};
use podlab_client::{Client, DeleteOptions, Error, ListOptions, Object, WatchEvent};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Value;

use crate::condition::{Expression, Variables};

static GONE: LazyLock<Expression> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant, and the tests use it")]
    Expression::compile("object == null").unwrap()
});

/// An object of a lab, written `pod/kuard`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// What it is.
    pub kind: Kind,
    /// What it is called.
    pub name: String,
}

macro_rules! kinds {
    ($($variant:ident $word:literal $scope:ident,)*) => {
        /// The kinds a lab can wait for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $(
            #[doc = $word]
            $variant,
        )* }

        impl Kind {
            const ALL: &[Kind] = &[$(Kind::$variant),*];

            /// The word before the slash, as kubectl takes it.
            pub fn word(self) -> &'static str {
                match self { $(Kind::$variant => $word,)* }
            }

            fn namespaced(self) -> bool {
                match self { $(Kind::$variant => kinds!(@ $scope),)* }
            }

            /// All of them in a namespace.
            ///
            /// # Errors
            ///
            /// When the server cannot be asked.
            pub async fn list(self, client: &Client, namespace: &str) -> Result<Vec<Value>, Error> {
                let namespace = self.namespaced().then_some(namespace);
                match self { $(Kind::$variant => list::<$variant>(client, namespace).await,)* }
            }

            /// An item for each change from now on. It ends when the server ends the watch.
            ///
            /// # Errors
            ///
            /// When the server cannot be asked.
            pub async fn changes(self, client: &Client, namespace: &str) -> Result<Changes, Error> {
                let namespace = self.namespaced().then_some(namespace);
                match self { $(Kind::$variant => changes::<$variant>(client, namespace).await,)* }
            }
        }

        impl ObjectName {
            /// The object as it is now; `None` when there is none.
            ///
            /// # Errors
            ///
            /// When the server cannot be asked.
            pub async fn get(&self, client: &Client, namespace: &str) -> Result<Option<Value>, Error> {
                let namespace = self.kind.namespaced().then_some(namespace);
                match self.kind { $(Kind::$variant => get::<$variant>(client, namespace, &self.name).await,)* }
            }

            /// Deletes the object, without waiting for its grace period, and waits until it is gone.
            ///
            /// # Errors
            ///
            /// When the server cannot be asked, or the object does not go within half a minute.
            pub async fn delete(&self, client: &Client, namespace: &str) -> Result<(), WaitError> {
                let place = self.kind.namespaced().then_some(namespace);
                let deleted = match self.kind {
                    $(Kind::$variant => delete::<$variant>(client, place, &self.name).await,)*
                };
                deleted.map_err(WaitError::Api)?;
                self.wait(client, namespace, &GONE, Duration::from_secs(30)).await.map(|_| ())
            }

            /// Deletes the events about objects of this name.
            ///
            /// # Errors
            ///
            /// When the server cannot be asked, or does not let us.
            pub async fn delete_events(&self, client: &Client, namespace: &str) -> Result<(), Error> {
                let kind = match self.kind { $(Kind::$variant => <$variant as k8s_openapi::Resource>::KIND,)* };
                let about = format!("involvedObject.kind={kind},involvedObject.name={}", self.name);
                let about = ListOptions::default().fields(about);
                // What is told of an object without a namespace lies in `default`.
                let namespace = if self.kind.namespaced() { namespace } else { "default" };
                client.delete_collection::<Event>(namespace, &about, &DeleteOptions::default()).await.map(drop)
            }

            /// Waits until `condition` holds of the object (bound to `object`; null while there is none).
            ///
            /// # Errors
            ///
            /// When the server cannot be asked, or `within` is over; the error tells the last state seen.
            pub async fn wait(
                &self, client: &Client, namespace: &str, condition: &Expression, within: Duration,
            ) -> Result<Value, WaitError> {
                let namespace = self.kind.namespaced().then_some(namespace);
                let mut last = Value::Null;
                let waiting = async {
                    match self.kind { $(
                        Kind::$variant => wait::<$variant>(client, namespace, &self.name, condition, &mut last).await,
                    )* }
                };
                match tokio::time::timeout(within, waiting).await {
                    Ok(result) => result.map_err(WaitError::Api).map(|()| last),
                    Err(_) => Err(WaitError::TimedOut {
                        object: self.clone(), condition: condition.source().to_owned(), within, last: Box::new(last),
                    }),
                }
            }
        }
    };
    (@ namespaced) => { true };
    (@ cluster) => { false };
}

kinds! {
    Pod "pod" namespaced,
    Service "service" namespaced,
    ConfigMap "configmap" namespaced,
    Secret "secret" namespaced,
    ServiceAccount "serviceaccount" namespaced,
    PersistentVolumeClaim "persistentvolumeclaim" namespaced,
    Deployment "deployment" namespaced,
    ReplicaSet "replicaset" namespaced,
    Event "event" namespaced,
    Endpoints "endpoints" namespaced,
    ResourceQuota "resourcequota" namespaced,
    LimitRange "limitrange" namespaced,
    PersistentVolume "persistentvolume" cluster,
    Node "node" cluster,
    Namespace "namespace" cluster,
}

/// A wait that did not end well.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The server cannot be asked.
    #[error(transparent)]
    Api(Error),
    /// The condition did not come true.
    #[error("{object}: {condition} did not hold within {} s; it was {}", within.as_secs(), summary(last))]
    TimedOut { object: ObjectName, condition: String, within: Duration, last: Box<Value> },
}

/// An object's state in a few words, for messages.
fn summary(object: &Value) -> String {
    if object.is_null() {
        return "not there".to_owned();
    }
    match object.pointer("/status/phase").and_then(Value::as_str) {
        Some(phase) => phase.to_owned(),
        None => "there".to_owned(),
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Kind, String> {
        Kind::ALL.iter().copied().find(|kind| kind.word() == word).ok_or_else(|| {
            let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
            format!("{word:?} is none of {}", words.join(", "))
        })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Kind {
    /// What expressions call a list of them: `services`, `endpoints`.
    pub fn plural(self) -> String {
        let word = self.word();
        if word.ends_with('s') { word.to_owned() } else { format!("{word}s") }
    }
}

impl std::str::FromStr for ObjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<ObjectName, String> {
        let (word, name) = text.split_once('/').ok_or_else(|| format!("{text:?}: write KIND/NAME, pod/kuard say"))?;
        let kind: Kind = word.parse()?;
        if name.is_empty() {
            return Err(format!("{text:?} has no name"));
        }
        Ok(ObjectName { kind, name: name.to_owned() })
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.name)
    }
}

impl<'de> Deserialize<'de> for ObjectName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

async fn get<K: Object>(client: &Client, namespace: Option<&str>, name: &str) -> Result<Option<Value>, Error> {
    match client.get::<K>(namespace, name).await {
        Ok(object) => Ok(Some(as_json(&object))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn list<K: Object>(client: &Client, namespace: Option<&str>) -> Result<Vec<Value>, Error> {
    Ok(client.list::<K>(namespace, &ListOptions::default()).await?.items.iter().map(as_json).collect())
}

/// See [`Kind::changes`].
pub type Changes = BoxStream<'static, Result<(), Error>>;

async fn changes<K: Object + Send + 'static>(client: &Client, namespace: Option<&str>) -> Result<Changes, Error> {
    let watch = client.watch::<K>(namespace, &ListOptions::default()).await?;
    Ok(watch.into_stream().map(|event| event.map(|_| ())).boxed())
}

async fn delete<K: Object>(client: &Client, namespace: Option<&str>, name: &str) -> Result<(), Error> {
    match client.delete::<K>(namespace, name, &DeleteOptions::default().grace(0)).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Lists, then watches from there, and again when the server ends the watch: the only way not to miss a change.
async fn wait<K: Object>(
    client: &Client,
    namespace: Option<&str>,
    name: &str,
    condition: &Expression,
    last: &mut Value,
) -> Result<(), Error> {
    let only = ListOptions::default().fields(format!("metadata.name={name}"));
    loop {
        let list = client.list::<K>(namespace, &only).await?;
        *last = list.items.first().map_or(Value::Null, as_json);
        if condition.holds(&Variables::new([("object", &*last)])) {
            return Ok(());
        }
        let from = ListOptions { resource_version: list.metadata.resource_version, ..only.clone() };
        let mut watch = client.watch::<K>(namespace, &from).await?;
        loop {
            match watch.next().await {
                Ok(Some(WatchEvent::Added(object) | WatchEvent::Modified(object))) => *last = as_json(&object),
                Ok(Some(WatchEvent::Deleted(_))) => *last = Value::Null,
                Ok(Some(WatchEvent::Bookmark { .. })) => continue,
                Ok(None) => break,
                Err(error) if error.is_gone() => break,
                Err(error) => return Err(error),
            }
            if condition.holds(&Variables::new([("object", &*last)])) {
                return Ok(());
            }
        }
    }
}

/// An object as expressions see it. What the API sent is JSON, so that it can be written as JSON.
pub(crate) fn as_json<K: serde::Serialize>(object: &K) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects_are_kind_and_name() {
        let name: ObjectName = "pod/kuard".parse().unwrap();
        assert_eq!((name.kind, name.name.as_str()), (Kind::Pod, "kuard"));
        assert_eq!(name.to_string(), "pod/kuard");
        assert!("kuard".parse::<ObjectName>().unwrap_err().contains("KIND/NAME"));
        assert!("pods/kuard".parse::<ObjectName>().unwrap_err().contains("none of pod, service"));
        assert!("pod/".parse::<ObjectName>().is_err());
    }
}
