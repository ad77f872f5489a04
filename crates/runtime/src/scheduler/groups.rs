//! Pods that are alike, counted by node: what spreading asks for.
//!
//! Pods of one application have equal labels. So a selector is held against each *set* of labels once, not against each
//! Pod, and the cost of a decision does not grow with the Pods of other applications.

use std::collections::{BTreeMap, HashMap};

use super::selector::Labels;
use super::snapshot::PodInfo;

/// How many Pods with the same namespace and labels each node has, by the nodes' positions. Those that are being deleted
/// do not count.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    counts: HashMap<String, HashMap<Labels, BTreeMap<usize, i32>>>,
}

impl Groups {
    pub(super) fn add(&mut self, pod: &PodInfo, position: usize) {
        if pod.terminating {
            return;
        }
        // Looked up before they are cloned: nearly always they are there.
        if !self.counts.contains_key(&pod.namespace) {
            self.counts.insert(pod.namespace.clone(), HashMap::new());
        }
        let Some(groups) = self.counts.get_mut(&pod.namespace) else { return };
        if !groups.contains_key(&pod.labels) {
            groups.insert(pod.labels.clone(), BTreeMap::new());
        }
        let Some(nodes) = groups.get_mut(&pod.labels) else { return };
        *nodes.entry(position).or_default() += 1;
    }

    pub(super) fn remove(&mut self, pod: &PodInfo, position: usize) {
        if pod.terminating {
            return;
        }
        let Some(groups) = self.counts.get_mut(&pod.namespace) else { return };
        let Some(nodes) = groups.get_mut(&pod.labels) else { return };
        if let Some(count) = nodes.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(&position);
            }
        }
        if nodes.is_empty() {
            groups.remove(&pod.labels);
        }
    }

    /// The node at this position is gone; those behind it move up.
    pub(super) fn remove_node(&mut self, gone: usize) {
        for groups in self.counts.values_mut() {
            for nodes in groups.values_mut() {
                let behind = nodes.split_off(&gone).into_iter().filter(|(position, _)| *position > gone);
                nodes.extend(behind.map(|(position, count)| (position - 1, count)));
            }
            groups.retain(|_, nodes| !nodes.is_empty());
        }
    }

    /// How many Pods of a namespace whose labels are `alike` each node has, by the nodes' positions. Nodes behind the last
    /// that has any are left out.
    #[must_use]
    pub fn count(&self, namespace: &str, alike: impl Fn(&Labels) -> bool) -> Vec<i32> {
        let mut sums = Vec::new();
        for (labels, nodes) in self.counts.get(namespace).into_iter().flatten() {
            let Some((last, _)) = nodes.last_key_value() else { continue };
            if !alike(labels) {
                continue;
            }
            if sums.len() <= *last {
                sums.resize(last + 1, 0);
            }
            for (position, count) in nodes {
                sums[*position] += count;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, app: &str, terminating: bool) -> PodInfo {
        let labels = [("app".to_owned(), app.to_owned())].into();
        let (namespace, name) = ("default".to_owned(), name.to_owned());
        PodInfo { namespace, name, labels, terminating, ..PodInfo::default() }
    }

    #[test]
    fn likes_are_counted_by_node_until_they_go() {
        let mut groups = Groups::default();
        for (name, app, node) in [("a", "web", 1), ("b", "web", 2), ("c", "web", 2), ("d", "db", 2), ("f", "db", 4)] {
            groups.add(&pod(name, app, false), node);
        }
        groups.add(&pod("e", "web", true), 1);
        let web = |labels: &Labels| labels["app"] == "web";
        assert_eq!(groups.count("default", web), [0, 1, 2]);
        assert!(groups.count("other", web).is_empty());
        groups.remove(&pod("a", "web", false), 1);
        assert_eq!(groups.count("default", web), [0, 0, 2]);
        groups.remove_node(1);
        assert_eq!(groups.count("default", web), [0, 2], "it moved up");
        assert_eq!(groups.count("default", |_| true), [0, 3, 0, 1]);
        groups.remove_node(1);
        assert!(groups.count("default", web).is_empty(), "it is gone");
    }
}
