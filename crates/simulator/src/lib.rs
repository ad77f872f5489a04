//! A whole cluster in virtual time, from a seed.
//!
//! The decisions are the real ones: the scheduler's queue and choice, the controllers' plans, each kubelet's next step,
//! on the API's own objects. What is simulated is what they stand on: the store, the wires between the parts, the nodes'
//! kernels, and time. One thread, one agenda, chance from one seed: the same seed gives the same trace, byte for
//! byte, so a fault that was found once is found again.
//!
//! | file | what |
//! |---|---|
//! | `agenda`, `random` | time and chance |
//! | `world` | the parts and the wires between them, an event at a time |
//! | `store` | the API server: conditional writes, grouped commits, news |
//! | `kubelet`, `machine` | a node: who decides, and what would be its kernel |
//! | `scheduler`, `controllers` | the loops around their decisions |
//! | `faults` | what goes wrong |
//! | `check`, `settled` | what must always hold, and what must hold in the end |
//! | `usage`, `waves` | what a day's load costs, spread or packed |
//! | `trace` | what happened |

mod agenda;
mod check;
mod controllers;
mod event;
mod faults;
mod kubelet;
mod machine;
mod objects;
mod random;
mod scheduler;
mod settled;
mod store;
mod trace;
mod usage;
mod waves;
mod world;

use std::time::Duration;

use serde::Serialize;

pub use check::Violation;
pub use waves::Waves;

use world::World;

/// After the last fault, a cluster has to come to rest in this time.
const REST: Duration = Duration::from_secs(1800);

/// How Pods are placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// On the emptiest node: the real scheduler's default.
    #[default]
    Spread,
    /// On the fullest node that will do, so that others stay empty.
    Pack,
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    pub nodes: usize,
    pub pods: usize,
    pub seed: u64,
    /// How long the cluster lives, of its own time. With faults it is longer: until it has to be at rest.
    pub lasts: Duration,
    /// Whether things go wrong, and programs misbehave.
    pub faults: bool,
    pub strategy: Strategy,
    /// How the load changes.
    pub waves: Waves,
    /// Whether the trace's text is kept; its digest always is.
    pub keep_trace: bool,
}

impl Options {
    /// A small cluster with faults: what is run by the thousand.
    #[must_use]
    pub fn small(seed: u64) -> Self {
        Options {
            nodes: 3,
            pods: 6,
            seed,
            lasts: Duration::ZERO,
            faults: true,
            strategy: Strategy::Spread,
            waves: Waves::None,
            keep_trace: false,
        }
    }

    fn sets(&self) -> usize {
        self.pods.div_ceil(20).max(2).min(self.pods.max(1))
    }
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// That nothing of this ran on a kernel.
    pub simulated: bool,
    pub seed: u64,
    pub nodes: usize,
    pub pods: usize,
    pub strategy: Strategy,
    /// How long the cluster lived, in seconds of its own time.
    pub virtual_seconds: u64,
    pub events: u64,
    pub decisions: u64,
    pub bound: u64,
    /// Requested, of what was bought, in percent. A node is bought while a Pod is on it.
    pub cpu_utilization: f64,
    pub memory_utilization: f64,
    /// Nodes that were bought: on average, and at most.
    pub nodes_bought: f64,
    pub most_nodes_bought: usize,
    /// The digest of the trace: the same for the same options, on every machine.
    pub trace_digest: String,
    #[serde(skip)]
    pub trace: Option<String>,
}

/// A run that came upon what must not be.
#[derive(Clone, Debug, thiserror::Error)]
#[error("seed {seed}, {at:?} after the start: {violation}")]
pub struct Failure {
    pub seed: u64,
    /// Of the cluster's own time.
    pub at: Duration,
    pub violation: Violation,
    pub trace: Option<String>,
}

/// Runs a cluster from its beginning to its end.
///
/// # Errors
///
/// When something happened that must never happen, or the cluster did not come to rest. The same options fail again in
/// the same way.
pub fn run(options: &Options) -> Result<Report, Box<Failure>> {
    let mut world = World::new(options);
    let end = if options.faults { faults::TROUBLE + REST } else { options.lasts };
    let mut events = 0;
    let mut outcome = Ok(());
    while world.agenda.due().is_some_and(|due| due <= end) {
        let Some(event) = world.agenda.next() else { break };
        events += 1;
        outcome = world.handle(event);
        if outcome.is_err() {
            break;
        }
        // Rest is looked for now and then; it need not be waited out.
        if options.faults && events % 256 == 0 && world.agenda.now() > faults::TROUBLE && settled::check(&world).is_ok()
        {
            break;
        }
    }
    let at = world.agenda.now();
    if outcome.is_ok() && options.faults {
        outcome = settled::check(&world);
    }
    let (cpu_utilization, memory_utilization, nodes_bought) = world.usage.shares();
    let (trace_digest, trace) = world.trace.end();
    match outcome {
        Err(violation) => Err(Box::new(Failure { seed: options.seed, at, violation, trace })),
        Ok(()) => Ok(Report {
            simulated: true,
            seed: options.seed,
            nodes: options.nodes,
            pods: options.pods,
            strategy: options.strategy,
            virtual_seconds: at.as_secs(),
            events,
            decisions: world.usage.decisions,
            bound: world.usage.bound,
            cpu_utilization,
            memory_utilization,
            nodes_bought,
            most_nodes_bought: world.usage.most_bought,
            trace_digest,
            trace,
        }),
    }
}
