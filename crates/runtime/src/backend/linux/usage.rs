//! What the node and its Pods use, from their cgroups.

use podlab_linux::node::KubeletConfig;
use podlab_linux::paths::PodDirectory;
use podlab_linux::supervisor::record::{self, PodRecord};

use super::pods::past;
use crate::backend::{ContainerUsage, NodeUsage, PodUsage};
use crate::clock::Shared;

pub(super) fn read(config: &KubeletConfig, clock: &Shared) -> NodeUsage {
    let entries = std::fs::read_dir(&config.pods).into_iter().flatten().flatten();
    let directories = entries.map(|entry| PodDirectory::new(&config.pods, &entry.file_name().to_string_lossy()));
    let pods = directories.filter_map(|directory| {
        let pod = PodRecord::read(&directory)?;
        let running = record::containers(&directory).into_iter().filter(|container| container.exit.is_none());
        let containers = running.map(|container| {
            let usage = config.cgroups.cgroup(&format!("{}/{}", pod.spec.cgroup, container.id)).usage();
            ContainerUsage {
                name: container.name,
                started_at: past(clock, container.started_at),
                cpu_nanoseconds: usage.cpu_nanoseconds,
                memory: usage.memory,
            }
        });
        Some(PodUsage { uid: pod.spec.uid, containers: containers.collect() })
    });
    let node = config.cgroups.cgroup("").usage();
    NodeUsage {
        cpu_nanoseconds: node.cpu_nanoseconds,
        memory: node.memory,
        pods: pods.filter(|pod| !pod.containers.is_empty()).collect(),
    }
}
