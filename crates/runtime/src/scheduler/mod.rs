//! The scheduler: which node a Pod goes to, or why it goes nowhere.
//!
//! [`schedule`] is a pure function of a [`Snapshot`] and an [`Incoming`] Pod. It asks two lists of plugins, both in the
//! order of the real scheduler (k8s.io/kubernetes/pkg/scheduler): *filters* say where the Pod cannot go, *scores* which
//! of the rest is best. Who calls it, and what is written to the API afterwards, is the business of the controllers.
//!
//! # How to add a plugin
//!
//! A filter is one file in `filters/`. It has one function, which is called once a Pod and returns the check that is
//! then made on each node, or `None` when the Pod does not ask for what the plugin looks at:
//!
//! ```
//! use podlab_runtime::scheduler::{Check, Filter, Incoming, Rejection, Snapshot};
//!
//! /// Keeps Pods labelled `quiet` off nodes labelled `noisy`.
//! const QUIET: Filter = Filter { name: "Quiet", prepare };
//!
//! fn prepare<'a>(pod: &'a Incoming, _: &'a Snapshot) -> Result<Option<Check<'a>>, Rejection> {
//!     if !pod.info.labels.contains_key("quiet") {
//!         return Ok(None);
//!     }
//!     Ok(Some(Box::new(|node| match node.labels.contains_key("noisy") {
//!         true => Err(Rejection::permanent("node(s) were noisy")),
//!         false => Ok(()),
//!     })))
//! }
//! # assert_eq!(QUIET.name, "Quiet");
//! ```
//!
//! Add it to [`filters::ALL`]; the text of the rejection then appears, counted, in the Pod's `FailedScheduling` event.
//! A score is one file in `scores/`: one function that rates all nodes which passed the filters, each from 0 to
//! [`scores::MAX`]; add it to [`scores::ALL`] with its weight. Nothing else has to change.

pub mod diagnosis;
pub mod filters;
pub mod groups;
pub mod persistent;
pub mod queue;
pub mod resources;
pub mod scores;
pub mod selector;
pub mod siblings;
pub mod snapshot;
pub mod topology;

pub use diagnosis::{Diagnosis, Rejection};
pub use filters::{Check, Filter};
pub use scores::Score;
pub use snapshot::{Incoming, NodeInfo, PodInfo, Snapshot};

use std::hash::{DefaultHasher, Hash, Hasher};

/// Fewer feasible nodes than this are never enough to stop looking for more.
const MIN_FEASIBLE: usize = 100;

/// Where a Pod goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    pub node: String,
    /// How many nodes were looked at, and how many of them would have done.
    pub examined: usize,
    pub feasible: usize,
}

/// What `podlab explain schedule` prints of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub node: String,
    /// The filter that refused it, and its reasons.
    pub rejection: Option<(&'static str, Rejection)>,
    /// Each score with its weight; empty for a refused node.
    pub scores: Vec<(&'static str, i64, i64)>,
}

impl Verdict {
    /// The sum that decides.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.scores.iter().map(|(_, score, weight)| score * weight).sum()
    }
}

/// Chooses a node for a Pod.
///
/// On a large cluster not every node is looked at: the search starts where the last one ended (`start`, which the caller
/// advances by [`Placement::examined`]) and ends when enough nodes would do. Equal nodes are told apart by the Pod's
/// uid, so the same input gives the same answer.
///
/// # Errors
/// A [`Diagnosis`]: why each node was refused.
pub fn schedule(snapshot: &Snapshot, pod: &Incoming, start: usize) -> Result<Placement, Diagnosis> {
    schedule_by(scores::ALL, snapshot, pod, start)
}

/// The same with other scores, such as [`scores::packing`].
///
/// # Errors
/// A [`Diagnosis`]: why each node was refused.
pub fn schedule_by(
    scores: &[Score],
    snapshot: &Snapshot,
    pod: &Incoming,
    start: usize,
) -> Result<Placement, Diagnosis> {
    let checks = prepare(snapshot, pod)?;
    let nodes = snapshot.nodes();
    let enough = enough_feasible(nodes.len());
    let mut diagnosis = Diagnosis::new(nodes.len(), pod.may_preempt);
    let mut feasible: Vec<&NodeInfo> = Vec::with_capacity(enough.min(nodes.len()));
    let mut examined = 0;
    for offset in 0..nodes.len() {
        let node = &nodes[(start + offset) % nodes.len()];
        examined += 1;
        match check(&checks, node) {
            Ok(()) => feasible.push(node),
            Err((_, rejection)) => diagnosis.add(rejection),
        }
        if feasible.len() >= enough {
            break;
        }
    }
    match best(scores, snapshot, pod, &feasible) {
        Some(node) => Ok(Placement { node: node.name.clone(), examined, feasible: feasible.len() }),
        None => Err(diagnosis),
    }
}

/// The same for all nodes, with every reason and every score.
#[must_use]
pub fn explain(snapshot: &Snapshot, pod: &Incoming) -> Vec<Verdict> {
    let checks = match prepare(snapshot, pod) {
        Ok(checks) => checks,
        Err(diagnosis) => {
            let rejection = diagnosis.whole_pod().cloned().unwrap_or_default();
            let refuse = |node: &NodeInfo| Verdict {
                node: node.name.clone(),
                rejection: Some(("the Pod itself", rejection.clone())),
                scores: Vec::new(),
            };
            return snapshot.nodes().iter().map(refuse).collect();
        }
    };
    let results: Vec<_> = snapshot.nodes().iter().map(|node| (node, check(&checks, node))).collect();
    let feasible: Vec<&NodeInfo> = results.iter().filter(|(_, result)| result.is_ok()).map(|(node, _)| *node).collect();
    let rated: Vec<(&Score, Vec<i64>)> =
        scores::ALL.iter().map(|score| (score, (score.rate)(pod, snapshot, &feasible))).collect();
    let mut at = 0;
    let verdict = |(node, result): (&NodeInfo, Result<(), _>)| match result {
        Err(rejection) => Verdict { node: node.name.clone(), rejection: Some(rejection), scores: Vec::new() },
        Ok(()) => {
            let scores = rated
                .iter()
                .filter_map(|(score, rates)| rates.get(at).map(|rate| (score.name, *rate, score.weight)))
                .collect();
            at += 1;
            Verdict { node: node.name.clone(), rejection: None, scores }
        }
    };
    results.into_iter().map(verdict).collect()
}

type Checks<'a> = Vec<(&'static str, Check<'a>)>;

fn prepare<'a>(snapshot: &'a Snapshot, pod: &'a Incoming) -> Result<Checks<'a>, Diagnosis> {
    let mut checks = Vec::with_capacity(filters::ALL.len());
    for filter in filters::ALL {
        match (filter.prepare)(pod, snapshot) {
            Ok(Some(check)) => checks.push((filter.name, check)),
            Ok(None) => {}
            Err(rejection) => {
                return Err(Diagnosis::of_pod(snapshot.nodes().len(), pod.may_preempt, rejection));
            }
        }
    }
    Ok(checks)
}

/// The first filter that refuses a node speaks for all: so does the real one, which is why its counts add up.
fn check(checks: &Checks<'_>, node: &NodeInfo) -> Result<(), (&'static str, Rejection)> {
    checks.iter().try_for_each(|(name, check)| check(node).map_err(|rejection| (*name, rejection)))
}

fn best<'a>(scores: &[Score], snapshot: &Snapshot, pod: &Incoming, feasible: &[&'a NodeInfo]) -> Option<&'a NodeInfo> {
    if feasible.len() < 2 {
        return feasible.first().copied();
    }
    let mut totals = vec![0_i64; feasible.len()];
    for score in scores {
        for (total, rate) in totals.iter_mut().zip((score.rate)(pod, snapshot, feasible)) {
            *total += rate * score.weight;
        }
    }
    let top = *totals.iter().max()?;
    let winners: Vec<&NodeInfo> =
        feasible.iter().zip(&totals).filter(|(_, total)| **total == top).map(|(node, _)| *node).collect();
    winners.get(draw(&pod.info.uid, winners.len())).copied()
}

/// One of `count`, spread evenly over uids, and the same each time.
fn draw(uid: &str, count: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    usize::try_from(hasher.finish() % count.max(1) as u64).unwrap_or(0)
}

/// How many feasible nodes end the search: all up to a hundred, half of some more, a tenth of five thousand
/// (`numFeasibleNodesToFind` in k8s.io/kubernetes/pkg/scheduler/schedule_one.go).
fn enough_feasible(nodes: usize) -> usize {
    if nodes <= MIN_FEASIBLE {
        return nodes.max(1);
    }
    let percent = 50_usize.saturating_sub(nodes / 125).max(5);
    (nodes * percent / 100).max(MIN_FEASIBLE)
}

#[cfg(test)]
mod tests;
