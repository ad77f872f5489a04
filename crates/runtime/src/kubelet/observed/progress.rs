//! How what is known changes when actions begin and end.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{ContainerRecord, Hook, ImageRecord, Observed, Run, Sandbox, Stop, Waiting, about, lost, probers};
use crate::backend::{Exit, Image, PodState, ProbeOutcome};
use crate::kubelet::decide::{Action, Ending, StopReason};
use crate::kubelet::events::{self, Told};
use crate::kubelet::restart::BackOff;
use crate::kubelet::{decide, members, restart};
use crate::probes::Kind;

/// What came of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    Ok,
    Failed(String),
    /// The volume is set up; when a token in it is to be renewed.
    Volume {
        renew_at: Option<Timestamp>,
    },
    /// The Pod's namespaces are made.
    Pod(PodState),
    /// What the store has under the reference.
    Image(Option<Image>),
    /// The image was brought into the store, in so much time.
    Pulled(Image, std::time::Duration),
    /// The container was not started: reason and message of its status.
    NotStarted(&'static str, String),
    Probed(ProbeOutcome),
}

impl Observed {
    /// An action begins.
    pub fn begin(&mut self, pod: &Pod, action: &Action, now: Timestamp) -> Vec<Told> {
        self.retries.remove(action);
        if action.is_effect() {
            self.busy.insert(action.clone());
        }
        match action {
            Action::End(ending) => {
                if let Ending::Failed { reason, message, .. } = ending {
                    self.failure = Some(((*reason).to_owned(), message.clone()));
                }
                if let Ending::Rejected { reason, message } = ending {
                    self.failure = Some(((*reason).to_owned(), format!("Pod was rejected: {message}")));
                    self.rejected = true;
                }
                self.ending = Some((ending.clone(), now));
                ending.event().map(|event| Told { field_path: None, event }).into_iter().collect()
            }
            Action::PullImage { container } => {
                let image = members::find(pod, container).and_then(|member| member.spec.image.clone());
                vec![about(pod, container, events::pulling(&image.unwrap_or_default()))]
            }
            Action::WaitForImage { container } => self.wait_for_image(pod, container, now),
            Action::WaitForRestart { container } => self.wait_for_restart(pod, container, now),
            Action::SetUpVolume { volume } => {
                self.volumes.entry(volume.clone()).or_default().stale = false;
                Vec::new()
            }
            Action::Start { container, attempt } => {
                let record = self.containers.entry(container.clone()).or_default();
                record.starting = Some((*attempt, now));
                if record.run.as_ref().is_some_and(|run| run.replaced) {
                    record.back_off = BackOff::default();
                } else if let Some(since) = record.trouble() {
                    record.back_off.step(since, now);
                }
                Vec::new()
            }
            Action::Stop { container, reason, grace } => {
                let member = members::find(pod, container);
                let hook = member.as_ref().and_then(|member| member.spec.lifecycle.as_ref()?.pre_stop.as_ref());
                let pre_stop = if hook.is_some() && *grace > 0 { Hook::Due } else { Hook::None };
                let stop = Stop { reason: *reason, since: now, grace: *grace, pre_stop, asked: None, killed: false };
                let record = self.containers.entry(container.clone()).or_default();
                // A shorter grace does not run the hook or send the first signal again.
                record.stop = Some(match &record.stop {
                    Some(before) => Stop { pre_stop: before.pre_stop, asked: before.asked, ..stop },
                    None => stop,
                });
                vec![about(pod, container, events::killing(container, *reason))]
            }
            _ => Vec::new(),
        }
    }

    /// An action has ended. `begun` is when it began.
    pub fn finish(&mut self, pod: &Pod, action: &Action, done: Done, begun: Timestamp, now: Timestamp) -> Vec<Told> {
        self.busy.remove(action);
        match action {
            Action::SetUpVolume { volume } => self.volume(volume, done, now),
            Action::CreatePod => self.sandbox(done, now),
            Action::FindImage { container } => self.found(pod, container, done, now),
            Action::PullImage { container } => self.pulled(pod, container, done, now),
            Action::Start { container, attempt } => self.started(pod, container, *attempt, done, now),
            Action::PostStart { container } => self.post_started(pod, container, done),
            Action::Probe { container, kind } => self.probed(pod, container, *kind, done, begun),
            Action::PreStop { container } => {
                if let Some(stop) = self.stop_of(container) {
                    stop.pre_stop = Hook::Done;
                }
                match done {
                    Done::Failed(_) => vec![about(pod, container, events::pre_stop_failed())],
                    _ => Vec::new(),
                }
            }
            _ => {
                if let Done::Failed(message) = done {
                    tracing::warn!(?action, message, "will be tried again");
                    self.retries.insert(action.clone(), restart::later(now, decide::RETRY));
                } else {
                    self.succeeded(action, now);
                }
                Vec::new()
            }
        }
    }

    /// An action without a result of its own succeeded.
    fn succeeded(&mut self, action: &Action, now: Timestamp) {
        match action {
            Action::Ask { container } => {
                if let Some(stop) = self.stop_of(container) {
                    stop.asked = Some(now);
                }
            }
            Action::Kill { container } => {
                if let Some(stop) = self.stop_of(container) {
                    stop.killed = true;
                }
            }
            Action::Forget { container, attempt } => {
                if let Some(record) = self.containers.get_mut(container) {
                    record.obsolete.remove(attempt);
                }
            }
            Action::StopPod => {
                self.stopped = true;
                if let Some(sandbox) = &mut self.sandbox {
                    sandbox.alive = false;
                }
            }
            Action::RemovePod => self.removed = true,
            Action::DeleteObject => self.forgotten = true,
            _ => {}
        }
    }

    fn stop_of(&mut self, container: &str) -> Option<&mut Stop> {
        self.containers.get_mut(container)?.stop.as_mut()
    }

    /// A container ended.
    pub fn exited(&mut self, pod: &Pod, id: &str, exit: Exit) -> Vec<Told> {
        let starting = self.containers.values().any(|record| record.starting.is_some());
        let run = self.containers.values_mut().find(|record| record.run.as_ref().is_some_and(|run| run.id == id));
        match run {
            Some(record) => record.ended(exit),
            None if starting => drop(self.early_exits.insert(id.to_owned(), exit)),
            None => tracing::debug!(pod = ?pod.metadata.name, id, "a container ended that nobody knows"),
        }
        Vec::new()
    }

    /// The Pod's namespaces are gone, and everything that ran in them.
    pub fn died(&mut self, now: Timestamp) -> Vec<Told> {
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.alive = false;
        }
        for record in self.containers.values_mut() {
            record.starting = None;
            if record.is_running() {
                record.ended(lost(now));
                if let Some(run) = &mut record.run {
                    run.reason = Some("Unknown");
                }
            }
            if let Some(run) = &mut record.run {
                run.stale = true;
            }
        }
        if self.stopped || self.ending.is_some() {
            return Vec::new();
        }
        vec![Told { field_path: None, event: events::sandbox_changed() }]
    }

    /// Events may have been lost: this is what the node has.
    pub fn resync(&mut self, pod: &Pod, state: Option<&PodState>, now: Timestamp) -> Vec<Told> {
        let ended = state.iter().flat_map(|state| &state.containers).filter_map(|found| {
            let exit = found.exit.clone()?;
            Some((found.id.clone(), exit))
        });
        let mut told: Vec<Told> = ended.flat_map(|(id, exit)| self.exited(pod, &id, exit)).collect();
        if self.has_sandbox() && state.is_none_or(|state| !state.alive) {
            told.extend(self.died(now));
        }
        told
    }

    /// An object changed that the volume is made from.
    pub fn volume_changed(&mut self, name: &str) {
        if let Some(record) = self.volumes.get_mut(name) {
            record.stale = true;
            record.retry_at = None;
        }
    }

    fn volume(&mut self, name: &str, done: Done, now: Timestamp) -> Vec<Told> {
        let record = self.volumes.entry(name.to_owned()).or_default();
        if let Done::Failed(message) = done {
            record.failures = record.failures.saturating_add(1);
            record.retry_at = Some(restart::later(now, decide::volumes::retry_after(record.failures)));
            return vec![Told { field_path: None, event: events::failed_mount(name, &message) }];
        }
        if let Done::Volume { renew_at } = done {
            record.renew_at = renew_at;
        }
        record.ready = true;
        record.failures = 0;
        record.retry_at = None;
        Vec::new()
    }

    fn sandbox(&mut self, done: Done, now: Timestamp) -> Vec<Told> {
        match done {
            Done::Pod(state) => {
                self.sandbox = Some(Sandbox { ip: state.ip, alive: state.alive });
                self.sandbox_retry = None;
                Vec::new()
            }
            Done::Failed(message) => {
                self.sandbox_retry = Some(restart::later(now, decide::RETRY));
                vec![Told { field_path: None, event: events::sandbox_failed(&message) }]
            }
            _ => Vec::new(),
        }
    }

    fn found(&mut self, pod: &Pod, container: &str, done: Done, now: Timestamp) -> Vec<Told> {
        let Some(member) = members::find(pod, container) else { return Vec::new() };
        let reference = member.spec.image.clone().unwrap_or_default();
        let never = member.spec.image_pull_policy.as_deref() == Some("Never");
        let record = self.containers.entry(container.to_owned()).or_default();
        match done {
            Done::Image(Some(image)) => {
                record.image = ImageRecord::Ready(image);
                vec![about(pod, container, events::already_present(&reference))]
            }
            Done::Image(None) if never => {
                let message = events::never_pull(&reference);
                record.wait("ErrImageNeverPull", message.clone(), now);
                record.image = ImageRecord::Failed { message: message.clone(), at: now };
                vec![
                    about(pod, container, events::never_pulled(&message)),
                    about(pod, container, events::failed("ErrImageNeverPull")),
                ]
            }
            Done::Image(None) => {
                record.image = ImageRecord::Absent;
                Vec::new()
            }
            Done::NotStarted(reason, message) => {
                record.wait(reason, message.clone(), now);
                record.image = ImageRecord::Failed { message: message.clone(), at: now };
                vec![
                    about(pod, container, events::inspect_failed(&reference, &message)),
                    about(pod, container, events::failed(reason)),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn pulled(&mut self, pod: &Pod, container: &str, done: Done, now: Timestamp) -> Vec<Told> {
        let reference = members::find(pod, container).and_then(|member| member.spec.image.clone()).unwrap_or_default();
        let record = self.containers.entry(container.to_owned()).or_default();
        match done {
            Done::Pulled(image, took) => {
                let event = events::pulled(&reference, took, image.size);
                record.image = ImageRecord::Ready(image);
                vec![about(pod, container, event)]
            }
            Done::Failed(message) => {
                record.image_back_off.step(now, now);
                record.wait("ErrImagePull", message.clone(), now);
                let told = vec![
                    about(pod, container, events::pull_failed(&reference, &message)),
                    about(pod, container, events::failed("ErrImagePull")),
                ];
                record.image = ImageRecord::Failed { message, at: now };
                told
            }
            _ => Vec::new(),
        }
    }

    fn wait_for_image(&mut self, pod: &Pod, container: &str, now: Timestamp) -> Vec<Told> {
        let reference = members::find(pod, container).and_then(|member| member.spec.image.clone()).unwrap_or_default();
        let record = self.containers.entry(container.to_owned()).or_default();
        let ImageRecord::Failed { message, .. } = &record.image else { return Vec::new() };
        let message = format!("{}: ErrImagePull: {message}", events::back_off_pulling_text(&reference));
        record.wait("ImagePullBackOff", message, now);
        vec![
            about(pod, container, events::back_off_pulling(&reference)),
            about(pod, container, events::failed("ImagePullBackOff")),
        ]
    }

    fn wait_for_restart(&mut self, pod: &Pod, container: &str, now: Timestamp) -> Vec<Told> {
        let record = self.containers.entry(container.to_owned()).or_default();
        let Some(exit) = record.exit() else { return Vec::new() };
        let wait = record.back_off.wait(exit.finished_at).unwrap_or_default();
        record.wait("CrashLoopBackOff", events::back_off_text(pod, container, wait), now);
        vec![about(pod, container, events::back_off(pod, container))]
    }

    fn started(&mut self, pod: &Pod, container: &str, attempt: u32, done: Done, now: Timestamp) -> Vec<Told> {
        let id = crate::backend::container_id(&pod.metadata.uid.clone().unwrap_or_default(), container, attempt);
        let early = self.early_exits.remove(&id);
        let Some(member) = members::find(pod, container) else { return Vec::new() };
        let record = self.containers.entry(container.to_owned()).or_default();
        let begun = record.starting.take().map_or(now, |(_, begun)| begun);
        let (image, image_id) = match &record.image {
            ImageRecord::Ready(image) => (full_name(member.spec.image.as_deref()), image.repo_digest.clone()),
            _ => (full_name(member.spec.image.as_deref()), String::new()),
        };
        let run = Run {
            id,
            attempt,
            image,
            image_id,
            started_at: begun,
            exit: None,
            reason: None,
            stale: false,
            replaced: false,
            probed: false,
        };
        match done {
            Done::NotStarted(reason @ "RunContainerError", message) => {
                // A container was made, but its program was not: it counts as a run that ended at once.
                let exit =
                    Exit { code: 128, signal: None, finished_at: now, oom_killed: false, message: message.clone() };
                let run =
                    Run { started_at: Timestamp::UNIX_EPOCH, exit: Some(exit), reason: Some("StartError"), ..run };
                record.begin_run(run);
                record.image = ImageRecord::Unknown;
                record.wait(reason, message.clone(), now);
                vec![about(pod, container, events::created(container)), about(pod, container, events::failed(&message))]
            }
            Done::NotStarted(reason, message) => {
                record.wait(reason, message.clone(), now);
                record.image = ImageRecord::Unknown;
                vec![about(pod, container, events::failed(&message))]
            }
            _ => {
                record.begin_run(run);
                record.waiting = None;
                record.image = ImageRecord::Unknown;
                record.probes = probers(&member.spec, begun);
                let hook = member.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
                record.post_start = if hook.is_some() { Hook::Due } else { Hook::None };
                if let Some(exit) = early {
                    record.ended(exit);
                }
                vec![
                    about(pod, container, events::created(container)),
                    about(pod, container, events::started(container)),
                ]
            }
        }
    }

    fn post_started(&mut self, pod: &Pod, container: &str, done: Done) -> Vec<Told> {
        let record = self.containers.entry(container.to_owned()).or_default();
        let Done::Failed(_) = done else {
            record.post_start = Hook::Done;
            return Vec::new();
        };
        record.post_start = Hook::Failed;
        vec![about(pod, container, events::post_start_failed())]
    }

    fn probed(&mut self, pod: &Pod, container: &str, kind: Kind, done: Done, begun: Timestamp) -> Vec<Told> {
        let Done::Probed(outcome) = done else { return Vec::new() };
        let record = self.containers.entry(container.to_owned()).or_default();
        // The answer may be that of a run that has ended meanwhile.
        let current = record.run.as_ref().is_some_and(|run| run.is_running() && run.started_at <= begun);
        let Some(prober) = record.probes.get_mut(&kind).filter(|_| current) else { return Vec::new() };
        prober.record(outcome == ProbeOutcome::Success, begun);
        match outcome {
            ProbeOutcome::Success => Vec::new(),
            ProbeOutcome::Failure(text) => vec![about(pod, container, events::unhealthy(kind, &text))],
        }
    }
}

impl ContainerRecord {
    /// The newest run has ended.
    fn ended(&mut self, exit: Exit) {
        let replaced = self.is_stopping_for(StopReason::Changed);
        let probed = self.is_stopping_for(StopReason::Liveness) || self.is_stopping_for(StopReason::Startup);
        if let Some(run) = self.run.as_mut().filter(|run| run.exit.is_none()) {
            run.exit = Some(exit);
            run.replaced = replaced;
            run.probed = probed;
        }
        self.probes.clear();
        self.post_start = Hook::None;
        self.stop = None;
        self.waiting = None;
        self.image = ImageRecord::Unknown;
    }

    /// A new run takes the place of the newest.
    fn begin_run(&mut self, run: Run) {
        self.obsolete.extend(self.previous.take().map(|run| run.attempt));
        self.previous = self.run.replace(run);
        self.stop = None;
    }

    fn wait(&mut self, reason: &'static str, message: String, now: Timestamp) {
        let since = match &self.waiting {
            Some(waiting) if waiting.reason == reason => waiting.since,
            _ => now,
        };
        self.waiting = Some(Waiting { reason, message, since, told: now });
    }

    /// Whether the container is being stopped for `reason`.
    #[must_use]
    pub fn is_stopping_for(&self, reason: StopReason) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.reason == reason)
    }
}

/// The full name of an image: `docker.io/library/busybox:1.35`.
pub(in crate::kubelet) fn full_name(reference: Option<&str>) -> String {
    let reference = reference.unwrap_or_default();
    reference.parse::<podlab_images::Reference>().map_or_else(|_| reference.to_owned(), |full| full.to_string())
}
