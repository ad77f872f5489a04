//! Spreads the Pods of one application over hosts and zones (k8s.io/kubernetes/pkg/scheduler/framework/plugins/
//! podtopologyspread/scoring.go).
//!
//! What is spread is said by the Pod's own `ScheduleAnyway` constraints. A Pod without any constraint is spread by the
//! defaults, over hosts and over zones, among the Pods that the Services and controllers which select it select.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Pods that count: those that all of these select.
    selectors: Vec<&'a LabelSelector>,
    /// And that have these labels as the incoming Pod has them.
    same: &'a [String],
}

pub(super) fn rate(pod: &Incoming, snapshot: &Snapshot, nodes: &[&NodeInfo]) -> Vec<i64> {
    let own = pod.spec.topology_spread_constraints.as_deref().unwrap_or_default();
    let constraints: Vec<Constraint<'_>> = if own.is_empty() {
        let selectors: Vec<_> = pod.siblings.iter().collect();
        let defaults = if selectors.is_empty() { &[][..] } else { &DEFAULTS[..] };
        defaults
            .iter()
            .map(|(key, max_skew)| Constraint { key, max_skew: *max_skew, selectors: selectors.clone(), same: &[] })
            .collect()
    } else {
        own.iter()
            .filter(|constraint| constraint.when_unsatisfiable == "ScheduleAnyway")
            .filter_map(|constraint| {
                Some(Constraint {
                    key: &constraint.topology_key,
                    max_skew: constraint.max_skew,
                    // No selector selects nothing here, other than an empty one.
                    selectors: vec![constraint.label_selector.as_ref()?],
                    same: constraint.match_label_keys.as_deref().unwrap_or_default(),
                })
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
        add(constraint, pod, snapshot, nodes, &mut raw);
    }
    normalize(&raw)
}

/// Adds what one constraint costs on each node.
fn add(constraint: &Constraint<'_>, pod: &Incoming, snapshot: &Snapshot, nodes: &[&NodeInfo], raw: &mut [Option<f64>]) {
    let alike = |labels: &Labels| {
        constraint.selectors.iter().all(|selector| matches(selector, labels))
            && constraint.same.iter().all(|key| labels.get(key) == pod.info.labels.get(key))
    };
    let by_node = snapshot.groups().count(&pod.info.namespace, alike);
    let domain = |node: &'_ NodeInfo| node.labels.get(constraint.key).cloned();
    let is_host = constraint.key == HOST;
    let (mut by_domain, domains) = (
        BTreeMap::<&str, i32>::new(),
        if is_host {
            raw.iter().filter(|raw| raw.is_some()).count()
        } else {
            let all = nodes.iter().zip(raw.iter()).filter(|(_, raw)| raw.is_some());
            all.filter_map(|(node, _)| domain(node)).collect::<BTreeSet<_>>().len()
        },
    );
    if !is_host {
        for (node, count) in &by_node {
            if let Some(value) = snapshot.node(node).and_then(|node| node.labels.get(constraint.key)) {
                *by_domain.entry(value).or_default() += count;
            }
        }
    }
    // The more domains, the less a single Pod more or less in one of them says.
    let weight = (domains as f64 + 2.0).ln();
    for (node, raw) in nodes.iter().zip(raw) {
        let (Some(raw), Some(value)) = (raw, node.labels.get(constraint.key)) else { continue };
        let count = if is_host { by_node.get(node.name.as_str()) } else { by_domain.get(value.as_str()) };
        *raw += f64::from(count.copied().unwrap_or_default()) * weight + f64::from(constraint.max_skew - 1);
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
