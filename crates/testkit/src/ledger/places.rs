//! What outlives processes: mounts, cgroups, links and files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The mounts of this process's own namespace that mention `name`.
pub(super) fn mounts(name: &str) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc/self/mountinfo");
    mounts.lines().filter(|line| line.contains(name)).map(str::to_owned).collect()
}

/// The cgroups of the cluster in `state`, in every hierarchy.
pub(super) fn cgroups(state: &Path) -> Vec<PathBuf> {
    let name = podlab_linux::cgroups::cluster_name(state);
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = open.pop() {
        let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            if entry.file_name() == *name {
                found.push(entry.path());
            } else {
                open.push(entry.path());
            }
        }
    }
    found
}

/// The network links of the host.
pub(super) fn links() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// What lies in a directory.
pub(super) fn entries(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
