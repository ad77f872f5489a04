//! What goes wrong in a run, and how it is used: both from the seed, decided before it begins.

use std::time::Duration;

use crate::agenda::Agenda;
use crate::event::{Event, Fault, Part, Use};
use crate::random::Random;

/// Faults come in this time; then the cluster has to come to rest.
pub(crate) const TROUBLE: Duration = Duration::from_secs(240);

fn seconds(from: u64, until: u64, random: &mut Random) -> Duration {
    random.between(Duration::from_secs(from), Duration::from_secs(until))
}

fn part(nodes: usize, random: &mut Random) -> Part {
    match random.below(4) {
        0 => Part::Scheduler,
        1 => Part::Controllers,
        _ => Part::Kubelet(random.below(nodes)),
    }
}

/// Enters a handful of faults.
pub(crate) fn enter(agenda: &mut Agenda<Event>, nodes: usize, random: &mut Random) {
    for _ in 0..3 + random.below(5) {
        let at = random.between(Duration::ZERO, TROUBLE);
        let fault = match random.below(8) {
            0 | 1 => Fault::Crash(part(nodes, random)),
            2 => Fault::ControlPlane,
            3 | 4 => Fault::Node(random.below(nodes), seconds(1, 500, random)),
            5 => Fault::Cut(part(nodes, random), seconds(1, 90, random)),
            6 => Fault::Jump(random.below(nodes), seconds(1, 120, random)),
            _ => Fault::Store(seconds(1, 30, random)),
        };
        agenda.at(at, Event::Fault(fault));
    }
}

/// Enters what somebody does with the cluster.
pub(crate) fn enter_uses(agenda: &mut Agenda<Event>, sets: usize, replicas: usize, random: &mut Random) {
    for _ in 0..2 + random.below(3) {
        let at = random.between(Duration::ZERO, TROUBLE);
        let set = random.below(sets);
        let most = i32::try_from(replicas * 2).unwrap_or(i32::MAX);
        let scaled = Use::Scale { set, replicas: i32::try_from(random.below(replicas * 2 + 1)).unwrap_or(most) };
        let used = if random.once_in(2) { Use::Delete { set } } else { scaled };
        agenda.at(at, Event::Use(used));
    }
}
