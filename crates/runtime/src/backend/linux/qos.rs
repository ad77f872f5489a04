//! The cgroups above the Pods': one for all of them, and below it one for each class but Guaranteed, whose Pods are
//! directly in it (pkg/kubelet/cm/qos_container_manager_linux.go).
//!
//! All Pods together may use what the node has. The Burstable ones weigh as much as they request together, and those
//! that request nothing as little as there is, so that they get the processor when nobody else wants it.

use std::sync::PoisonError;

use podlab_linux::cgroups::{Limits, Tree};
use podlab_linux::node::KubeletConfig;

use super::Linux;
use crate::backend::PodUid;

const ALL: &str = "kubepods";
const BURSTABLE: &str = "kubepods/burstable";
const BEST_EFFORT: &str = "kubepods/besteffort";

/// Makes the cgroups that are there before any Pod.
pub(super) fn set_up(config: &KubeletConfig) {
    let (cpu, memory) = (Some(config.node.cpu_millis), Some(config.node.memory));
    set(&config.cgroups, ALL, &Limits { cpu_request_millis: cpu, memory, ..Limits::default() });
    for class in [BURSTABLE, BEST_EFFORT] {
        set(&config.cgroups, class, &weight(0));
    }
}

fn weight(millis: u64) -> Limits {
    Limits { cpu_request_millis: Some(millis), ..Limits::default() }
}

/// What the host refuses here takes nothing from any Pod but its place in a queue.
fn set(tree: &Tree, path: &str, limits: &Limits) {
    let cgroup = tree.cgroup(path);
    if let Err(refusal) = cgroup.create().and_then(|()| cgroup.set(limits)) {
        tracing::warn!(%refusal, path, "a class of Pods has no weight of its own");
    }
}

impl Linux {
    /// Notes what a Burstable Pod requests (`None`: it is gone), and weighs all of them again.
    pub(super) fn weigh(&self, uid: &PodUid, millis: Option<u64>) {
        let mut pods = self.inner.burstable.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match millis {
            Some(millis) => pods.insert(uid.clone(), millis),
            None => pods.remove(uid),
        };
        if before != millis {
            set(&self.inner.config.cgroups, BURSTABLE, &weight(pods.values().sum()));
        }
    }
}
