//! Spreads the Pods of one application over hosts and zones (k8s.io/kubernetes/pkg/scheduler/framework/plugins/
//! podtopologyspread/scoring.go).
//!
//! What is spread is said by the Pod's own `ScheduleAnyway` constraints. A Pod without any constraint is spread by the
//! defaults, over hosts and over zones, among the Pods that the Services and controllers which select it select.

use std::rc::Rc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::super::selector::{Labels, matches};
use super::super::snapshot::{Incoming, NodeInfo, Snapshot};
use super::MAX;

const HOST: &str = "kubernetes.io/hostname";
/// What a Pod without constraints of its own is spread over, and by how much a domain may be ahead at no cost.
const DEFAULTS: [(&str, i32); 2] = [(HOST, 3), ("topology.kubernetes.io/zone", 5)];

struct Constraint<'a> {
    key: &'a str,
    max_skew: i32,
    /// How many Pods that count each node has, by the nodes' positions.
    pods: Rc<[i32]>,
}

pub(super) fn rate(pod: &Incoming, snapshot: &Snapshot, nodes: &[&NodeInfo]) -> Vec<i64> {
    // Pods count that all the selectors select, and that have these labels as the incoming Pod has them.
    let count = |selectors: &[&LabelSelector], same: &[String]| -> Rc<[i32]> {
        let alike = |labels: &Labels| {
            selectors.iter().all(|selector| matches(selector, labels))
                && same.iter().all(|key| labels.get(key) == pod.info.labels.get(key))
        };
        snapshot.groups().count(&pod.info.namespace, alike).into()
    };
    let own = pod.spec.topology_spread_constraints.as_deref().unwrap_or_default();
    let constraints: Vec<Constraint<'_>> = if own.is_empty() {
        if pod.siblings.is_empty() {
            return Vec::new();
        }
        let pods = count(&pod.siblings.iter().collect::<Vec<_>>(), &[]);
        DEFAULTS.iter().map(|(key, max_skew)| Constraint { key, max_skew: *max_skew, pods: pods.clone() }).collect()
    } else {
        own.iter()
            .filter(|constraint| constraint.when_unsatisfiable == "ScheduleAnyway")
            .filter_map(|constraint| {
                // No selector selects nothing here, other than an empty one.
                let selectors = [constraint.label_selector.as_ref()?];
                let same = constraint.match_label_keys.as_deref().unwrap_or_default();
                let (key, max_skew) = (constraint.topology_key.as_str(), constraint.max_skew);
                Some(Constraint { key, max_skew, pods: count(&selectors, same) })
            })
            .collect()
    };
    if constraints.is_empty() || nodes.is_empty() {
        return Vec::new();
    }
    // A Pod's own constraints are for nodes that have all their labels; the defaults take what there is.
    let counts_at_all = |node: &NodeInfo| {
        own.is_empty() || constraints.iter().all(|constraint| node.labels.contains_key(constraint.key))
    };
    let mut raw: Vec<Option<f64>> = nodes.iter().map(|node| counts_at_all(node).then_some(0.0)).collect();
    for constraint in &constraints {
        add(constraint, snapshot, nodes, &mut raw);
    }
    normalize(&raw)
}

/// Adds what one constraint costs on each node.
fn add(constraint: &Constraint<'_>, snapshot: &Snapshot, nodes: &[&NodeInfo], raw: &mut [Option<f64>]) {
    let Some(topology) = snapshot.topology(constraint.key) else { return };
    // Of the nodes that count.
    let mut seen = vec![false; topology.limit()];
    for (node, _) in nodes.iter().zip(raw.iter()).filter(|(_, raw)| raw.is_some()) {
        if let Some(domain) = topology.domain(node.position) {
            seen[domain] = true;
        }
    }
    let domains = seen.into_iter().filter(|seen| *seen).count();
    // Of all nodes.
    let mut pods = vec![0; topology.limit()];
    for (position, count) in constraint.pods.iter().enumerate().filter(|(_, count)| **count > 0) {
        if let Some(domain) = topology.domain(position) {
            pods[domain] += count;
        }
    }
    // The more domains, the less a single Pod more or less in one of them says.
    let weight = (domains as f64 + 2.0).ln();
    for (node, raw) in nodes.iter().zip(raw) {
        let (Some(raw), Some(domain)) = (raw, topology.domain(node.position)) else { continue };
        *raw += f64::from(pods[domain]) * weight + f64::from(constraint.max_skew - 1);
    }
}

/// The least costs most points. Nodes that do not count at all get none.
fn normalize(raw: &[Option<f64>]) -> Vec<i64> {
    let rounded: Vec<Option<i64>> = raw.iter().map(|raw| raw.map(|raw| raw.round() as i64)).collect();
    let least = rounded.iter().flatten().copied().min().unwrap_or_default();
    let most = rounded.iter().flatten().copied().max().unwrap_or_default();
    let rate = |cost: i64| if most == 0 { MAX } else { MAX * (most + least - cost) / most };
    rounded.into_iter().map(|cost| cost.map_or(0, rate)).collect()
}
