//! Pods: made, found again, ended.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use podlab_linux::cgroups::Limits;
use podlab_linux::paths::PodDirectory;
use podlab_linux::protocol::{ContainerReport, ExitReport, InitReply, InitRequest, PodSpec, SupervisedPod};
use podlab_linux::supervisor::record::{self, PodRecord};
use rustix::mount::UnmountFlags;

use super::conversation::failed;
use super::{Linux, on_disk};
use crate::backend::{BackendError, ContainerState, Exit, PodConfig, PodState, PodUid, Qos, Resources};
use crate::clock::Shared;

impl Linux {
    pub(super) async fn list_pods(&self) -> Result<Vec<PodState>, BackendError> {
        let supervised = self.supervised().await?;
        let node = self.clone();
        Ok(on_disk(move || {
            let states = node.with_directories().filter_map(|uid| {
                let record = PodRecord::read(&node.directory(&uid))?;
                let alive = supervised.iter().any(|pod| pod.uid == uid);
                if alive && record.spec.cgroup.starts_with(&cgroup(Qos::Burstable, &String::new())) {
                    node.weigh(&uid, record.spec.limits.cpu_request_millis);
                }
                Some(node.describe(record, alive))
            });
            states.collect()
        })
        .await)
    }

    /// A supervisor writes its record when it has made its Pod, and the record is not what is removed last.
    pub(super) async fn list_remains(&self) -> Result<Vec<PodUid>, BackendError> {
        let mut remains: BTreeSet<_> = self.supervised().await?.into_iter().map(|pod| pod.uid).collect();
        let node = self.clone();
        remains.extend(on_disk(move || node.with_directories().collect::<Vec<_>>()).await);
        Ok(remains.into_iter().collect())
    }

    async fn supervised(&self) -> Result<Vec<SupervisedPod>, BackendError> {
        match self.ask_init(&String::new(), &InitRequest::Pods).await? {
            InitReply::Pods(supervised) => Ok(supervised),
            other => Err(failed(&String::new(), "listing the Pods", other)),
        }
    }

    /// The Pods that have a directory.
    fn with_directories(&self) -> impl Iterator<Item = PodUid> {
        let entries = std::fs::read_dir(&self.inner.config.pods).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
    }

    pub(super) async fn make_pod(&self, pod: &PodConfig) -> Result<PodState, BackendError> {
        let request = InitRequest::CreatePod(Box::new(specify(pod)));
        match self.ask_init(&pod.uid, &request).await? {
            InitReply::Created(_) => {}
            InitReply::Failed { message } => {
                let source = std::io::Error::other(message);
                return Err(BackendError::Io { pod: pod.uid.clone(), what: "creating the sandbox", source });
            }
            other => return Err(failed(&pod.uid, "creating the sandbox", other)),
        }
        self.watch_pod(&pod.uid).await?;
        let record = PodRecord::read(&self.directory(&pod.uid));
        record.map(|record| self.describe(record, true)).ok_or_else(|| BackendError::NoSuchPod(pod.uid.clone()))
    }

    pub(super) async fn kill_pod(&self, uid: &PodUid) -> Result<(), BackendError> {
        match self.ask_init(uid, &InitRequest::KillPod { uid: uid.clone() }).await? {
            InitReply::Gone { .. } => Ok(()),
            other => Err(failed(uid, "stopping", other)),
        }
    }

    fn describe(&self, record: PodRecord, alive: bool) -> PodState {
        let ip = self.address_of(&record);
        let containers = record::containers(&self.directory(&record.spec.uid));
        PodState {
            uid: record.spec.uid,
            namespace: record.spec.namespace,
            name: record.spec.name,
            ip,
            alive,
            created_at: past(&self.inner.clock, record.created_at),
            containers: containers.into_iter().map(|container| self.describe_container(container)).collect(),
        }
    }

    fn describe_container(&self, report: ContainerReport) -> ContainerState {
        ContainerState {
            id: report.id,
            name: report.name,
            attempt: report.attempt,
            image_id: report.image_id,
            started_at: past(&self.inner.clock, report.started_at),
            exit: report.exit.map(|exit| self.describe_exit(exit)),
        }
    }

    pub(super) fn describe_exit(&self, exit: ExitReport) -> Exit {
        Exit {
            code: exit.code,
            signal: exit.signal,
            finished_at: past(&self.inner.clock, exit.finished_at),
            oom_killed: exit.out_of_memory,
            message: exit.message,
        }
    }

    pub(super) fn address_of(&self, record: &PodRecord) -> String {
        record.address.map_or_else(|| self.inner.config.internal_ip.clone(), |address| address.to_string())
    }
}

fn specify(pod: &PodConfig) -> PodSpec {
    let hosts = pod.host_aliases.iter().map(|alias| format!("{}\t{}", alias.ip, alias.hostnames.join("\t")));
    PodSpec {
        uid: pod.uid.clone(),
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        hostname: pod.hostname.clone(),
        host_names: pod.host_names.clone(),
        host_network: pod.host_network,
        share_processes: pod.share_process_namespace,
        sysctls: pod.sysctls.clone(),
        cgroup: cgroup(pod.qos, &pod.uid),
        limits: limits(&pod.resources),
        hosts: hosts.collect(),
        resolv_conf: pod.resolv_conf.clone(),
    }
}

/// Where the kubelet puts a Pod's cgroup.
fn cgroup(qos: Qos, uid: &PodUid) -> String {
    match qos {
        Qos::Guaranteed => format!("kubepods/pod{uid}"),
        Qos::Burstable => format!("kubepods/burstable/pod{uid}"),
        Qos::BestEffort => format!("kubepods/besteffort/pod{uid}"),
    }
}

pub(super) fn limits(resources: &Resources) -> Limits {
    Limits {
        cpu_request_millis: resources.cpu_request_millis,
        cpu_limit_millis: resources.cpu_limit_millis,
        memory: resources.memory_limit,
        pids: resources.pids_limit,
        kill_all_on_memory: false,
    }
}

/// The cluster's time of what was written down. A stamp from the future is one from before the clock was set back: a wait
/// that began there would last until then, so it happened now.
pub(super) fn past(clock: &Shared, nanoseconds: u64) -> Timestamp {
    clock.at_wall(Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default())
}

/// Removes a Pod's directory and everything below it; nothing that is mounted there.
pub(super) fn remove_directory(directory: &PodDirectory) -> std::io::Result<()> {
    // A removal that came upon a mount would empty what is mounted: away with all of them first.
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
    for mount in mounts_below(&mountinfo, directory.path()) {
        rustix::mount::unmount(mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    }
    match std::fs::remove_dir_all(directory.path()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The mount points below a directory in the text of `/proc/self/mountinfo`, the last mounted first.
fn mounts_below<'a>(mountinfo: &'a str, directory: &Path) -> Vec<&'a Path> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    let mut below: Vec<_> = points.filter(|point| point.starts_with(directory)).collect();
    below.reverse();
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_taken_off_in_the_reverse_order() {
        let text = "\
1 0 0:1 / / rw - ext4 x rw
2 1 0:2 / /pods/uid/shm rw - tmpfs x rw
3 1 0:3 / /pods/uid-2/shm rw - tmpfs x rw
4 2 0:4 / /pods/uid/shm/inner rw - tmpfs x rw
";
        let below = mounts_below(text, Path::new("/pods/uid"));
        assert_eq!(below, [Path::new("/pods/uid/shm/inner"), Path::new("/pods/uid/shm")]);
    }
}
