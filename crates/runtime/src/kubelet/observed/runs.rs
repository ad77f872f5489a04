//! How what is known of a container's runs changes: they begin, are asked, end, and are waited for.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{ContainerRecord, Done, Hook, ImageRecord, Observed, Run, Waiting, about, full_name, probers};
use crate::backend::{Exit, ProbeOutcome};
use crate::kubelet::decide::StopReason;
use crate::kubelet::events::{self, Told};
use crate::kubelet::members;
use crate::probes::Kind;

impl Observed {
    pub(super) fn wait_for_restart(&mut self, pod: &Pod, container: &str, now: Timestamp) -> Vec<Told> {
        let record = self.containers.entry(container.to_owned()).or_default();
        let Some(exit) = record.exit() else { return Vec::new() };
        let wait = record.back_off.wait(exit.finished_at).unwrap_or_default();
        record.wait("CrashLoopBackOff", events::back_off_text(pod, container, wait), now);
        vec![about(pod, container, events::back_off(pod, container))]
    }

    pub(super) fn started(
        &mut self,
        pod: &Pod,
        container: &str,
        attempt: u32,
        done: Done,
        now: Timestamp,
    ) -> Vec<Told> {
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

    pub(super) fn post_started(&mut self, pod: &Pod, container: &str, done: Done) -> Vec<Told> {
        let record = self.containers.entry(container.to_owned()).or_default();
        let Done::Failed(_) = done else {
            record.post_start = Hook::Done;
            return Vec::new();
        };
        record.post_start = Hook::Failed;
        vec![about(pod, container, events::post_start_failed())]
    }

    pub(super) fn probed(&mut self, pod: &Pod, container: &str, kind: Kind, done: Done, begun: Timestamp) -> Vec<Told> {
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
    pub(super) fn ended(&mut self, exit: Exit) {
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
    pub(super) fn begin_run(&mut self, run: Run) {
        self.obsolete.extend(self.previous.take().map(|run| run.attempt));
        self.previous = self.run.replace(run);
        self.stop = None;
    }

    pub(super) fn wait(&mut self, reason: &'static str, message: String, now: Timestamp) {
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
