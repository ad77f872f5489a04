//! What goes between the parts: requests and their answers, news, and what is lost or late of them.

use crate::check::Violation;
use crate::event::{Answer, Change, Event, Part, Refused, Request};
use crate::objects;
use k8s_openapi::api::core::v1::Pod;
use podlab_client::cache::Key;
use podlab_controllers::objects::node_of;
use std::sync::Arc;
use std::time::Duration;

use super::{SimulatedNode, World};

/// How long who hears nothing waits before he gives a request up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Once in so many messages one is lost, or late, where faults are wanted.
const LOST: usize = 200;

/// The wire of a part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// News come in their order.
    pub(super) last: Duration,
    pub(super) cut_until: Duration,
}

impl World {
    pub(super) fn is_cut(&self, part: Part) -> bool {
        self.wires.get(&part).is_some_and(|wire| wire.cut_until > self.agenda.now())
    }

    /// How long a message takes; `None` when it never comes.
    pub(super) fn latency(&mut self) -> Option<Duration> {
        let usual = self.random.between(Duration::from_micros(300), Duration::from_millis(3));
        if !self.faults || !self.random.once_in(LOST) {
            return Some(usual);
        }
        self.random.once_in(2).then(|| usual * 1000)
    }

    pub(super) fn send(&mut self, from: Part, request: Request) {
        let life = self.life(from);
        match self.latency().filter(|_| !self.is_cut(from)) {
            Some(latency) => self.agenda.after(latency, Event::Arrive { from, life, request }),
            None => self.give_up(from, life, request),
        }
    }

    pub(super) fn give_up(&mut self, to: Part, life: u64, request: Request) {
        self.agenda.after(PATIENCE, Event::Answer { to, life, request, answer: Err(Refused::Unavailable) });
    }

    pub(super) fn reply(&mut self, to: Part, life: u64, request: Request, answer: Answer) {
        match self.latency().filter(|_| !self.is_cut(to)) {
            Some(latency) => self.agenda.after(latency, Event::Answer { to, life, request, answer }),
            None => self.give_up(to, life, request),
        }
    }

    pub(super) fn arrive(&mut self, from: Part, life: u64, request: Request) -> Result<(), Violation> {
        let refuses = self.refuses_until > self.agenda.now() && self.random.once_in(3);
        if !self.serving || refuses {
            self.reply(from, life, request, Err(Refused::Unavailable));
            return Ok(());
        }
        let now = self.now();
        match self.store.take(from, life, request, now)? {
            Some((request, answer)) => {
                if let Ok(Some(change)) = &answer {
                    self.tell(&change.clone());
                }
                self.reply(from, life, request, answer);
            }
            None if self.store.is_first_of_group() => {
                let wait = self.random.between(Duration::from_millis(1), Duration::from_millis(3));
                self.agenda.after(wait, Event::Commit { life: self.store.life });
            }
            None => {}
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), Violation> {
        if self.refuses_until > self.agenda.now() && self.random.once_in(3) {
            self.trace.line(self.agenda.now(), format_args!("store: a group was refused"));
            for pending in self.store.take_back() {
                self.reply(pending.from, pending.life, pending.request, Err(Refused::Unavailable));
            }
            return self.store.check_acknowledged();
        }
        for pending in self.store.commit() {
            self.note(&pending.request, &pending.change);
            self.tell(&pending.change);
            self.reply(pending.from, pending.life, pending.request, Ok(Some(pending.change)));
        }
        Ok(())
    }

    pub(super) fn note(&mut self, request: &Request, change: &Change) {
        let now = self.agenda.now();
        match change {
            Change::Pod { revision, pod, gone } => {
                let key = Key::of(pod.as_ref());
                let what = match request {
                    Request::Create { .. } => "created",
                    Request::Bind { .. } => "bound",
                    Request::Delete { .. } if *gone => "gone",
                    Request::Delete { .. } => "deleted",
                    _ => podlab_controllers::objects::phase(pod),
                };
                let node = node_of(pod).unwrap_or("-");
                self.trace.line(now, format_args!("{revision} pod {key} {what} {node}"));
                self.usage.note(request, pod, node_of(pod).and_then(|node| self.store.node_index(node)), *gone);
            }
            Change::Node { revision, node, .. } => {
                let ready = podlab_controllers::objects::node_ready(node);
                let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).map_or(0, Vec::len);
                let name = node.metadata.name.as_deref().unwrap_or_default();
                self.trace.line(now, format_args!("{revision} node {name} ready={ready} taints={taints}"));
            }
            Change::Lease { .. } => {}
        }
    }

    /// Tells who watches.
    pub(super) fn tell(&mut self, change: &Change) {
        match change {
            Change::Lease { .. } => self.news(Part::Controllers, change),
            Change::Node { .. } => {
                self.news(Part::Scheduler, change);
                self.news(Part::Controllers, change);
            }
            Change::Pod { pod, .. } => {
                self.news(Part::Scheduler, change);
                self.news(Part::Controllers, change);
                if let Some(node) = node_of(pod).and_then(|node| self.store.node_index(node)) {
                    self.news(Part::Kubelet(node), change);
                }
            }
        }
    }

    pub(super) fn news(&mut self, to: Part, change: &Change) {
        if !self.is_alive(to) || self.is_cut(to) {
            return;
        }
        let Some(latency) = self.latency() else {
            // The connection broke: what it would have told is seen by listing again.
            return self.listen_again(to, Duration::from_secs(1));
        };
        let now = self.agenda.now();
        let wire = self.wires.entry(to).or_default();
        let at = (now + latency).max(wire.last);
        wire.last = at;
        self.agenda.at(at, Event::News { to, stream: self.stream(to), change: change.clone() });
    }

    pub(super) fn listen_again(&mut self, part: Part, after: Duration) {
        let stream = match part {
            Part::Scheduler => &mut self.scheduler.stream,
            Part::Controllers => &mut self.controllers.stream,
            Part::Kubelet(node) => &mut self.nodes[node].kubelet.stream,
        };
        *stream += 1;
        let event = Event::List { part, stream: *stream };
        self.agenda.after(after, event);
    }

    /// A part sees all there is. What is not durable yet it sees by its watch.
    pub(super) fn list(&mut self, part: Part) {
        if !self.is_alive(part) {
            return;
        }
        if !self.serving || self.is_cut(part) || self.store.has_pending() {
            return self.listen_again(part, Duration::from_millis(700));
        }
        let is_for = |pod: &Pod| match part {
            Part::Kubelet(node) => node_of(pod) == Some(objects::node_name(node).as_str()),
            _ => true,
        };
        let pods = self.store.pods.values().filter(|stored| is_for(&stored.object));
        let mut all: Vec<Change> = pods
            .map(|stored| Change::Pod { revision: stored.revision, pod: Arc::clone(&stored.object), gone: false })
            .collect();
        let known = match part {
            Part::Scheduler => self.scheduler.known(),
            Part::Controllers => self.controllers.known(),
            Part::Kubelet(node) => {
                self.nodes[node].kubelet.workers.values().map(|worker| Arc::clone(&worker.pod)).collect()
            }
        };
        let there = |pod: &Pod| {
            self.store.pods.get(&Key::of(pod)).is_some_and(|stored| stored.object.metadata.uid == pod.metadata.uid)
        };
        let revision = self.store.revision;
        let gone = known.into_iter().filter(|pod| !there(pod));
        let mut changes: Vec<Change> = gone.map(|pod| Change::Pod { revision, pod, gone: true }).collect();
        if !matches!(part, Part::Kubelet(_)) {
            changes.extend(self.store.nodes.iter().enumerate().map(|(index, stored)| Change::Node {
                revision: stored.revision,
                node: Arc::clone(&stored.object),
                index,
            }));
        }
        changes.append(&mut all);
        for change in changes {
            self.heard(part, &change);
        }
        if let Part::Kubelet(node) = part {
            // What is left of Pods that nobody knows any more.
            let SimulatedNode { machine, kubelet, .. } = &mut self.nodes[node];
            machine.pods.retain(|uid, _| kubelet.workers.contains_key(uid));
        }
    }

    pub(super) fn heard(&mut self, part: Part, change: &Change) {
        let elapsed = self.agenda.now();
        match part {
            Part::Scheduler => {
                self.scheduler.heard(change, elapsed);
                self.schedule();
            }
            Part::Controllers => {
                self.controllers.heard(change);
                self.control();
            }
            Part::Kubelet(node) => {
                let Change::Pod { pod, gone, .. } = change else { return };
                let uid = pod.metadata.uid.clone().unwrap_or_default();
                let now = self.now_at(node);
                let SimulatedNode { machine, kubelet, .. } = &mut self.nodes[node];
                if *gone {
                    kubelet.gone(&uid, now);
                } else {
                    let state = machine.pods.get(&uid).map(|known| &known.state);
                    kubelet.take(Arc::clone(pod), state, &self.store.nodes[node].object, now);
                }
                self.look(node, &uid);
            }
        }
    }
}
