//! Prefers nodes whose CPU and memory would be used in equal shares, so that neither is left over alone.

use super::super::snapshot::{Incoming, NodeInfo, Snapshot};
use super::MAX;

pub(super) fn rate(pod: &Incoming, _: &Snapshot, nodes: &[&NodeInfo]) -> Vec<i64> {
    // Like the real one, no opinion on a Pod that requests nothing: it changes no node's balance.
    if pod.info.requests.milli_cpu == 0 && pod.info.requests.memory == 0 {
        return Vec::new();
    }
    // Shares in millionths: whole numbers give the same answer on every machine.
    let share = |has: i64, taken: i64| match has {
        0 => 1_000_000,
        has => i64::try_from((i128::from(taken) * 1_000_000 / i128::from(has)).min(1_000_000)).unwrap_or(1_000_000),
    };
    nodes
        .iter()
        .map(|node| {
            let cpu = share(node.allocatable.milli_cpu, node.requested.milli_cpu + pod.info.requests.milli_cpu);
            let memory = share(node.allocatable.memory, node.requested.memory + pod.info.requests.memory);
            // Of two numbers, the standard deviation is half their distance.
            MAX - (cpu - memory).abs() / 2 * MAX / 1_000_000
        })
        .collect()
}
