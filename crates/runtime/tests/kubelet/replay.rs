//! A Pod's life played through by the decisions alone: no server, no node, no threads. What each action comes to is in
//! a script, and time jumps to whatever happens next, so a play of minutes takes no time and is always the same.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use podlab_runtime::backend::{Exit, Image, PodState, ProbeOutcome, container_id};
use podlab_runtime::kubelet::decide::{Action, decide};
use podlab_runtime::kubelet::events::Told;
use podlab_runtime::kubelet::members;
use podlab_runtime::kubelet::observed::{Done, Observed};
use podlab_runtime::kubelet::status;
use podlab_runtime::probes::Kind;
use serde_json::Value;

use super::seconds;

/// When plays begin.
const START: &str = "2026-11-20T18:48:05Z";

/// What the containers of a Pod do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// After how many seconds each ends, and with which code; those that are not here run on.
    pub(crate) ends: BTreeMap<&'static str, (u64, i32)>,
    /// What each writes for its end.
    pub(crate) words: &'static str,
    pub(crate) out_of_memory: bool,
    /// Whom SIGTERM ends, with which code; the others have to be killed.
    pub(crate) polite: BTreeMap<&'static str, i32>,
    /// Reason and message of a start that fails.
    pub(crate) refused: Option<(&'static str, String)>,
    pub(crate) no_image: bool,
    /// Why the volume of this name cannot be set up.
    pub(crate) no_volume: Option<(&'static str, &'static str)>,
    /// Its hooks fail.
    pub(crate) bad_hook: bool,
    /// After how many seconds somebody deletes the Pod.
    pub(crate) deleted: Option<u64>,
    pub(crate) probe: Option<Answer>,
}

/// How a probe of a kind goes at an age in seconds; what it says when it fails.
pub(crate) type Answer = fn(Kind, u64) -> Result<(), &'static str>;

/// What is going to happen.
enum Happening {
    Finished { action: Action, begun: Timestamp, done: Done },
    Exited { id: String, exit: Exit },
    Deleted,
}

pub(crate) struct Play {
    pod: Pod,
    script: Script,
    observed: Observed,
    now: Timestamp,
    coming: BTreeMap<(Timestamp, usize), Happening>,
    count: usize,
    told: Option<PodStatus>,
    /// Every status, in order.
    pub(crate) statuses: Vec<Value>,
    /// Which container every event is about, and its type, reason and message; each once, in the order of the first time.
    pub(crate) events: Vec<(Option<String>, String)>,
    /// What was done to containers, and after how many milliseconds: hooks and signals.
    pub(crate) done: Vec<(i128, String)>,
}

impl Play {
    pub(crate) fn of(pod: Pod, script: Script) -> Self {
        let now = START.parse().unwrap();
        let observed = Observed::restore(&pod, None);
        Self {
            pod,
            script,
            observed,
            now,
            coming: BTreeMap::new(),
            count: 0,
            told: None,
            statuses: Vec::new(),
            events: Vec::new(),
            done: Vec::new(),
        }
    }

    /// Plays for so many seconds.
    pub(crate) fn run(mut self, duration: u64) -> Self {
        let end = self.now + seconds(duration);
        if let Some(after) = self.script.deleted {
            self.later(seconds(after), Happening::Deleted);
        }
        loop {
            let decision = decide(&self.pod, &self.observed, self.now);
            let acted = !decision.actions.is_empty();
            for action in decision.actions {
                let told = self.observed.begin(&self.pod, &action, self.now);
                self.tell(told);
                if action.is_effect() {
                    self.perform(action);
                }
            }
            if acted {
                continue;
            }
            self.look();
            let next = self.coming.first_key_value().map(|((time, _), _)| *time);
            let Some(next) = next.into_iter().chain(decision.wake_at).min().filter(|next| *next <= end) else {
                return self;
            };
            self.now = next.max(self.now);
            while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let told = match entry.remove() {
                    Happening::Finished { action, begun, done } => {
                        self.observed.finish(&self.pod, &action, done, begun, self.now)
                    }
                    Happening::Deleted => {
                        let grace = self.pod.spec.as_ref().unwrap().termination_grace_period_seconds;
                        self.pod.metadata.deletion_timestamp = Some(Time(self.now));
                        self.pod.metadata.deletion_grace_period_seconds = grace;
                        Vec::new()
                    }
                    Happening::Exited { id, exit } => self.observed.exited(&self.pod, &id, exit),
                };
                self.tell(told);
                self.look();
            }
        }
    }

    fn look(&mut self) {
        let status = status::status(&self.pod, &self.observed, self.told.as_ref(), "10.99.0.1", self.now);
        if self.told.as_ref() != Some(&status) {
            self.statuses.push(serde_json::to_value(&status).unwrap());
            self.pod.status = Some(status.clone());
            self.told = Some(status);
        }
    }

    fn tell(&mut self, told: Vec<Told>) {
        for Told { field_path, event } in told {
            let kind = if event.warning { "Warning" } else { "Normal" };
            let event = (field_path, format!("{kind} {} {}", event.reason, event.message.trim_end()));
            if !self.events.contains(&event) {
                self.events.push(event);
            }
        }
    }

    fn later(&mut self, after: Duration, happening: Happening) {
        self.count += 1;
        self.coming.insert((self.now + after, self.count), happening);
    }

    fn perform(&mut self, action: Action) {
        let begun = self.now;
        if let Action::PreStop { container } | Action::Ask { container } | Action::Kill { container } = &action {
            let what = match action {
                Action::PreStop { .. } => "preStop",
                Action::Ask { .. } => "TERM",
                _ => "KILL",
            };
            let start: Timestamp = START.parse().unwrap();
            self.done.push((self.now.duration_since(start).as_millis(), format!("{what} {container}")));
        }
        let done = self.outcome(&action);
        // A signal that is sent has its effect after it was noted.
        self.later(Duration::from_millis(100), Happening::Finished { action, begun, done });
    }

    fn outcome(&mut self, action: &Action) -> Done {
        match action {
            Action::SetUpVolume { volume } => match self.script.no_volume {
                Some((name, why)) if name == volume => Done::Failed(why.to_owned()),
                _ => Done::Volume { renew_at: None },
            },
            Action::CreatePod => Done::Pod(self.sandbox()),
            Action::FindImage { .. } if self.script.no_image => Done::Image(None),
            Action::FindImage { .. } => Done::Image(Some(image())),
            Action::PullImage { container } => {
                let image = members::find(&self.pod, container).and_then(|member| member.spec.image.clone()).unwrap();
                Done::Failed(format!(
                    "rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/{image}\": failed to \
                     resolve reference \"docker.io/{image}\": docker.io/{image}: not found"
                ))
            }
            Action::Start { container, attempt } => {
                if let Some((reason, message)) = &self.script.refused {
                    return Done::NotStarted(reason, message.clone());
                }
                if let Some((after, code)) = self.script.ends.get(container.as_str()).copied() {
                    self.end(container, *attempt, Duration::from_millis(after * 1000 + 150), code);
                }
                Done::Ok
            }
            Action::PostStart { .. } | Action::PreStop { .. } if self.script.bad_hook => {
                Done::Failed("it exited with 1".to_owned())
            }
            Action::Probe { container, kind } => {
                let started = self.observed.container(container).run.as_ref().unwrap().started_at;
                let age = u64::try_from(self.now.duration_since(started).as_secs()).unwrap();
                let said = self.script.probe.map_or(Ok(()), |probe| probe(*kind, age));
                let failed = |text: &str| ProbeOutcome::Failure(text.to_owned());
                Done::Probed(said.map_or_else(failed, |()| ProbeOutcome::Success))
            }
            Action::Ask { container } => {
                if let Some(code) = self.script.polite.get(container.as_str()).copied() {
                    self.end_now(container, code);
                }
                Done::Ok
            }
            Action::Kill { container } => {
                self.end_now(container, 137);
                Done::Ok
            }
            _ => Done::Ok,
        }
    }

    fn end_now(&mut self, container: &str, code: i32) {
        let attempt = self.observed.container(container).run.as_ref().unwrap().attempt;
        self.end(container, attempt, Duration::from_millis(150), code);
    }

    fn end(&mut self, container: &str, attempt: u32, after: Duration, code: i32) {
        let id = container_id(&self.pod.metadata.uid.clone().unwrap(), container, attempt);
        let (finished_at, message) = (self.now + after, self.script.words.to_owned());
        let exit = Exit { code, signal: None, finished_at, oom_killed: self.script.out_of_memory, message };
        self.later(after, Happening::Exited { id, exit });
    }

    fn sandbox(&self) -> PodState {
        PodState {
            uid: self.pod.metadata.uid.clone().unwrap(),
            namespace: "default".to_owned(),
            name: self.pod.metadata.name.clone().unwrap(),
            ip: "10.244.0.2".to_owned(),
            alive: true,
            created_at: self.now,
            containers: Vec::new(),
        }
    }
}

fn image() -> Image {
    Image {
        id: "sha256:0".to_owned(),
        repo_digest: "docker.io/library/busybox@sha256:0".to_owned(),
        size: 1,
        user: String::new(),
        stop_signal: None,
        built_in: true,
    }
}
