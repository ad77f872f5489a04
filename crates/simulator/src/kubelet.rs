//! A kubelet in virtual time: the loop around the real decisions ([`decide`]), one worker a Pod.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use podlab_client::cache::Key;
use podlab_controllers::objects::has_ended;
use podlab_runtime::backend::PodState;
use podlab_runtime::kubelet::decide::{Action, RETRY, decide};
use podlab_runtime::kubelet::observed::Observed;
use podlab_runtime::kubelet::{admission, status};

use crate::event::Request;

/// How often decisions about one Pod may follow each other without anything happening.
const MAX_ROUNDS: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Kubelet {
    pub(crate) alive: bool,
    /// Which of its lives this is.
    pub(crate) life: u64,
    /// Which of its watches it listens to.
    pub(crate) stream: u64,
    /// When it last told how its node is.
    pub(crate) reported: Option<Duration>,
    pub(crate) workers: BTreeMap<String, Worker>,
}

/// What is known of one Pod.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) pod: Arc<Pod>,
    pub(crate) observed: Observed,
    told: Option<PodStatus>,
    writing: bool,
    retry: Option<Timestamp>,
    /// For when it was asked to be looked at again.
    pub(crate) look: Option<Timestamp>,
}

fn later(time: Timestamp, wait: Duration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// What a worker wants.
pub(crate) enum Want {
    Effect(Action),
    Ask(Request),
    Look(Timestamp),
}

impl Kubelet {
    /// A Pod came, or changed. `state` is what the node has of it.
    pub(crate) fn take(&mut self, pod: Arc<Pod>, state: Option<&PodState>, node: &Node, now: Timestamp) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        if let Some(worker) = self.workers.get_mut(&uid) {
            worker.pod = pod;
            return;
        }
        let mut worker = Worker {
            observed: Observed::restore(&pod, state),
            told: pod.status.clone(),
            pod,
            writing: false,
            retry: None,
            look: None,
        };
        if state.is_none() && !has_ended(&worker.pod) {
            let taken = self.workers.values().filter(|other| other.observed.ending.is_none());
            if let Err(ending) = admission::admit(node, taken.map(|other| other.pod.as_ref()), &worker.pod) {
                worker.observed.begin(&worker.pod, &Action::End(ending), now);
            }
        }
        self.workers.insert(uid, worker);
    }

    /// The object is gone: nobody waits for the Pod, but it still has to go.
    pub(crate) fn gone(&mut self, uid: &str, now: Timestamp) {
        let Some(worker) = self.workers.get_mut(uid) else { return };
        let mut pod = worker.pod.as_ref().clone();
        pod.metadata.deletion_timestamp.get_or_insert(Time(now));
        pod.metadata.deletion_grace_period_seconds = Some(0);
        worker.pod = Arc::new(pod);
        worker.observed.forgotten = true;
    }

    /// Decides about a Pod until there is nothing more to decide.
    pub(crate) fn step(&mut self, uid: &str, ip: &str, now: Timestamp) -> Vec<Want> {
        let Some(worker) = self.workers.get_mut(uid) else { return Vec::new() };
        let wants = worker.step(ip, now);
        if worker.observed.forgotten && worker.observed.removed && worker.observed.busy.is_empty() {
            self.workers.remove(uid);
        }
        wants
    }
}

impl Worker {
    pub(crate) fn key(&self) -> Key {
        Key::of(self.pod.as_ref())
    }

    fn step(&mut self, ip: &str, now: Timestamp) -> Vec<Want> {
        let mut wants = Vec::new();
        let mut wake_at = None;
        for round in 0.. {
            let decision = decide(&self.pod, &self.observed, now);
            wake_at = decision.wake_at;
            let mut acted = false;
            for action in decision.actions {
                // The last word about a Pod is its status.
                if action == Action::DeleteObject && !self.is_told(ip, now) {
                    continue;
                }
                acted = true;
                self.observed.begin(&self.pod, &action, now);
                if action == Action::DeleteObject {
                    let uid = self.pod.metadata.uid.clone().unwrap_or_default();
                    wants.push(Want::Ask(Request::Delete { pod: self.key(), uid, grace: Some(0) }));
                } else if action.is_effect() {
                    wants.push(Want::Effect(action));
                }
            }
            if !acted {
                break;
            }
            if round == MAX_ROUNDS {
                wake_at = Some(later(now, RETRY));
                break;
            }
        }
        let retry = self.write_status(ip, now, &mut wants);
        let look = wake_at.into_iter().chain(retry).min();
        // One look is under way at most: an earlier one asks for the next.
        if let Some(at) = look.filter(|at| self.look.is_none_or(|known| known > *at || known <= now)) {
            self.look = Some(at);
            wants.push(Want::Look(at));
        }
        wants
    }

    fn status(&self, ip: &str, now: Timestamp) -> PodStatus {
        let told = self.told.clone().or_else(|| self.pod.status.clone());
        status::status(&self.pod, &self.observed, told.as_ref(), ip, now)
    }

    fn is_told(&self, ip: &str, now: Timestamp) -> bool {
        self.observed.forgotten || (!self.writing && self.told.as_ref() == Some(&self.status(ip, now)))
    }

    fn write_status(&mut self, ip: &str, now: Timestamp, wants: &mut Vec<Want>) -> Option<Timestamp> {
        if self.writing || self.observed.forgotten {
            return None;
        }
        let status = self.status(ip, now);
        if self.told.as_ref() == Some(&status) {
            return None;
        }
        if let Some(retry) = self.retry.filter(|retry| *retry > now) {
            return Some(retry);
        }
        self.writing = true;
        let uid = self.pod.metadata.uid.clone().unwrap_or_default();
        wants.push(Want::Ask(Request::Status { pod: self.key(), uid, status: Box::new(status) }));
        None
    }

    /// The API server answered; `None` when it did not take the status.
    pub(crate) fn told(&mut self, status: Option<PodStatus>, now: Timestamp) {
        self.writing = false;
        match status {
            Some(status) => self.told = Some(status),
            None => self.retry = Some(later(now, RETRY)),
        }
    }
}
