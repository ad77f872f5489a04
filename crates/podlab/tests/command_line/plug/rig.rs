//! A cluster to be killed: its processes by their part, its objects, and waiting for what must happen.
//!
//! Everything waits for an event: a change in the state directory (inotify), or in the API (watch). Nothing sleeps.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use podlab_client::{Client, DeleteOptions, Error, ListOptions, Object, WatchEvent};
use podlab_testkit::{Cluster, DEADLINE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

/// A process of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Machine,
    ControlPlane,
    Fabric,
    Janitor,
    NodeInit,
    Kubelet,
    Supervisor,
}

pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Rig {
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::of(Cluster::start())
    }

    /// Around a cluster that runs.
    pub(crate) fn of(cluster: Cluster) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // The address and the key stay the same over all restarts.
        let client = Client::from_kubeconfig(cluster.kubeconfig()).unwrap();
        Self { cluster, runtime, client }
    }

    /// The processes of a part that run now.
    pub(crate) fn pids(&self, part: Part) -> Vec<i32> {
        let recorded = |name: &str| {
            let pid = self.cluster.record()?.pointer(&format!("/{name}/pid"))?.as_i64()?;
            i32::try_from(pid).ok().filter(|pid| alive(*pid))
        };
        match part {
            Part::Machine => recorded("machine").into_iter().collect(),
            Part::ControlPlane => recorded("control_plane").into_iter().collect(),
            Part::Fabric => recorded("fabric").into_iter().collect(),
            Part::Janitor => recorded("janitor").into_iter().collect(),
            Part::NodeInit => self.node_init().into_iter().collect(),
            Part::Kubelet => self.children_of_init(|command| command.contains("\0kubelet\0")),
            Part::Supervisor => self.children_of_init(|command| command.starts_with("/pause")),
        }
    }

    fn node_init(&self) -> Option<i32> {
        let text = std::fs::read(self.cluster.directory().join("run/fabric.json")).ok()?;
        let running: Value = serde_json::from_slice(&text).ok()?;
        let pid = running.pointer("/nodes/0/init/pid")?.as_i64()?;
        i32::try_from(pid).ok().filter(|pid| alive(*pid))
    }

    fn children_of_init(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<i32> {
        let Some(init) = self.node_init() else { return Vec::new() };
        let text = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap_or_default();
        let children = text.split_whitespace().filter_map(|pid| pid.parse().ok());
        children.filter(|pid| alive(*pid) && is_wanted(&command(*pid))).collect()
    }

    /// Waits until no process is left that carries `marker` in its arguments.
    #[track_caller]
    pub(crate) fn until_ended(&self, marker: &str) {
        let end = Instant::now() + DEADLINE;
        while let Some(pid) = with_marker(marker).next() {
            let Ok(process) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else { continue };
            let timeout = Timespec::try_from(end.saturating_duration_since(Instant::now())).unwrap();
            let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout));
            assert_ne!(ended, Ok(0), "process {pid} of {marker} does not end\n{}", self.cluster.logs());
        }
    }

    /// Waits until the state directory satisfies `holds`, looking again each time something in it is replaced.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, mut holds: impl FnMut(&Self) -> Option<T>) -> T {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        let directory = self.cluster.directory();
        // Records are moved into place; a kubelet makes its socket.
        let changes = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CREATE;
        for place in [directory.clone(), directory.join("run"), directory.join("nodes/node1")] {
            inotify::add_watch(&watch, place, changes).unwrap();
        }
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(value) = holds(self) {
                return value;
            }
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap();
            let ready = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&timeout));
            assert_ne!(ready, Ok(0), "still waiting for {what}\n{}", self.cluster.logs());
            let _ = rustix::io::read(&watch, &mut [0_u8; 4096]);
        }
    }

    /// Waits until `left` finds nothing, looking again each time something is taken out of `place`.
    #[track_caller]
    pub(crate) fn until_changed<T: std::fmt::Debug>(&self, what: &str, place: &Path, left: impl Fn() -> Vec<T>) {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&watch, place, inotify::WatchFlags::DELETE).unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            let found = left();
            if found.is_empty() {
                return;
            }
            let timeout = Timespec::try_from(end.saturating_duration_since(Instant::now())).unwrap();
            let ready = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&timeout));
            assert_ne!(ready, Ok(0), "still waiting for {what}: {found:#?}\n{}", self.cluster.logs());
            let _ = rustix::io::read(&watch, &mut [0_u8; 4096]);
        }
    }

    /// Waits until every part runs and the control plane serves.
    #[track_caller]
    pub(crate) fn until_all_run(&self) {
        self.until("all parts to run", |rig| {
            let parts = [Part::Machine, Part::ControlPlane, Part::Fabric, Part::Janitor, Part::NodeInit, Part::Kubelet];
            let run = parts.iter().all(|part| !rig.pids(*part).is_empty());
            (run && rig.serves()).then_some(())
        });
    }

    /// Whether the control plane that serves is the one that runs.
    fn serves(&self) -> bool {
        !self.pids(Part::ControlPlane).is_empty()
            && self.cluster.record().is_some_and(|record| record["server"].is_string())
    }

    /// Asks the API, and again as long as nobody answers because nobody runs.
    #[track_caller]
    pub(crate) fn api<T, F: Future<Output = Result<T, Error>>>(&self, ask: impl Fn(Client) -> F) -> Result<T, Error> {
        let end = Instant::now() + DEADLINE;
        loop {
            self.until("the API server", |rig| rig.serves().then_some(()));
            match self.runtime.block_on(ask(self.client.clone())) {
                Err(Error::Transport { .. }) if Instant::now() < end => {}
                answer => return answer,
            }
        }
    }

    /// Asks the API once.
    pub(crate) fn attempt<T, F: Future<Output = Result<T, Error>>>(
        &self,
        ask: impl FnOnce(Client) -> F,
    ) -> Result<T, Error> {
        self.runtime.block_on(ask(self.client.clone()))
    }

    /// Creates an object; when this returns, that has been acknowledged.
    #[track_caller]
    pub(crate) fn create<K: Object>(&self, object: &Value) {
        let object: K = serde_json::from_value(object.clone()).unwrap();
        let object = &object;
        match self.api(|client| async move { client.create(object).await }) {
            // The answer to an earlier attempt was lost, not the object.
            Err(error) if error.is_conflict() => {}
            answer => drop(answer.unwrap()),
        }
    }

    /// Deletes a Pod with this grace period; when this returns, that has been acknowledged.
    #[track_caller]
    pub(crate) fn delete(&self, name: &str, grace: i64) {
        let answer = self.api(|client| async move {
            client.delete::<Pod>("default", name, &DeleteOptions::default().grace(grace)).await
        });
        match answer {
            Err(error) if error.is_not_found() => {}
            answer => drop(answer.unwrap()),
        }
    }

    /// Waits until a Pod (or its absence) satisfies `holds`.
    #[track_caller]
    pub(crate) fn until_pod<T>(&self, name: &str, holds: impl Fn(Option<&Pod>) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        let mut last = None;
        while Instant::now() < end {
            last = match self.api(|client| async move { client.get::<Pod>("default", name).await }) {
                Ok(pod) => Some(pod),
                Err(error) if error.is_not_found() => None,
                Err(error) => panic!("{error}"),
            };
            if let Some(value) = holds(last.as_ref()) {
                return value;
            }
            let mut from = ListOptions::default().fields(format!("metadata.name={name}"));
            from.resource_version = last.as_ref().and_then(|pod| pod.metadata.resource_version.clone());
            let left = end.saturating_duration_since(Instant::now());
            // Whatever ends the watch (the server was killed, say), the next look at the Pod decides.
            if let Some(value) = self.runtime.block_on(self.watch(&from, left, &holds)) {
                return value;
            }
        }
        panic!("pod {name} is still {last:#?}\n{}", self.cluster.logs());
    }

    async fn watch<T>(
        &self,
        from: &ListOptions,
        limit: Duration,
        holds: &impl Fn(Option<&Pod>) -> Option<T>,
    ) -> Option<T> {
        let followed = async {
            let mut watch = self.client.watch::<Pod>("default", from).await.ok()?;
            loop {
                let value = match watch.next().await.ok()?? {
                    WatchEvent::Added(pod) | WatchEvent::Modified(pod) => holds(Some(&pod)),
                    WatchEvent::Deleted(_) => holds(None),
                    WatchEvent::Bookmark { .. } => None,
                };
                if value.is_some() {
                    return value;
                }
            }
        };
        tokio::time::timeout(limit, followed).await.ok().flatten()
    }

    /// Waits until a Pod is Ready.
    #[track_caller]
    pub(crate) fn until_ready(&self, name: &str) -> Pod {
        self.until_pod(name, |pod| pod.filter(|pod| is_ready(pod)).cloned())
    }

    #[track_caller]
    pub(crate) fn until_gone(&self, name: &str) {
        self.until_pod(name, |pod| pod.is_none().then_some(()));
    }

    /// A Pod's directory on its node.
    pub(crate) fn pod_directory(&self, pod: &Pod) -> PathBuf {
        self.cluster.directory().join("nodes/node1/pods").join(pod.uid())
    }

    /// The messages that a container's attempts have written, attempt by attempt.
    pub(crate) fn logs(&self, pod: &Pod, container: &str) -> Vec<Vec<String>> {
        let folder = self.pod_directory(pod).join("logs").join(container);
        let texts = (0..).map_while(|attempt| std::fs::read_to_string(folder.join(format!("{attempt}.log"))).ok());
        // TIME STREAM TAG MESSAGE
        let message = |line: &str| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned();
        texts.map(|text| text.lines().map(message).collect()).collect()
    }
}

/// How many processes on this machine carry `marker` in their arguments.
pub(crate) fn processes_with(marker: &str) -> usize {
    with_marker(marker).count()
}

fn with_marker(marker: &str) -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(move |pid| command(*pid).contains(marker) && alive(*pid))
}

/// Ends a process the hard way, and waits until it has ended. One that has ended already is as good.
pub(crate) fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).unwrap();
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let _ = pidfd_send_signal(&process, Signal::KILL);
    // The signal is sent when the call returns; a busy machine takes its time to act on it.
    let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], None);
}

/// Whether a process runs: one that has ended and was not reaped does not.
pub(crate) fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn command(pid: i32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).into_owned()
}

/// Ready, and not on its way out.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    pod.metadata.deletion_timestamp.is_none() && ready.any(|condition| condition.status == "True")
}

pub(crate) fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum()
}
