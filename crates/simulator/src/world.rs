//! The simulated cluster: every part, the wires between them, and what happens to them, one event at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use podlab_client::cache::Key;
use podlab_controllers::objects::node_of;
use podlab_runtime::kubelet::decide::Action;
use podlab_runtime::kubelet::observed::Done;

use crate::agenda::Agenda;
use crate::check::Violation;
use crate::controllers::Controllers;
use crate::event::{Answer, Change, Event, Fault, Part, Refused, Request, Use};
use crate::kubelet::{Kubelet, Want};
use crate::machine::{Machine, cost};
use crate::random::Random;
use crate::scheduler::Scheduler;
use crate::store::{Store, Stored};
use crate::trace::Trace;
use crate::usage::Usage;
use crate::{Options, faults, objects};

/// How long who hears nothing waits before he gives a request up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Once in so many messages one is lost, or late, where faults are wanted.
const LOST: usize = 200;
/// How often a kubelet renews its lease, and tells how its node is.
const RENEW: Duration = Duration::from_secs(10);
const REPORT: Duration = Duration::from_secs(300);
/// How often the controllers look at what time alone decides.
const LOOK: Duration = Duration::from_secs(5);

/// A node: what would be its kernel, its kubelet, and its clock.
#[derive(Default)]
pub(crate) struct SimulatedNode {
    pub(crate) machine: Machine,
    pub(crate) kubelet: Kubelet,
    /// How far its clock is ahead.
    ahead: Duration,
}

/// The wire of a part.
#[derive(Clone, Copy, Debug, Default)]
struct Wire {
    /// News come in their order.
    last: Duration,
    cut_until: Duration,
}

pub(crate) struct World {
    pub(crate) agenda: Agenda<Event>,
    pub(crate) random: Random,
    pub(crate) store: Store,
    pub(crate) scheduler: Scheduler,
    pub(crate) controllers: Controllers,
    pub(crate) nodes: Vec<SimulatedNode>,
    pub(crate) trace: Trace,
    pub(crate) usage: Usage,
    wires: BTreeMap<Part, Wire>,
    faults: bool,
    epoch: Timestamp,
    serving: bool,
    /// Until when the store refuses writes.
    refuses_until: Duration,
    /// On which node each Pod was started.
    places: BTreeMap<String, usize>,
    scheduler_wakes: Option<Duration>,
}

impl World {
    pub(crate) fn new(options: &Options) -> Self {
        let epoch = Timestamp::from_second(1_767_225_600).unwrap_or_default();
        let mut random = Random::new(options.seed);
        let mut store = Store::default();
        let count = options.sets();
        store.sets = (0..count)
            .map(|index| {
                let replicas = options.pods / count + usize::from(index < options.pods % count);
                Arc::new(objects::set(index, replicas, options.faults, &mut random))
            })
            .collect();
        let nodes: Vec<SimulatedNode> = (0..options.nodes).map(|_| SimulatedNode::default()).collect();
        store.nodes = (0..options.nodes)
            .map(|index| Stored { revision: 0, object: Arc::new(objects::node(index, epoch)) })
            .collect();
        store.leases = vec![epoch; options.nodes];
        let mut agenda = Agenda::new();
        if options.faults {
            faults::enter(&mut agenda, options.nodes, &mut random);
            faults::enter_uses(&mut agenda, count, options.pods.div_ceil(count), &mut random);
        }
        options.waves.enter(&mut agenda, &store.sets, options.lasts);
        let controllers = Controllers::new(&store.sets);
        let mut world = World {
            agenda,
            random,
            scheduler: Scheduler::new(options.strategy),
            controllers,
            nodes,
            trace: Trace::new(options.keep_trace),
            usage: Usage::new(options.nodes),
            wires: BTreeMap::new(),
            faults: options.faults,
            epoch,
            serving: true,
            refuses_until: Duration::ZERO,
            places: BTreeMap::new(),
            scheduler_wakes: None,
            store,
        };
        for part in [Part::Scheduler, Part::Controllers] {
            world.list(part);
        }
        for node in 0..options.nodes {
            // Not all at once: machines are switched on by hand.
            let at = world.random.between(Duration::ZERO, RENEW);
            world.agenda.at(at, Event::Boot { node });
        }
        world.agenda.after(LOOK, Event::Wake { part: Part::Controllers, life: 0 });
        world
    }

    pub(crate) fn handle(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Arrive { from, life, request } => self.arrive(from, life, request)?,
            Event::Commit { life } if life == self.store.life => self.commit()?,
            Event::Commit { .. } => {}
            Event::Answer { to, life, request, answer } if life == self.life(to) => {
                self.answered(to, &request, &answer);
            }
            Event::Answer { .. } => {}
            Event::News { to, stream, change } if stream == self.stream(to) => self.heard(to, &change),
            Event::News { .. } => {}
            Event::List { part, stream } if stream == self.stream(part) => self.list(part),
            Event::List { .. } => {}
            Event::Wake { part, life } if life == self.life(part) => self.wake(part),
            Event::Wake { .. } => {}
            Event::Look { node, life, uid } if life == self.nodes[node].kubelet.life => self.look(node, &uid),
            Event::Look { .. } => {}
            Event::Done { node, boot, life, pod, action, begun } => {
                self.done(node, boot, life, &pod, &action, begun)?;
            }
            Event::Exit { node, boot, uid, container, code, signal } if boot == self.nodes[node].machine.boot => {
                self.exit(node, &uid, &container, code, signal);
            }
            Event::Exit { .. } => {}
            Event::Fault(fault) => self.fault(fault)?,
            Event::Start(part) => self.start(part),
            Event::Boot { node } => {
                if !self.nodes[node].machine.up {
                    self.nodes[node].machine.up = true;
                    self.start(Part::Kubelet(node));
                }
            }
            Event::Use(used) => self.used(used),
        }
        Ok(())
    }

    /// The time by the clock of the control plane.
    fn now(&self) -> Timestamp {
        self.epoch.checked_add(self.agenda.now()).unwrap_or(Timestamp::MAX)
    }

    /// The time by a node's clock.
    pub(crate) fn now_at(&self, node: usize) -> Timestamp {
        self.now().checked_add(self.nodes[node].ahead).unwrap_or(Timestamp::MAX)
    }

    fn life(&self, part: Part) -> u64 {
        match part {
            Part::Scheduler => self.scheduler.life,
            Part::Controllers => self.controllers.life,
            Part::Kubelet(node) => self.nodes[node].kubelet.life,
        }
    }

    fn stream(&self, part: Part) -> u64 {
        match part {
            Part::Scheduler => self.scheduler.stream,
            Part::Controllers => self.controllers.stream,
            Part::Kubelet(node) => self.nodes[node].kubelet.stream,
        }
    }

    fn is_alive(&self, part: Part) -> bool {
        match part {
            Part::Scheduler => self.scheduler.alive,
            Part::Controllers => self.controllers.alive,
            Part::Kubelet(node) => self.nodes[node].kubelet.alive,
        }
    }

    fn is_cut(&self, part: Part) -> bool {
        self.wires.get(&part).is_some_and(|wire| wire.cut_until > self.agenda.now())
    }

    /// How long a message takes; `None` when it never comes.
    fn latency(&mut self) -> Option<Duration> {
        let usual = self.random.between(Duration::from_micros(300), Duration::from_millis(3));
        if !self.faults || !self.random.once_in(LOST) {
            return Some(usual);
        }
        self.random.once_in(2).then(|| usual * 1000)
    }

    fn send(&mut self, from: Part, request: Request) {
        let life = self.life(from);
        match self.latency().filter(|_| !self.is_cut(from)) {
            Some(latency) => self.agenda.after(latency, Event::Arrive { from, life, request }),
            None => self.give_up(from, life, request),
        }
    }

    fn give_up(&mut self, to: Part, life: u64, request: Request) {
        self.agenda.after(PATIENCE, Event::Answer { to, life, request, answer: Err(Refused::Unavailable) });
    }

    fn reply(&mut self, to: Part, life: u64, request: Request, answer: Answer) {
        match self.latency().filter(|_| !self.is_cut(to)) {
            Some(latency) => self.agenda.after(latency, Event::Answer { to, life, request, answer }),
            None => self.give_up(to, life, request),
        }
    }

    fn arrive(&mut self, from: Part, life: u64, request: Request) -> Result<(), Violation> {
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

    fn commit(&mut self) -> Result<(), Violation> {
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

    fn note(&mut self, request: &Request, change: &Change) {
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
    fn tell(&mut self, change: &Change) {
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

    fn news(&mut self, to: Part, change: &Change) {
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

    fn listen_again(&mut self, part: Part, after: Duration) {
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
    fn list(&mut self, part: Part) {
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

    fn heard(&mut self, part: Part, change: &Change) {
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

    fn schedule(&mut self) {
        if !self.scheduler.alive {
            return;
        }
        let now = self.agenda.now();
        for request in self.scheduler.turn(now) {
            self.usage.decisions += 1;
            self.send(Part::Scheduler, request);
        }
        if let Some(due) = self.scheduler.due()
            && self.scheduler_wakes.is_none_or(|known| known > due || known <= now)
        {
            self.scheduler_wakes = Some(due);
            self.agenda.at(due, Event::Wake { part: Part::Scheduler, life: self.scheduler.life });
        }
    }

    fn control(&mut self) {
        if !self.controllers.alive {
            return;
        }
        for request in self.controllers.turn() {
            self.send(Part::Controllers, request);
        }
    }

    fn wake(&mut self, part: Part) {
        if !self.is_alive(part) {
            return;
        }
        let (elapsed, now) = (self.agenda.now(), self.now());
        match part {
            Part::Scheduler => self.schedule(),
            Part::Controllers => {
                for request in self.controllers.look(elapsed, now) {
                    self.send(part, request);
                }
                self.control();
                self.usage.sample();
                self.agenda.after(LOOK, Event::Wake { part, life: self.controllers.life });
            }
            Part::Kubelet(node) => {
                let time = self.now_at(node);
                let kubelet = &mut self.nodes[node].kubelet;
                if kubelet.reported.is_none_or(|reported| elapsed.saturating_sub(reported) >= REPORT) {
                    kubelet.reported = Some(elapsed);
                    self.send(part, Request::Report { node, time });
                }
                self.send(part, Request::Renew { node, time });
                self.agenda.after(RENEW, Event::Wake { part, life: self.life(part) });
            }
        }
    }

    fn answered(&mut self, to: Part, request: &Request, answer: &Answer) {
        match to {
            Part::Scheduler => {
                if let Request::Bind { pod, .. } = request {
                    self.scheduler.bound(pod, answer.is_ok(), self.agenda.now());
                    self.schedule();
                }
            }
            Part::Controllers => {
                self.controllers.answered(request, answer.as_ref().ok().and_then(Option::as_ref));
                // What failed waits for the next look: a server that refuses is not asked again at once.
                if answer.is_ok() {
                    self.control();
                }
            }
            Part::Kubelet(node) => self.told(node, request, answer),
        }
    }

    fn told(&mut self, node: usize, request: &Request, answer: &Answer) {
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
    fn look(&mut self, node: usize, uid: &str) {
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

    fn done(
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
    fn start_once(&mut self, node: usize, uid: &str) -> Result<(), Violation> {
        match self.places.insert(uid.to_owned(), node) {
            Some(other) if other != node => {
                let names = (objects::node_name(other), objects::node_name(node));
                Err(Violation(format!("Pod {uid} was started on {} and on {}", names.0, names.1)))
            }
            _ => Ok(()),
        }
    }

    fn exit(&mut self, node: usize, uid: &str, container: &str, code: i32, signal: Option<i32>) {
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

    fn fault(&mut self, fault: Fault) -> Result<(), Violation> {
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

    fn crash(&mut self, part: Part) {
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

    fn start(&mut self, part: Part) {
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

    fn used(&mut self, used: Use) {
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
