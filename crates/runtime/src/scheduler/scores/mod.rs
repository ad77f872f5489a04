//! Which of the nodes that would do is best. Each score is a file of one idea.

mod balanced;
mod image_locality;
mod least_allocated;
pub mod most_allocated;
mod node_affinity;
mod taints;
mod topology_spread;

use super::snapshot::{Incoming, NodeInfo, Snapshot};

/// The best rate.
pub const MAX: i64 = 100;

/// A score: rates the nodes that passed all filters, from 0 to [`MAX`]. An empty answer means that it has no opinion.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    pub name: &'static str,
    pub weight: i64,
    pub rate: fn(&Incoming, &Snapshot, &[&NodeInfo]) -> Vec<i64>,
}

/// All scores, with the weights of the real scheduler's default profile.
pub const ALL: &[Score] = &[
    Score { name: "TaintToleration", weight: 3, rate: taints::rate },
    Score { name: "NodeAffinity", weight: 2, rate: node_affinity::rate },
    Score { name: "PodTopologySpread", weight: 2, rate: topology_spread::rate },
    Score { name: "NodeResourcesFit", weight: 1, rate: least_allocated::rate },
    Score { name: "NodeResourcesBalancedAllocation", weight: 1, rate: balanced::rate },
    Score { name: "ImageLocality", weight: 1, rate: image_locality::rate },
];

/// The scores of a cluster that is to need few nodes: the fullest node that will do.
#[must_use]
pub fn packing() -> Vec<Score> {
    let spreads = ["NodeResourcesFit", "NodeResourcesBalancedAllocation", "PodTopologySpread"];
    let others = ALL.iter().filter(|score| !spreads.contains(&score.name)).copied();
    others.chain([most_allocated::PACK]).collect()
}

/// Stretches raw counts to 0..=MAX, so that the largest becomes MAX; `reverse` makes the largest 0.
fn normalize(mut raw: Vec<i64>, reverse: bool) -> Vec<i64> {
    let largest = raw.iter().copied().max().unwrap_or_default();
    for rate in &mut raw {
        *rate = match largest {
            0 => 0,
            largest => *rate * MAX / largest,
        };
        if reverse {
            *rate = MAX - *rate;
        }
    }
    raw
}
