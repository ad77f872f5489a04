//! What node affinity prefers: the sum of the weights of the terms that hold.

use super::super::selector::term_selects;
use super::super::snapshot::{Incoming, NodeInfo, Snapshot};
use super::normalize;

pub(super) fn rate(pod: &Incoming, _: &Snapshot, nodes: &[&NodeInfo]) -> Vec<i64> {
    let preferred = pod
        .spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_deref())
        .unwrap_or_default();
    if preferred.is_empty() {
        return Vec::new();
    }
    let weight = |node: &NodeInfo| {
        preferred.iter().filter(|term| term_selects(&term.preference, node)).map(|term| i64::from(term.weight)).sum()
    };
    normalize(nodes.iter().map(|node| weight(node)).collect(), false)
}
