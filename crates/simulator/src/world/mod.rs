//! The simulated cluster: every part, and what happens to it, one event at a time; [`wires`] between the parts, [`nodes`],
//! and [`trouble`].

mod nodes;
mod trouble;
mod wires;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::agenda::Agenda;
use crate::check::Violation;
use crate::controllers::Controllers;
use crate::event::{Answer, Event, Part, Request};
use crate::kubelet::Kubelet;
use crate::machine::Machine;
use crate::random::Random;
use crate::scheduler::Scheduler;
use crate::store::{Store, Stored};
use crate::trace::Trace;
use crate::usage::Usage;
use crate::{Options, faults, objects};
use wires::Wire;

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
}
