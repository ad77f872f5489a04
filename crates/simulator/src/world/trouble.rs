//! What goes wrong, as it happens, and how parts end and begin; what people do to the cluster.

use crate::check::Violation;
use crate::event::{Event, Fault, Part, Request, Use};
use crate::kubelet::Kubelet;
use std::sync::Arc;
use std::time::Duration;

use super::{LOOK, World};

impl World {
    pub(super) fn fault(&mut self, fault: Fault) -> Result<(), Violation> {
        self.trace.line(self.agenda.now(), format_args!("fault {fault:?}"));
        match fault {
            Fault::Crash(part) => {
                if self.is_alive(part) {
                    self.crash(part);
                    let wait = self.random.between(Duration::from_millis(100), Duration::from_secs(3));
                    self.agenda.after(wait, Event::Start(part));
                }
            }
            Fault::ControlPlane => {
                self.serving = false;
                self.store.life += 1;
                self.store.take_back();
                self.store.check_acknowledged()?;
                for part in [Part::Scheduler, Part::Controllers] {
                    self.crash(part);
                    let wait = self.random.between(Duration::from_millis(500), Duration::from_secs(3));
                    self.agenda.after(wait, Event::Start(part));
                }
                for node in 0..self.nodes.len() {
                    self.listen_again(Part::Kubelet(node), Duration::from_secs(1));
                }
            }
            Fault::Node(node, wait) => {
                if self.nodes[node].machine.up {
                    let now = self.now_at(node);
                    self.nodes[node].machine.power_off(now);
                    self.crash(Part::Kubelet(node));
                    self.agenda.after(wait, Event::Boot { node });
                }
            }
            Fault::Cut(part, lasts) => {
                let until = self.agenda.now() + lasts;
                self.wires.entry(part).or_default().cut_until = until;
                self.listen_again(part, lasts);
            }
            Fault::Jump(node, by) => self.nodes[node].ahead += by,
            Fault::Store(lasts) => self.refuses_until = self.agenda.now() + lasts,
        }
        Ok(())
    }

    pub(super) fn crash(&mut self, part: Part) {
        match part {
            Part::Scheduler => {
                self.scheduler.alive = false;
                self.scheduler.life += 1;
                self.scheduler.stream += 1;
                self.scheduler.forget();
                self.scheduler_wakes = None;
            }
            Part::Controllers => {
                self.controllers.alive = false;
                self.controllers.life += 1;
                self.controllers.stream += 1;
                self.controllers.forget();
            }
            Part::Kubelet(node) => {
                let Kubelet { life, stream, .. } = self.nodes[node].kubelet;
                self.nodes[node].kubelet = Kubelet { life: life + 1, stream: stream + 1, ..Kubelet::default() };
            }
        }
    }

    pub(super) fn start(&mut self, part: Part) {
        if self.is_alive(part) {
            return;
        }
        match part {
            Part::Scheduler => self.scheduler.alive = true,
            Part::Controllers => {
                self.controllers.alive = true;
                // One process with the API server.
                self.serving = true;
                self.agenda.after(LOOK, Event::Wake { part, life: self.controllers.life });
            }
            // A node that is down starts nothing; it will when it boots.
            Part::Kubelet(node) if !self.nodes[node].machine.up => return,
            Part::Kubelet(node) => {
                self.nodes[node].kubelet.alive = true;
                self.agenda.after(Duration::ZERO, Event::Wake { part, life: self.life(part) });
            }
        }
        self.list(part);
    }

    pub(super) fn used(&mut self, used: Use) {
        self.trace.line(self.agenda.now(), format_args!("use {used:?}"));
        match used {
            Use::Scale { set, replicas } => {
                let mut new = self.store.sets[set].as_ref().clone();
                new.spec.get_or_insert_default().replicas = Some(replicas);
                let new = Arc::new(new);
                self.store.sets[set] = Arc::clone(&new);
                self.controllers.scaled(set, new);
                self.control();
            }
            Use::Delete { set } => {
                let prefix = format!("set{}-", set + 1);
                let pods = self.store.pods.iter().filter(|(key, _)| key.name.starts_with(&prefix));
                let keys: Vec<_> =
                    pods.map(|(key, stored)| (key.clone(), stored.object.metadata.uid.clone())).collect();
                let chosen = self.random.below(keys.len());
                if let Some((pod, uid)) = keys.get(chosen).cloned() {
                    let request = Request::Delete { pod, uid: uid.unwrap_or_default(), grace: None };
                    // Somebody with kubectl: nobody waits for the answer.
                    let life = u64::MAX;
                    self.agenda.after(Duration::ZERO, Event::Arrive { from: Part::Controllers, life, request });
                }
            }
        }
    }
}
