//! One task a Pod: decide, act, report, wait for news.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use podlab_client::events::{EventType, reference};
use podlab_client::{DeleteOptions, Patch};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::containers::grace;
use super::decide::{Action, Decision, StopReason, decide};
use super::observed::{BackOffKey, HeldUp, Observed, RunningMemory, Task, later};
use super::status::{self, ERROR_SHOWN};
use super::tasks::{self, Outcome};
use super::{Shared, configure, spec};
use crate::backend::{Backend, ContainerId, Exit, PodState, ProbeOutcome};
use crate::clock::Clock;
use crate::probes::{Kind, ProbeState, Timing};

/// How long a configuration that cannot be met waits for its next try; a real kubelet tries with each sync.
const CONFIG_RETRY: Duration = Duration::from_secs(10);

/// SIGKILL cannot be refused, but a signal can be lost with its supervisor: how long until it is sent once more.
const KILL_AGAIN: Duration = Duration::from_secs(2);

/// How long until a report that did not reach the API server is tried again.
const REPORT_RETRY: Duration = Duration::from_secs(1);

/// What reaches a worker from outside.
pub(super) enum News {
    Changed(Arc<Pod>),
    /// The API has no such Pod any more, whatever runs here.
    Gone,
    Exited(ContainerId, Exit),
    /// The supervisor is gone.
    Died,
    /// What the backend has now, after events were lost.
    Found(PodState),
}

/// The task of a Pod.
pub(super) struct Worker<B, C> {
    shared: Arc<Shared<B, C>>,
    pod: Arc<Pod>,
    seen: Observed,
    /// The API has forgotten the Pod: nobody is told how it ends.
    gone: bool,
    jobs: JoinSet<(Task, Outcome)>,
    report: JoinSet<Result<(), podlab_client::Error>>,
    /// What the API server was told last, and what it is being told now.
    told: Option<PodStatus>,
    telling: Option<PodStatus>,
    retry_report: Option<Timestamp>,
    /// Waits that an event has told of already.
    announced: BTreeSet<(String, String)>,
}

impl<B: Backend, C: Clock> Worker<B, C> {
    pub(super) fn new(shared: Arc<Shared<B, C>>, pod: Arc<Pod>, state: Option<PodState>, gone: bool) -> Self {
        let mut seen = Observed { sandbox: state, ..Observed::default() };
        // What a former kubelet had set up is there.
        seen.memory.volumes.ready = seen.alive();
        let mut worker = Self {
            shared,
            told: pod.status.clone(),
            pod,
            seen,
            gone,
            jobs: JoinSet::new(),
            report: JoinSet::new(),
            telling: None,
            retry_report: None,
            announced: BTreeSet::new(),
        };
        if gone {
            worker.mark_gone();
        }
        worker.remember_running(true);
        worker
    }

    /// Runs until nothing of the Pod is left.
    pub(super) async fn run(mut self, mut news: mpsc::Receiver<News>) {
        let mut open = true;
        while !self.over() {
            let now = self.shared.clock.now();
            let decision = decide(&self.pod, &self.seen, now);
            self.announce_waits(now);
            self.report_status(now);
            let wake = [decision.wake, self.retry_report].into_iter().flatten().min();
            self.act(decision, now);
            if self.over() {
                break;
            }
            let clock = Arc::clone(&self.shared.clock);
            tokio::select! {
                message = news.recv(), if open => match message {
                    Some(message) => {
                        self.hear(message);
                        while let Ok(message) = news.try_recv() {
                            self.hear(message);
                        }
                    }
                    None => open = false,
                },
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => self.finish(done),
                Some(done) = self.report.join_next(), if !self.report.is_empty() => self.reported(done),
                () = wait_until(&*clock, wake) => {}
            }
        }
        self.shared.board.remove(&self.pod);
    }

    /// Nothing is left here, and nobody waits to be told.
    fn over(&self) -> bool {
        self.gone && self.seen.sandbox.is_none() && self.jobs.is_empty()
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Changed(pod) => self.pod = pod,
            News::Gone => {
                self.gone = true;
                self.mark_gone();
            }
            News::Exited(id, exit) => {
                let containers = self.seen.sandbox.iter_mut().flat_map(|sandbox| &mut sandbox.containers);
                for container in containers.filter(|container| container.id == id) {
                    container.exit.get_or_insert(exit.clone());
                }
            }
            News::Died => self.died(),
            News::Found(state) => self.seen.sandbox = Some(state),
        }
        self.remember_running(false);
    }

    /// The supervisor is gone, and its containers with it.
    fn died(&mut self) {
        let now = self.shared.clock.now();
        let Some(sandbox) = &mut self.seen.sandbox else { return };
        sandbox.alive = false;
        for container in &mut sandbox.containers {
            let message = String::new();
            let killed = Exit { code: 137, signal: Some(9), finished_at: now, oom_killed: false, message };
            container.exit.get_or_insert(killed);
        }
    }

    /// A Pod that the API has forgotten ends like one that was deleted, and soon.
    fn mark_gone(&mut self) {
        let mut pod = (*self.pod).clone();
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.shared.clock.now());
        pod.metadata.deletion_timestamp.get_or_insert(now);
        let grace = pod.metadata.deletion_grace_period_seconds.get_or_insert(1);
        *grace = (*grace).min(1);
        self.pod = Arc::new(pod);
        let kill_at = later(self.shared.clock.now(), Duration::from_secs(1));
        for memory in self.seen.memory.running.values_mut() {
            memory.kill_at = memory.kill_at.map(|time| time.min(kill_at));
        }
    }

    /// Keeps a memory for each running container and for no other. Hooks of containers that were found running were
    /// run by whoever started them.
    fn remember_running(&mut self, adopted: bool) {
        let Some(sandbox) = &self.seen.sandbox else { return };
        let memory = &mut self.seen.memory;
        for state in sandbox.containers.iter().filter(|state| state.exit.is_none() && sandbox.alive) {
            memory.running.entry(state.id.clone()).or_insert_with(|| {
                let container = spec::container(&self.pod, &state.name).map(|(_, container)| container);
                let kinds = [Kind::Startup, Kind::Readiness, Kind::Liveness];
                let probes = kinds
                    .into_iter()
                    .filter(|kind| container.is_some_and(|container| kind.of(container).is_some()))
                    .map(|kind| (kind, ProbeState::new(state.started_at)))
                    .collect();
                RunningMemory { probes, post_started: adopted, ..RunningMemory::default() }
            });
        }
        let running: Vec<ContainerId> =
            sandbox.containers.iter().filter(|state| state.exit.is_none()).map(|state| state.id.clone()).collect();
        memory.keep_only(running.iter());
    }

    fn act(&mut self, decision: Decision, now: Timestamp) {
        for action in decision.actions {
            match action {
                Action::SetUpVolumes => {
                    let work = tasks::set_up_volumes(Arc::clone(&self.shared), Arc::clone(&self.pod), self.address());
                    self.begin(Task::Volumes, work);
                }
                Action::CreateSandbox => {
                    let work = tasks::create_sandbox(Arc::clone(&self.shared), Arc::clone(&self.pod));
                    self.begin(Task::Sandbox, work);
                }
                Action::Start { container, attempt } => self.start(container, attempt),
                Action::PostStart { container, id } => {
                    let shared = Arc::clone(&self.shared);
                    let work = tasks::post_start(shared, Arc::clone(&self.pod), container, id.clone());
                    self.begin(Task::PostStart(id), work);
                }
                Action::Stop { container, id, why } => self.stop(container, id, why, now),
                Action::Kill { container: _, id } => {
                    if let Some(memory) = self.seen.memory.running.get_mut(&id) {
                        memory.kill_at = Some(later(now, KILL_AGAIN));
                    }
                    let work = tasks::kill(Arc::clone(&self.shared), self.uid(), id.clone());
                    self.begin(Task::Kill(id), work);
                }
                Action::Probe { container, id, kind } => {
                    if let Some(probe) =
                        self.seen.memory.running.get_mut(&id).and_then(|memory| memory.probes.get_mut(&kind))
                    {
                        probe.last = Some(now);
                    }
                    let shared = Arc::clone(&self.shared);
                    let work = tasks::probe(shared, Arc::clone(&self.pod), container, id.clone(), kind);
                    self.begin(Task::Probe(id, kind), work);
                }
                Action::StopSandbox => {
                    self.begin(Task::Sandbox, tasks::stop_sandbox(Arc::clone(&self.shared), self.uid()));
                }
                Action::RemoveSandbox => {
                    self.begin(Task::Sandbox, tasks::remove_sandbox(Arc::clone(&self.shared), self.uid()));
                }
                Action::ConfirmDeletion => self.confirm(),
            }
        }
    }

    fn begin(&mut self, task: Task, work: impl Future<Output = Outcome> + Send + 'static) {
        if self.seen.memory.tasks.insert(task.clone()) {
            self.jobs.spawn(async move { (task, work.await) });
        }
    }

    fn start(&mut self, container: String, attempt: u32) {
        let ended = self.seen.latest(&self.pod, &container).and_then(|latest| latest.end);
        if let Some(end) = ended {
            self.seen.memory.lengthen(BackOffKey::Restart(container.clone()), end.exit.finished_at);
        }
        let shared = Arc::clone(&self.shared);
        let work = tasks::start(shared, Arc::clone(&self.pod), self.address(), container.clone(), attempt);
        self.begin(Task::Start(container), work);
    }

    fn stop(&mut self, container: String, id: ContainerId, why: StopReason, now: Timestamp) {
        let found = spec::container(&self.pod, &container).map(|(_, container)| container.clone());
        let grace = grace(&self.pod, found.as_ref(), &why);
        if let Some(memory) = self.seen.memory.running.get_mut(&id) {
            memory.kill_at = Some(later(now, grace));
        }
        let text = match why {
            StopReason::PodEnds => format!("Stopping container {container}"),
            StopReason::Unhealthy(kind) => {
                format!("Container {container} failed {} probe, will be restarted", kind.lower())
            }
        };
        self.event(Some(&container), EventType::Normal, "Killing", &text);
        let signal = self.seen.memory.images.get(&container).and_then(|image| image.stop_signal);
        let work = tasks::stop(Arc::clone(&self.shared), Arc::clone(&self.pod), found, id.clone(), grace, signal);
        self.begin(Task::Stop(id), work);
    }

    /// The last word: only after the API server knows how the containers have ended.
    fn confirm(&mut self) {
        if self.gone || self.telling.is_some() || self.retry_report.is_some() {
            return;
        }
        let pod = Arc::clone(&self.pod);
        let client = self.shared.client.clone();
        self.begin(Task::Confirm, async move {
            let options = DeleteOptions {
                grace_period_seconds: Some(0),
                uid: pod.metadata.uid.clone(),
                ..DeleteOptions::default()
            };
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let deleted = client.delete::<Pod>(pod.metadata.namespace.as_deref(), name, &options).await;
            Outcome::Confirmed(deleted.map(drop))
        });
    }

    fn finish(&mut self, done: Result<(Task, Outcome), tokio::task::JoinError>) {
        let now = self.shared.clock.now();
        let Ok((task, outcome)) = done else {
            // A job that panicked: what it was doing is decided again, from what the backend then has.
            tracing::error!(pod = %status::full_name(&self.pod), "a task of this Pod has failed");
            self.seen.memory.tasks.clear();
            return;
        };
        self.seen.memory.tasks.remove(&task);
        let memory = &mut self.seen.memory;
        match outcome {
            Outcome::Done => {}
            Outcome::VolumesReady => memory.volumes_done(now),
            Outcome::VolumesFailed(text) => {
                memory.volumes_failed(now);
                self.event(None, EventType::Warning, "FailedMount", &text);
            }
            Outcome::SandboxReady(state) => {
                memory.sandbox_retry = None;
                self.seen.sandbox = Some(state);
            }
            Outcome::SandboxFailed(text) => {
                memory.sandbox_retry = Some(later(now, CONFIG_RETRY));
                let text = format!("Failed to create pod sandbox: {text}");
                self.event(None, EventType::Warning, "FailedCreatePodSandBox", &text);
            }
            Outcome::SandboxStopped => {
                if let Some(sandbox) = &mut self.seen.sandbox {
                    sandbox.alive = false;
                }
            }
            Outcome::SandboxRemoved => self.seen.sandbox = None,
            Outcome::Started { image, state } => {
                memory.held_up.remove(&state.name);
                memory.back_offs.remove(&BackOffKey::Image(state.name.clone()));
                memory.images.insert(state.name.clone(), image);
                if let Some(sandbox) = &mut self.seen.sandbox
                    && sandbox.containers.iter().all(|known| known.id != state.id)
                {
                    sandbox.containers.push(state);
                }
            }
            Outcome::HeldUp { container, reason, message } => self.hold_up(container, reason, message, now),
            Outcome::StartFailed { failed, image } => {
                memory.held_up.remove(&failed.container);
                memory.images.insert(failed.container.clone(), image);
                memory
                    .failed_starts
                    .retain(|known| known.container != failed.container || known.attempt + 1 == failed.attempt);
                memory.failed_starts.push(failed);
            }
            Outcome::PostStarted(id, ended) => {
                if let Some(memory) = memory.running.get_mut(&id) {
                    memory.post_started = ended;
                    if !ended {
                        memory.kill_at = Some(now);
                    }
                }
            }
            Outcome::Probed { container, id, kind, outcome } => self.probed(&container, &id, kind, outcome),
            Outcome::Confirmed(Ok(())) => self.gone = true,
            Outcome::Confirmed(Err(error)) if error.is_not_found() || error.is_conflict() => self.gone = true,
            Outcome::Confirmed(Err(error)) => {
                tracing::warn!(%error, "the end of a Pod could not be confirmed");
                self.retry_report = Some(later(now, REPORT_RETRY));
            }
        }
        self.remember_running(false);
    }

    fn hold_up(&mut self, container: String, reason: String, message: String, now: Timestamp) {
        let wait = if reason.starts_with("ErrImage") || reason == "InvalidImageName" {
            self.seen.memory.lengthen(BackOffKey::Image(container.clone()), now)
        } else {
            CONFIG_RETRY
        };
        let held_up = HeldUp { reason, message, since: now, until: later(now, wait) };
        self.announced.retain(|(known, _)| *known != container);
        self.seen.memory.held_up.insert(container, held_up);
    }

    fn probed(&mut self, container: &str, id: &ContainerId, kind: Kind, outcome: ProbeOutcome) {
        let Some(timing) =
            spec::container(&self.pod, container).and_then(|(_, container)| kind.of(container)).map(Timing::of)
        else {
            return;
        };
        let Some(memory) = self.seen.memory.running.get_mut(id) else { return };
        let Some(probe) = memory.probes.get_mut(&kind) else { return };
        let success = outcome == ProbeOutcome::Success;
        let decided = probe.record(success, &timing);
        if decided && !success && kind != Kind::Readiness {
            memory.condemned = Some(kind);
        }
        if let ProbeOutcome::Failure(text) = outcome {
            let text = format!("{} probe failed: {text}", kind.title());
            self.event(Some(container), EventType::Warning, "Unhealthy", &text);
        }
    }

    /// Events for waits that have just begun.
    fn announce_waits(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        for (container, held_up) in &self.seen.memory.held_up {
            if held_up.reason == "ErrImagePull" && later(held_up.since, ERROR_SHOWN) <= now && held_up.until > now {
                due.push((container.clone(), "image".to_owned()));
            }
        }
        for (_, container) in spec::all_containers(&self.pod) {
            let Some(latest) = self.seen.latest(&self.pod, &container.name) else { continue };
            let Some(end) = &latest.end else { continue };
            let until =
                self.seen.memory.waits_until(&BackOffKey::Restart(container.name.clone()), end.exit.finished_at);
            let restarts = spec::restarts(&self.pod, end.exit.code) && self.pod.metadata.deletion_timestamp.is_none();
            let named = later(end.exit.finished_at, ERROR_SHOWN) <= now;
            if restarts && named && until.is_some_and(|until| until > now) {
                due.push((container.name.clone(), latest.id));
            }
        }
        for wait in due {
            if !self.announced.insert(wait.clone()) {
                continue;
            }
            let (container, what) = wait;
            if what == "image" {
                let image = spec::container(&self.pod, &container)
                    .and_then(|(_, container)| container.image.clone())
                    .unwrap_or_default();
                let text = format!("Back-off pulling image \"{image}\"");
                self.event(Some(&container), EventType::Normal, "BackOff", &text);
                self.event(Some(&container), EventType::Warning, "Failed", "Error: ImagePullBackOff");
            } else {
                let text =
                    format!("Back-off restarting failed container {container} in pod {}", status::full_name(&self.pod));
                self.event(Some(&container), EventType::Warning, "BackOff", &text);
            }
        }
    }

    fn event(&self, container: Option<&str>, event_type: EventType, reason: &str, text: &str) {
        let mut object = reference(&*self.pod);
        object.field_path = container.map(|container| configure::field_path(&self.pod, container));
        self.shared.recorder.event(&object, event_type, reason, text);
    }

    /// Tells the API server the status, when it is another than it was told before.
    fn report_status(&mut self, now: Timestamp) {
        if self.gone {
            return;
        }
        let status = status::status(&self.pod, &self.seen, &self.shared.facts, now);
        let mut pod = (*self.pod).clone();
        pod.status = Some(status.clone());
        self.shared.board.put(pod);
        if self.retry_report.is_some_and(|retry| retry > now) || self.telling.is_some() {
            return;
        }
        self.retry_report = None;
        if self.told.as_ref() == Some(&status) {
            return;
        }
        let body = patch(&self.pod, &status);
        self.telling = Some(status);
        let (client, pod) = (self.shared.client.clone(), Arc::clone(&self.pod));
        self.report.spawn(async move {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let namespace = pod.metadata.namespace.as_deref();
            client.patch::<Pod>(namespace, name, &Patch::Merge(body), Some("status")).await.map(drop)
        });
    }

    fn reported(&mut self, done: Result<Result<(), podlab_client::Error>, tokio::task::JoinError>) {
        let telling = self.telling.take();
        match done {
            Ok(Ok(())) => self.told = telling,
            // The Pod is gone, or is another one: the cache will say so.
            Ok(Err(error)) if error.is_not_found() || error.is_conflict() => self.told = telling,
            Ok(Err(error)) => {
                tracing::warn!(%error, pod = %status::full_name(&self.pod), "a status could not be written");
                self.retry_report = Some(later(self.shared.clock.now(), REPORT_RETRY));
            }
            Err(_) => self.retry_report = Some(later(self.shared.clock.now(), REPORT_RETRY)),
        }
    }

    fn uid(&self) -> String {
        self.pod.metadata.uid.clone().unwrap_or_default()
    }

    fn address(&self) -> String {
        self.seen.sandbox.as_ref().map(|sandbox| sandbox.ip.clone()).unwrap_or_default()
    }
}

/// A merge patch: lists are replaced as a whole, and what has no value any more is taken out by `null`.
fn patch(pod: &Pod, status: &PodStatus) -> Value {
    let mut status = json!(status);
    if let Some(fields) = status.as_object_mut() {
        for name in ["reason", "message"] {
            fields.entry(name).or_insert(Value::Null);
        }
    }
    json!({"metadata": {"uid": pod.metadata.uid}, "status": status})
}

async fn wait_until<C: Clock>(clock: &C, time: Option<Timestamp>) {
    match time {
        Some(time) => clock.sleep_until_time(time).await,
        None => std::future::pending().await,
    }
}
