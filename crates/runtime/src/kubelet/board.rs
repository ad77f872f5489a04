//! The Pods as this kubelet sees them, for its own HTTP server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

use crate::server::KnownPods;

type Name = (String, String);

/// Every Pod with its newest status.
pub(super) struct Board {
    pods: Mutex<BTreeMap<Name, Arc<Pod>>>,
    version: watch::Sender<u64>,
}

impl Board {
    pub(super) fn new() -> Self {
        Self { pods: Mutex::default(), version: watch::Sender::new(0) }
    }

    fn pods(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Pod>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, pod: Pod) {
        self.pods().insert(name(&pod), Arc::new(pod));
        self.version.send_modify(|version| *version += 1);
    }

    /// Takes a Pod off, unless another of the same name has taken its place.
    pub(super) fn remove(&self, pod: &Pod) {
        let mut pods = self.pods();
        let same = pods.get(&name(pod)).is_some_and(|known| known.metadata.uid == pod.metadata.uid);
        if same {
            pods.remove(&name(pod));
        }
        drop(pods);
        self.version.send_modify(|version| *version += 1);
    }
}

fn name(pod: &Pod) -> Name {
    (pod.metadata.namespace.clone().unwrap_or_default(), pod.metadata.name.clone().unwrap_or_default())
}

impl KnownPods for Board {
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
