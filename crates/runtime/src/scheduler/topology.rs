//! Topologies: which value of a label (which zone, which rack, which host) each node has.
//!
//! The values of each label are numbered when nodes come and change. So a decision that counts Pods by zone adds up
//! numbers, and compares no texts.

use std::collections::HashMap;

use super::selector::Labels;

/// The values that nodes have of one label.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// The number of each value that some node has.
    numbers: HashMap<String, usize>,
    /// How many nodes have the value of each number. Without any the number is free for another value.
    nodes: Vec<usize>,
    /// By the nodes' positions.
    by_node: Vec<Option<usize>>,
}

impl Topology {
    /// The number of the value that the node at this position has, if it has the label.
    #[must_use]
    pub fn domain(&self, position: usize) -> Option<usize> {
        self.by_node.get(position).copied().flatten()
    }

    /// The numbers of all values, and no others.
    pub fn domains(&self) -> impl Iterator<Item = usize> {
        self.nodes.iter().enumerate().filter(|(_, nodes)| **nodes > 0).map(|(number, _)| number)
    }

    /// Every number is below this.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.nodes.len()
    }

    fn set(&mut self, position: usize, value: Option<&String>) {
        self.clear(position);
        let Some(value) = value else { return };
        let number = self.numbers.get(value).copied().unwrap_or_else(|| self.number(value));
        self.nodes[number] += 1;
        if self.by_node.len() <= position {
            self.by_node.resize(position + 1, None);
        }
        self.by_node[position] = Some(number);
    }

    fn clear(&mut self, position: usize) {
        let Some(number) = self.by_node.get_mut(position).and_then(Option::take) else { return };
        self.nodes[number] -= 1;
        if self.nodes[number] == 0 {
            self.numbers.retain(|_, other| *other != number);
        }
    }

    /// A number for a value that no node had so far.
    fn number(&mut self, value: &str) -> usize {
        let free =
            if self.numbers.len() < self.nodes.len() { self.nodes.iter().position(|nodes| *nodes == 0) } else { None };
        let number = free.unwrap_or(self.nodes.len());
        if number == self.nodes.len() {
            self.nodes.push(0);
        }
        self.numbers.insert(value.to_owned(), number);
        number
    }
}

/// The topologies of all labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Topologies(HashMap<String, Topology>);

impl Topologies {
    pub(super) fn get(&self, key: &str) -> Option<&Topology> {
        self.0.get(key)
    }

    /// The node at this position has these labels now.
    pub(super) fn set(&mut self, position: usize, labels: &Labels) {
        for (key, topology) in &mut self.0 {
            topology.set(position, labels.get(key));
        }
        for (key, value) in labels {
            if !self.0.contains_key(key) {
                self.0.entry(key.clone()).or_default().set(position, Some(value));
            }
        }
        self.forget_unused();
    }

    /// The node at this position is gone; those behind it move up.
    pub(super) fn remove(&mut self, position: usize) {
        for topology in self.0.values_mut() {
            topology.clear(position);
            if position < topology.by_node.len() {
                topology.by_node.remove(position);
            }
        }
        self.forget_unused();
    }

    fn forget_unused(&mut self) {
        self.0.retain(|_, topology| !topology.numbers.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// Which nodes share a zone, as far as there are any.
    fn zones(topologies: &Topologies, nodes: usize) -> Vec<Option<usize>> {
        (0..nodes).map(|position| topologies.get("zone").and_then(|zones| zones.domain(position))).collect()
    }

    #[test]
    fn nodes_of_one_value_share_a_number_and_move_up_together() {
        let mut topologies = Topologies::default();
        for (position, zone) in ["a", "b", "a"].into_iter().enumerate() {
            topologies.set(position, &labels(&[("zone", zone)]));
        }
        topologies.set(3, &labels(&[("other", "")]));
        assert_eq!(zones(&topologies, 4), [Some(0), Some(1), Some(0), None]);
        topologies.remove(0);
        assert_eq!(zones(&topologies, 3), [Some(1), Some(0), None]);
        assert_eq!(topologies.get("zone").map(|zones| zones.domains().count()), Some(2));
    }

    #[test]
    fn the_number_of_a_value_that_is_gone_is_given_again() {
        let mut topologies = Topologies::default();
        topologies.set(0, &labels(&[("zone", "a")]));
        topologies.set(1, &labels(&[("zone", "b")]));
        topologies.set(0, &labels(&[("zone", "c")]));
        assert_eq!(zones(&topologies, 2), [Some(0), Some(1)]);
        assert_eq!(topologies.get("zone").map(Topology::limit), Some(2));
        topologies.set(0, &labels(&[]));
        topologies.remove(1);
        assert!(topologies.get("zone").is_none(), "no node has it");
    }
}
