//! Topology spread with `DoNotSchedule`: no zone (host, rack) may get further ahead of the emptiest than is allowed.

use k8s_openapi::api::core::v1::TopologySpreadConstraint;

use super::super::diagnosis::Rejection;
use super::super::selector::{Labels, contains, matches, selects_node};
use super::super::snapshot::{Incoming, NodeInfo, Snapshot};
use super::super::topology::Topology;
use super::Check;
use super::taints::tolerated;

/// A constraint, and how many matching Pods each domain of its topology has.
struct Domains<'a> {
    constraint: &'a TopologySpreadConstraint,
    topology: Option<&'a Topology>,
    /// By the domains' numbers; none for what is no domain of this Pod's.
    counts: Vec<Option<i32>>,
    /// In the emptiest.
    least: i32,
    /// Whether the Pod itself counts where it goes.
    itself: i32,
}

pub(super) fn prepare<'a>(pod: &'a Incoming, cluster: &'a Snapshot) -> Result<Option<Check<'a>>, Rejection> {
    let hard: Vec<&TopologySpreadConstraint> = pod
        .spec
        .topology_spread_constraints
        .iter()
        .flatten()
        .filter(|constraint| constraint.when_unsatisfiable == "DoNotSchedule")
        .collect();
    if hard.is_empty() {
        return Ok(None);
    }
    let all: Vec<Domains<'a>> = hard.iter().map(|constraint| count(pod, constraint, &hard, cluster)).collect();
    Ok(Some(Box::new(move |node| {
        for domains in &all {
            let Some(domain) = domains.topology.and_then(|topology| topology.domain(node.position)) else {
                let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
                return Err(Rejection::permanent(reason));
            };
            let here = domains.counts[domain].unwrap_or_default();
            if here + domains.itself - domains.least > domains.constraint.max_skew {
                return Err(Rejection::resolvable("node(s) didn't match pod topology spread constraints"));
            }
        }
        Ok(())
    })))
}

/// How many the emptiest domain has. With fewer domains than are wanted, those that are missing count as empty.
fn least(constraint: &TopologySpreadConstraint, counts: &[Option<i32>]) -> i32 {
    let few = i32::try_from(counts.iter().flatten().count()).unwrap_or(i32::MAX);
    if constraint.min_domains.is_some_and(|wanted| few < wanted) {
        return 0;
    }
    counts.iter().flatten().copied().min().unwrap_or_default()
}

fn count<'a>(
    pod: &'a Incoming,
    constraint: &'a TopologySpreadConstraint,
    hard: &[&TopologySpreadConstraint],
    cluster: &'a Snapshot,
) -> Domains<'a> {
    // No selector selects nothing here, other than an empty one.
    let selects = |labels: &_| constraint.label_selector.as_ref().is_some_and(|selector| matches(selector, labels));
    let alike = |labels: &Labels| {
        let keys = constraint.match_label_keys.iter().flatten();
        selects(labels) && keys.into_iter().all(|key| labels.get(key) == pod.info.labels.get(key))
    };
    let placed = cluster.groups().count(&pod.info.namespace, alike);
    let topology = cluster.topology(&constraint.topology_key);
    let domain = |node: &NodeInfo| topology.and_then(|topology| topology.domain(node.position));
    let mut counts: Vec<Option<i32>> = vec![None; topology.map_or(0, Topology::limit)];
    let complete = |node: &NodeInfo| hard.iter().all(|constraint| node.labels.contains_key(&constraint.topology_key));
    if hard.len() == 1 && considers_all(pod, constraint) {
        topology.into_iter().flat_map(Topology::domains).for_each(|domain| counts[domain] = Some(0));
    } else {
        let considered = |node: &&NodeInfo| complete(node) && is_considered(pod, constraint, node);
        cluster.nodes().iter().filter(considered).filter_map(domain).for_each(|domain| counts[domain] = Some(0));
    }
    for (node, here) in cluster.nodes().iter().zip(placed).filter(|(_, here)| *here > 0) {
        let count = domain(node).and_then(|domain| counts[domain].as_mut());
        if let Some(count) = count.filter(|_| complete(node) && is_considered(pod, constraint, node)) {
            *count += here;
        }
    }
    let least = least(constraint, &counts);
    Domains { constraint, topology, counts, least, itself: i32::from(selects(&pod.info.labels)) }
}

/// Whether no node is left out, so that the domains are those of all nodes.
fn considers_all(pod: &Incoming, constraint: &TopologySpreadConstraint) -> bool {
    let chooses = pod.spec.node_selector.is_some() || pod.spec.affinity.is_some();
    constraint.node_taints_policy.as_deref() != Some("Honor")
        && (!chooses || constraint.node_affinity_policy.as_deref() == Some("Ignore"))
}

/// Nodes to which the Pod could not go anyway are no domains, unless the constraint says that they are.
fn is_considered(pod: &Incoming, constraint: &TopologySpreadConstraint, node: &NodeInfo) -> bool {
    let honour_affinity = constraint.node_affinity_policy.as_deref() != Some("Ignore");
    let honour_taints = constraint.node_taints_policy.as_deref() == Some("Honor");
    let spec = &pod.spec;
    let selected = spec.node_selector.as_ref().is_none_or(|labels| contains(labels, &node.labels))
        && spec
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.as_ref())
            .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref())
            .is_none_or(|required| selects_node(&required.node_selector_terms, node));
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let tolerates = || {
        let hard = |effect: &str| matches!(effect, "NoSchedule" | "NoExecute");
        node.taints.iter().filter(|taint| hard(&taint.effect)).all(|taint| tolerated(taint, tolerations))
    };
    (!honour_affinity || selected) && (!honour_taints || tolerates())
}
