//! What happens on a node: its kubelet decides about its Pods, and what was asked of its kernel is done.

use crate::check::Violation;
use crate::event::{Answer, Event, Part, Refused, Request};
use crate::kubelet::Want;
use crate::machine::cost;
use crate::objects;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use podlab_client::cache::Key;
use podlab_runtime::kubelet::decide::Action;
use podlab_runtime::kubelet::observed::Done;
use std::sync::Arc;
use std::time::Duration;

use super::{SimulatedNode, World};

impl World {
    pub(super) fn told(&mut self, node: usize, request: &Request, answer: &Answer) {
        let now = self.now_at(node);
        let kubelet = &mut self.nodes[node].kubelet;
        match request {
            Request::Status { uid, status, .. } => {
                if let Some(worker) = kubelet.workers.get_mut(uid) {
                    worker.told(answer.is_ok().then(|| status.as_ref().clone()), now);
                }
                if matches!(answer, Err(Refused::NotFound)) {
                    kubelet.gone(uid, now);
                }
                let uid = uid.clone();
                self.look(node, &uid);
            }
            Request::Delete { uid, .. } => {
                if let Some(worker) = kubelet.workers.get_mut(uid) {
                    let done = match answer {
                        Err(Refused::Unavailable) => Done::Failed("no answer".to_owned()),
                        _ => Done::Ok,
                    };
                    let pod = Arc::clone(&worker.pod);
                    worker.observed.finish(&pod, &Action::DeleteObject, done, now, now);
                }
                let uid = uid.clone();
                self.look(node, &uid);
            }
            Request::Report { .. } if answer.is_err() => kubelet.reported = None,
            _ => {}
        }
    }

    /// A Pod's loop on its node decides.
    pub(super) fn look(&mut self, node: usize, uid: &str) {
        if !self.nodes[node].kubelet.alive {
            return;
        }
        let now = self.now_at(node);
        let ip = "10.99.0.1";
        let wants = self.nodes[node].kubelet.step(uid, ip, now);
        let (life, boot) = (self.nodes[node].kubelet.life, self.nodes[node].machine.boot);
        for want in wants {
            match want {
                Want::Effect(action) => {
                    let Some(worker) = self.nodes[node].kubelet.workers.get(uid) else { continue };
                    let pod = Arc::clone(&worker.pod);
                    let wait = cost(&action);
                    self.agenda.after(wait, Event::Done { node, boot, life, pod, action, begun: now });
                }
                Want::Ask(request) => self.send(Part::Kubelet(node), request),
                Want::Look(at) => {
                    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                    self.agenda.after(wait, Event::Look { node, life, uid: uid.to_owned() });
                }
            }
        }
    }

    pub(super) fn done(
        &mut self,
        node: usize,
        boot: u64,
        life: u64,
        pod: &Arc<Pod>,
        action: &Action,
        begun: Timestamp,
    ) -> Result<(), Violation> {
        if boot != self.nodes[node].machine.boot {
            return Ok(());
        }
        let now = self.now_at(node);
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        if let Action::Start { attempt, .. } = action {
            self.start_once(node, &uid)?;
            self.trace.line(
                self.agenda.now(),
                format_args!("{} starts {} {attempt}", objects::node_name(node), Key::of(pod.as_ref())),
            );
        }
        let (done, ends) = self.nodes[node].machine.perform(pod, action, now)?;
        if let Some(ends) = ends {
            let event = Event::Exit {
                node,
                boot,
                uid: uid.clone(),
                container: ends.container,
                code: ends.code,
                signal: ends.signal,
            };
            self.agenda.after(ends.after, event);
        }
        let kubelet = &mut self.nodes[node].kubelet;
        if life == kubelet.life
            && let Some(worker) = kubelet.workers.get_mut(&uid)
        {
            let pod = Arc::clone(&worker.pod);
            worker.observed.finish(&pod, action, done, begun, now);
            self.look(node, &uid);
        }
        Ok(())
    }

    /// A Pod runs on one node, whatever was lost, late or said twice.
    pub(super) fn start_once(&mut self, node: usize, uid: &str) -> Result<(), Violation> {
        match self.places.insert(uid.to_owned(), node) {
            Some(other) if other != node => {
                let names = (objects::node_name(other), objects::node_name(node));
                Err(Violation(format!("Pod {uid} was started on {} and on {}", names.0, names.1)))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn exit(&mut self, node: usize, uid: &str, container: &str, code: i32, signal: Option<i32>) {
        let now = self.now_at(node);
        let SimulatedNode { machine, kubelet, .. } = &mut self.nodes[node];
        let Some(exit) = machine.exit(uid, container, code, signal, now) else { return };
        self.trace.line(self.agenda.now(), format_args!("{} ends {uid} {code}", objects::node_name(node)));
        if let Some(worker) = kubelet.workers.get_mut(uid) {
            let pod = Arc::clone(&worker.pod);
            worker.observed.exited(&pod, container, exit);
        }
        self.look(node, uid);
    }
}
