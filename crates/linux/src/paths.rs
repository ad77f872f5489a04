//! Where things lie: in the cluster's state directory, and inside a node.

use std::path::{Path, PathBuf};

/// The cluster's state directory, as the machine sees it.
pub(crate) struct State<'a>(pub(crate) &'a Path);

impl State<'_> {
    /// What a node's processes see as `/`.
    pub(crate) fn node_disk(&self, node: &str) -> PathBuf {
        self.0.join("nodes").join(node).join("disk")
    }

    /// A directory per Pod of the node.
    pub(crate) fn node_pods(&self, node: &str) -> PathBuf {
        self.0.join("nodes").join(node).join("pods")
    }

    /// The node's directory; its kubelet's socket lies in it.
    pub(crate) fn node(&self, node: &str) -> PathBuf {
        self.0.join("nodes").join(node)
    }

    /// Sockets of the control plane, one a node.
    pub(crate) fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.0.join("log").join(format!("{name}.log"))
    }

    /// Who runs: see [`crate::fabric::Running`].
    pub(crate) fn registry(&self) -> PathBuf {
        self.0.join("nodes.json")
    }

    pub(crate) fn running(&self) -> PathBuf {
        self.run().join("fabric.json")
    }
}

/// Where a node's own processes find things. These are the same on every node.
pub mod inside {
    /// A directory per Pod.
    pub const PODS: &str = "/var/lib/podlab/pods";
    /// The image store.
    pub const IMAGES: &str = "/var/lib/podlab/images";
    /// The node's directory of the machine; `kubelet.sock` lies in it.
    pub const NODE: &str = "/var/lib/podlab/node";
    /// The control plane's sockets.
    pub const API: &str = "/run/podlab/api";
    /// Where the node's init listens.
    pub const INIT_SOCKET: &str = "/run/podlab/init.sock";
    /// Where the Pods' supervisors listen, each under its uid.
    pub const SUPERVISORS: &str = "/run/podlab/pods";
    /// The node's cgroups.
    pub const CGROUPS: &str = "/sys/fs/cgroup";
}

/// What lies in a Pod's directory.
#[derive(Clone, Debug)]
pub struct PodDirectory(PathBuf);

impl PodDirectory {
    /// The directory of a Pod under [`inside::PODS`] or wherever else `pods` is.
    pub fn new(pods: &Path, uid: &str) -> Self {
        Self(pods.join(uid))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the Pod was made from: [`crate::supervisor::record::PodRecord`].
    pub fn record(&self) -> PathBuf {
        self.0.join("pod.json")
    }

    /// A directory per start of a container.
    pub fn containers(&self) -> PathBuf {
        self.0.join("containers")
    }

    pub fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }

    /// A directory or a record per volume.
    pub fn volumes(&self) -> PathBuf {
        self.0.join("volumes")
    }

    pub fn volume(&self, name: &str) -> PathBuf {
        self.volumes().join(name)
    }

    /// The log of a container's `attempt`.
    pub fn log(&self, container: &str, attempt: u32) -> PathBuf {
        self.0.join("logs").join(container).join(format!("{attempt}.log"))
    }

    /// The Pod's `/dev/shm`.
    pub fn shared_memory(&self) -> PathBuf {
        self.0.join("shm")
    }

    /// A small file system for what we write into containers, so that filling it fills nothing else
    /// (CVE-2020-8557): `hosts`, `hostname`, `resolv.conf`, termination messages.
    pub fn small_files(&self) -> PathBuf {
        self.0.join("etc")
    }
}
