//! Pods that are alike, counted by node: what spreading asks for.
//!
//! Pods of one application have equal labels. So a selector is held against each *set* of labels once, not against each
//! Pod, and the cost of a decision does not grow with the Pods of other applications.

use std::collections::{BTreeMap, HashMap};

use super::selector::Labels;
use super::snapshot::PodInfo;

/// How many Pods with the same namespace and labels each node has. Those that are being deleted do not count.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// By namespace, labels and node.
    counts: HashMap<String, HashMap<Labels, HashMap<String, i32>>>,
}

impl Groups {
    pub(super) fn add(&mut self, pod: &PodInfo, node: &str) {
        if pod.terminating {
            return;
        }
        let groups = self.counts.entry(pod.namespace.clone()).or_default();
        // Looked up before it is cloned: nearly always it is there.
        if !groups.contains_key(&pod.labels) {
            groups.insert(pod.labels.clone(), HashMap::new());
        }
        let Some(nodes) = groups.get_mut(&pod.labels) else { return };
        match nodes.get_mut(node) {
            Some(count) => *count += 1,
            None => drop(nodes.insert(node.to_owned(), 1)),
        }
    }

    pub(super) fn remove(&mut self, pod: &PodInfo, node: &str) {
        if pod.terminating {
            return;
        }
        let Some(groups) = self.counts.get_mut(&pod.namespace) else { return };
        let Some(nodes) = groups.get_mut(&pod.labels) else { return };
        if let Some(count) = nodes.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(node);
            }
        }
        if nodes.is_empty() {
            groups.remove(&pod.labels);
        }
    }

    /// How many Pods of a namespace whose labels are `alike` each node has; nodes without any are left out.
    #[must_use]
    pub fn count(&self, namespace: &str, alike: impl Fn(&Labels) -> bool) -> BTreeMap<&str, i32> {
        let mut sums: BTreeMap<&str, i32> = BTreeMap::new();
        for (labels, nodes) in self.counts.get(namespace).into_iter().flatten() {
            if alike(labels) {
                for (node, count) in nodes {
                    *sums.entry(node).or_default() += count;
                }
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
        for (name, app, node) in [("a", "web", "n1"), ("b", "web", "n2"), ("c", "web", "n2"), ("d", "db", "n2")] {
            groups.add(&pod(name, app, false), node);
        }
        groups.add(&pod("e", "web", true), "n1");
        let web = |labels: &Labels| labels["app"] == "web";
        assert_eq!(groups.count("default", web), [("n1", 1), ("n2", 2)].into());
        assert_eq!(groups.count("other", web), BTreeMap::new());
        groups.remove(&pod("a", "web", false), "n1");
        assert_eq!(groups.count("default", web), [("n2", 2)].into());
    }
}
