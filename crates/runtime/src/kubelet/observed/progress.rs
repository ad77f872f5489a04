//! How what is known changes when actions begin and end.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{Hook, Observed, Sandbox, Stop, about, lost};
use crate::backend::{Exit, Image, PodState, ProbeOutcome};
use crate::kubelet::decide::{Action, Ending};
use crate::kubelet::events::{self, Told};
use crate::kubelet::restart::BackOff;
use crate::kubelet::{decide, members, restart};

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
        // Nothing ran in them any more; what there is to know is known when the action has ended.
        if self.is_taken_down() {
            return Vec::new();
        }
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
        if self.ending.is_some() {
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
}
