//! Prefers the fullest node, so that others stay empty: bin packing. Not part of the default profile.

use super::super::snapshot::{Incoming, NodeInfo, Snapshot};
use super::{MAX, Score};

/// To be put in the place of `NodeResourcesFit`.
pub const PACK: Score = Score { name: "NodeResourcesFit", weight: 1, rate };

fn rate(pod: &Incoming, _: &Snapshot, nodes: &[&NodeInfo]) -> Vec<i64> {
    let used = |has: i64, taken: i64| if has <= 0 { 0 } else { taken.min(has) * MAX / has };
    nodes
        .iter()
        .map(|node| {
            let cpu = used(node.allocatable.milli_cpu, node.scored.milli_cpu + pod.info.scored.milli_cpu);
            let memory = used(node.allocatable.memory, node.scored.memory + pod.info.scored.memory);
            i64::midpoint(cpu, memory)
        })
        .collect()
}
