//! Prefers nodes whose CPU and memory would be used in equal shares, so that neither is left over alone.

use super::super::snapshot::{Incoming, NodeInfo, Snapshot};
use super::MAX;

pub(super) fn rate(pod: &Incoming, _: &Snapshot, nodes: &[&NodeInfo]) -> Vec<i64> {
    // Like the real one, no opinion on a Pod that requests nothing: it changes no node's balance.
    if pod.info.requests.milli_cpu == 0 && pod.info.requests.memory == 0 {
        return Vec::new();
    }
    let share = |has: i64, taken: i64| (has > 0).then(|| (taken as f64 / has as f64).min(1.0));
    nodes
        .iter()
        .map(|node| {
            let cpu = share(node.allocatable.milli_cpu, node.requested.milli_cpu + pod.info.requests.milli_cpu);
            let memory = share(node.allocatable.memory, node.requested.memory + pod.info.requests.memory);
            // Of two numbers, the standard deviation is half their distance.
            let deviation = cpu.zip(memory).map_or(0.0, |(cpu, memory)| (cpu - memory).abs() / 2.0);
            ((1.0 - deviation) * MAX as f64) as i64
        })
        .collect()
}
