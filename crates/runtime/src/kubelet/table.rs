//! The Pods of the node as the kubelet knows them: what its HTTP answers from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use podlab_client::Object;
use tokio::sync::watch;

use crate::server::KnownPods;

/// The Pods of the node with the statuses that were computed last.
#[derive(Debug)]
pub struct Table {
    pods: Mutex<BTreeMap<(String, String), Arc<Pod>>>,
    version: watch::Sender<u64>,
}

impl Default for Table {
    fn default() -> Self {
        Table { pods: Mutex::default(), version: watch::Sender::new(0) }
    }
}

impl Table {
    pub(super) fn publish(&self, pod: &Pod, status: &PodStatus) {
        let key = key(pod);
        let mut pods = self.pods();
        let same = pods.get(&key).is_some_and(|known| {
            known.status.as_ref() == Some(status) && known.metadata == pod.metadata && known.spec == pod.spec
        });
        if !same {
            pods.insert(key, Arc::new(Pod { status: Some(status.clone()), ..pod.clone() }));
            drop(pods);
            self.version.send_modify(|version| *version += 1);
        }
    }

    pub(super) fn remove(&self, pod: &Pod) {
        let key = key(pod);
        let mut pods = self.pods();
        if pods.get(&key).is_some_and(|known| known.uid() == pod.uid()) {
            pods.remove(&key);
            drop(pods);
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn pods(&self) -> MutexGuard<'_, BTreeMap<(String, String), Arc<Pod>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(pod: &Pod) -> (String, String) {
    (pod.namespace().unwrap_or_default().to_owned(), pod.name().to_owned())
}

impl KnownPods for Table {
    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.pods().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    fn all(&self) -> Vec<Arc<Pod>> {
        self.pods().values().cloned().collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}
