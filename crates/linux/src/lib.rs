//! What the kernel does for a Pod: namespaces, cgroups, root file systems, network, and the processes that hold them.
//!
//! Nothing here knows Kubernetes, and nothing here is asynchronous: the node's init and the Pod supervisors are
//! single-threaded programs around `poll`.

pub mod cgroups;
pub mod namespaces;
pub mod network;
pub mod rootfs;
