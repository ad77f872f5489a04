//! Prefers the emptiest node: the share of CPU and memory that would still be free.

use super::super::snapshot::{Incoming, NodeInfo, Snapshot};
use super::MAX;

pub(super) fn rate(pod: &Incoming, _: &Snapshot, nodes: &[&NodeInfo]) -> Vec<i64> {
    let free = |has: i64, taken: i64| if has <= 0 || taken > has { 0 } else { (has - taken) * MAX / has };
    nodes
        .iter()
        .map(|node| {
            let cpu = free(node.allocatable.milli_cpu, node.scored.milli_cpu + pod.info.scored.milli_cpu);
            let memory = free(node.allocatable.memory, node.scored.memory + pod.info.scored.memory);
            i64::midpoint(cpu, memory)
        })
        .collect()
}
