//! The loop around the decisions about one Pod.
//!
//! It waits for something to happen (the object changed, a container ended, an action is done, a time has come), puts
//! it into what is known, decides, and starts what was decided. Actions run beside the loop, so a slow one (an image
//! being pulled) never keeps the Pod from being stopped. Nothing is asked for again and again.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use podlab_client::events::{EventType, Recorder};
use podlab_client::{Object, Patch};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::decide::{self, Action, Ending};
use super::effects::{Context, Effects};
use super::events::Told;
use super::observed::{Done, Observed};
use super::status::conditions::OWN;
use super::status::{hold, untold};
use super::table::Table;
use super::{follow, restart, status};
use crate::backend::{Backend, Event, PodState};
use crate::clock::Clock;
use crate::probes::{Prober, Verdict};
use crate::volumes;

/// How many decisions may follow each other without anything happening in between. Never reached; a mistake in the
/// decisions must not spin.
const MAX_ROUNDS: usize = 100;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The object changed.
    Pod(Arc<Pod>),
    /// The object is gone.
    Gone,
    /// Something happened on the node.
    Node(Event),
    /// The node cannot keep the Pod.
    End(Ending),
    /// Events may have been lost: this is what is there.
    Resync(Option<PodState>),
    /// An object changed that volumes may be made from: kind and name.
    Source(follow::Kind, String),
}

/// What runs beside the loop, when it is done.
enum Finished {
    Action { action: Action, begun: Timestamp, done: Done },
    Status { status: Box<PodStatus>, written: Written },
}

/// What came of writing a status.
enum Written {
    Yes {
        version: Option<u64>,
    },
    /// There is no such object any more.
    Gone,
    /// To be tried again.
    No,
}

/// One Pod's loop.
pub struct Worker<B, C> {
    effects: Arc<Effects<B, C>>,
    recorder: Recorder,
    table: Arc<Table>,
    inbox: mpsc::UnboundedReceiver<Input>,
    pod: Arc<Pod>,
    observed: Observed,
    /// The status the API server was last told.
    told: Option<PodStatus>,
    /// The object's revision with that status.
    told_version: Option<u64>,
    /// Whether something has happened that the status may show. Most probes change nothing, and nothing is asked as often.
    status_due: bool,
    writing: bool,
    write_retry: Option<Timestamp>,
    running: JoinSet<Finished>,
    /// True once the Pod is on its way out: nobody waits for its images any more.
    ending: watch::Sender<bool>,
}

impl<B: Backend, C: Clock> Worker<B, C> {
    /// The loop of a Pod, of which the node has `state`, or which it does not take.
    #[must_use]
    pub fn new(
        effects: Arc<Effects<B, C>>,
        recorder: Recorder,
        table: Arc<Table>,
        inbox: mpsc::UnboundedReceiver<Input>,
        pod: Arc<Pod>,
        state: Option<&PodState>,
        rejected: Option<Ending>,
    ) -> Self {
        let observed = Observed::restore(&pod, state);
        let told = pod.status.clone();
        let mut worker = Worker {
            effects,
            recorder,
            table,
            inbox,
            pod,
            observed,
            told,
            told_version: None,
            status_due: true,
            writing: false,
            write_retry: None,
            running: JoinSet::new(),
            ending: watch::Sender::new(false),
        };
        if let Some(ending) = rejected {
            let now = worker.effects.clock.now();
            let told = worker.observed.begin(&worker.pod, &Action::End(ending), now);
            worker.tell(told);
        }
        worker
    }

    /// Runs until nothing is left of the Pod.
    pub async fn run(mut self) {
        loop {
            let wake_at = self.step();
            if self.observed.forgotten && self.observed.removed && self.observed.busy.is_empty() {
                break;
            }
            let clock = Arc::clone(&self.effects.clock);
            tokio::select! {
                input = self.inbox.recv() => match input {
                    Some(input) => self.take(input),
                    // The kubelet ends; what runs on the node goes on.
                    None => return,
                },
                Some(finished) = self.running.join_next() => match finished {
                    Ok(finished) => self.finished(finished),
                    Err(error) => tracing::error!(%error, pod = self.pod.name(), "an action did not end"),
                },
                () = sleep_until(&*clock, wake_at) => {}
            }
            // Whatever else has happened meanwhile is taken into the same decision.
            while let Ok(input) = self.inbox.try_recv() {
                self.take(input);
            }
            while let Some(Ok(finished)) = self.running.try_join_next() {
                self.finished(finished);
            }
        }
        self.table.remove(&self.pod);
    }

    fn take(&mut self, input: Input) {
        self.status_due = true;
        let now = self.effects.clock.now();
        let told = match input {
            Input::Pod(pod) => {
                if pod.metadata.labels != self.pod.metadata.labels
                    || pod.metadata.annotations != self.pod.metadata.annotations
                {
                    self.stale_volumes(|volume| volume.downward_api.is_some() || volume.projected.is_some());
                }
                self.pod = pod;
                self.compare_told();
                Vec::new()
            }
            Input::Gone => {
                // Deleted by force: nobody waits for it, but it still has to go.
                let mut pod = Pod::clone(&self.pod);
                pod.metadata.deletion_timestamp.get_or_insert(Time(now));
                pod.metadata.deletion_grace_period_seconds = Some(0);
                self.pod = Arc::new(pod);
                self.observed.forgotten = true;
                Vec::new()
            }
            Input::End(ending) if self.observed.ending.is_none() => {
                self.observed.begin(&self.pod, &Action::End(ending), now)
            }
            // It is on its way already.
            Input::End(_) => Vec::new(),
            Input::Node(Event::Exited { container, exit, .. }) => self.observed.exited(&self.pod, &container, exit),
            Input::Node(Event::PodDied { .. }) => self.observed.died(now),
            Input::Resync(state) => self.observed.resync(&self.pod, state.as_ref(), now),
            Input::Source(kind, name) => {
                self.stale_volumes(|volume| {
                    let references = volumes::references(volume);
                    match kind {
                        follow::Kind::ConfigMap => references.config_maps.contains(&name),
                        follow::Kind::Secret => references.secrets.contains(&name),
                        follow::Kind::Claim => references.claims.contains(&name),
                    }
                });
                Vec::new()
            }
        };
        self.tell(told);
    }

    /// Somebody else may have written one of the kubelet's conditions (the node's controller does, while the kubelet is
    /// away): then the API server has been told something else than this worker believes.
    fn compare_told(&mut self) {
        let version =
            |pod: &Pod| pod.metadata.resource_version.as_ref().and_then(|version| version.parse::<u64>().ok());
        let Some(status) = self.pod.status.as_ref().filter(|_| !self.writing && version(&self.pod) > self.told_version)
        else {
            return;
        };
        let word = |status: &PodStatus, name: &str| {
            let mut all = status.conditions.iter().flatten();
            all.find(|condition| condition.type_ == name).map(|condition| condition.status.clone())
        };
        let told = self.told.as_ref();
        if OWN.iter().any(|name| told.is_none_or(|told| word(told, name) != word(status, name))) {
            self.told = Some(status.clone());
        }
    }

    /// Has the volumes that `changed` picks brought up to date.
    fn stale_volumes(&mut self, changed: impl Fn(&k8s_openapi::api::core::v1::Volume) -> bool) {
        let pod = Arc::clone(&self.pod);
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).filter(|volume| changed(volume)) {
            self.observed.volume_changed(&volume.name);
        }
    }

    fn finished(&mut self, finished: Finished) {
        let now = self.effects.clock.now();
        match finished {
            Finished::Action { action, begun, done } => {
                let before = self.verdict(&action);
                let told = self.observed.finish(&self.pod, &action, done, begun, now);
                self.status_due |= before.is_none() || before != self.verdict(&action);
                self.tell(told);
            }
            Finished::Status { status, written } => {
                self.status_due = true;
                self.writing = false;
                match written {
                    Written::Yes { version } => {
                        self.told = Some(*status);
                        self.told_version = version;
                    }
                    Written::Gone => self.take(Input::Gone),
                    Written::No => self.write_retry = Some(restart::later(now, decide::RETRY)),
                }
            }
        }
    }

    /// What is thought of a container after the last probes of this kind, when the action is a probe.
    fn verdict(&self, action: &Action) -> Option<Verdict> {
        let Action::Probe { container, kind } = action else { return None };
        self.observed.container(container).probes.get(kind).map(Prober::verdict)
    }

    /// Decides until there is nothing more to decide, and says when to look again.
    fn step(&mut self) -> Option<Timestamp> {
        let mut wake_at = None;
        for round in 0.. {
            let now = self.effects.clock.now();
            let decision = decide::decide(&self.pod, &self.observed, now);
            wake_at = decision.wake_at;
            let mut acted = false;
            for action in decision.actions {
                // The last word about a Pod is its status.
                if action == Action::DeleteObject && !self.is_told(now) {
                    continue;
                }
                acted = true;
                self.status_due |= !matches!(action, Action::Probe { .. });
                let told = self.observed.begin(&self.pod, &action, now);
                self.tell(told);
                if action.is_effect() {
                    self.spawn(action, now);
                }
            }
            if !acted {
                break;
            }
            if round == MAX_ROUNDS {
                tracing::error!(pod = self.pod.name(), "the decisions about this Pod do not come to rest");
                wake_at = Some(restart::later(now, decide::RETRY));
                break;
            }
        }
        if self.observed.ending.is_some() {
            self.ending.send_replace(true);
        }
        let retry = self.write_status();
        wake_at.into_iter().chain(retry).min()
    }

    fn spawn(&mut self, action: Action, begun: Timestamp) {
        let effects = Arc::clone(&self.effects);
        let context = Context {
            pod: Arc::clone(&self.pod),
            observed: Arc::new(self.observed.clone()),
            ending: self.ending.subscribe(),
        };
        self.running.spawn(async move {
            let done = effects.perform(&context, &action).await;
            Finished::Action { action, begun, done }
        });
    }

    fn tell(&self, told: Vec<Told>) {
        for Told { field_path, event } in told {
            let object = ObjectReference { field_path, ..podlab_client::events::reference(&*self.pod) };
            let kind = if event.warning { EventType::Warning } else { EventType::Normal };
            self.recorder.event(&object, kind, event.reason, &event.message);
        }
    }

    /// What the Pod's status is to be.
    fn status(&self, now: Timestamp) -> PodStatus {
        self.status_of(&self.observed, now)
    }

    /// The status of a Pod of which so much is known. Conditions that are not the kubelet's are taken from the object.
    fn status_of(&self, observed: &Observed, now: Timestamp) -> PodStatus {
        let mut told = self.told.clone().or_else(|| self.pod.status.clone());
        if let Some(conditions) = told.as_mut().and_then(|told| told.conditions.as_mut()) {
            conditions.retain(|condition| OWN.contains(&condition.type_.as_str()));
            let all = self.pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            conditions.extend(all.filter(|condition| !OWN.contains(&condition.type_.as_str())).cloned());
        }
        status::status(&self.pod, observed, told.as_ref(), &self.effects.facts.internal_ip, now)
    }

    fn is_told(&self, now: Timestamp) -> bool {
        self.observed.forgotten || (!self.writing && self.told.as_ref() == Some(&self.status(now)))
    }

    /// Writes the status if it changed; says when to try again if that did not work.
    fn write_status(&mut self) -> Option<Timestamp> {
        if !self.status_due {
            return None;
        }
        let now = self.effects.clock.now();
        let mut status = self.status(now);
        self.table.publish(&self.pod, &status);
        if self.writing || self.observed.forgotten || self.told.as_ref() == Some(&status) {
            self.status_due = self.writing;
            return None;
        }
        if let Some(earlier) = untold::first(&self.pod, &self.observed, self.told.as_ref()) {
            status = self.status_of(&earlier, now);
        } else if hold::waits(&self.pod, &self.observed, self.told.as_ref(), &status) {
            // The start that it waits for ends, and then this is looked at again.
            return None;
        }
        if let Some(retry_at) = self.write_retry.filter(|retry_at| *retry_at > now) {
            return Some(retry_at);
        }
        self.writing = true;
        let patch = patch(&self.pod, self.told.as_ref(), &status);
        let effects = Arc::clone(&self.effects);
        let pod = Arc::clone(&self.pod);
        self.running.spawn(async move {
            let answer = effects.client.patch::<Pod>(pod.namespace(), pod.name(), &patch, Some("status")).await;
            let written = match answer {
                Ok(pod) => {
                    podlab_linux::fail_point::reached("kubelet-status-written");
                    Written::Yes { version: pod.metadata.resource_version.and_then(|version| version.parse().ok()) }
                }
                Err(error) if error.is_not_found() || error.is_another_object() => Written::Gone,
                Err(error) => {
                    tracing::warn!(%error, pod = pod.name(), "the status was not written");
                    Written::No
                }
            };
            Finished::Status { status: Box::new(status), written }
        });
        None
    }
}

/// The change from one status to another. The uid makes sure that it is not written to a namesake.
fn patch(pod: &Pod, from: Option<&PodStatus>, to: &PodStatus) -> Patch {
    let to_value = |status: &PodStatus| serde_json::to_value(status).unwrap_or(Value::Null);
    let mut status = to_value(to);
    if let (Some(fields), Some(Value::Object(before))) = (status.as_object_mut(), from.map(to_value)) {
        for (name, _) in before {
            fields.entry(name).or_insert(Value::Null);
        }
    }
    // A real kubelet writes this field although it never has a value.
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastProbeTime"] = Value::Null;
    }
    Patch::Merge(json!({"metadata": {"uid": pod.metadata.uid}, "status": status}))
}

async fn sleep_until<C: Clock>(clock: &C, time: Option<Timestamp>) {
    match time {
        Some(time) => clock.sleep_until_time(time).await,
        None => std::future::pending().await,
    }
}
