//! Which nodes there are, written down: it holds over restarts of the fabric and of the whole machine.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::node::{NodeConfig, USUAL_PODS};
use crate::paths::State;
use crate::supervisor::record;

/// A node of the cluster, whether it runs or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredNode {
    pub config: NodeConfig,
    /// Somebody has pulled its plug; it stays down until somebody starts it.
    pub stopped: bool,
}

/// All nodes of the cluster in this directory, in the order of their indexes.
pub fn registered(directory: &Path) -> Vec<RegisteredNode> {
    record::read(&State(directory).registry()).unwrap_or_default()
}

/// Writes down that a node is to run, or is not.
pub(super) fn register(directory: &Path, config: &NodeConfig, stopped: bool) -> Result<(), Refusal> {
    change(directory, |nodes| {
        nodes.retain(|node| node.config.name != config.name);
        nodes.push(RegisteredNode { config: config.clone(), stopped });
    })
}

/// Forgets a node.
pub(super) fn forget(directory: &Path, name: &str) -> Result<(), Refusal> {
    change(directory, |nodes| nodes.retain(|node| node.config.name != name))
}

fn change(directory: &Path, change: impl FnOnce(&mut Vec<RegisteredNode>)) -> Result<(), Refusal> {
    let before = registered(directory);
    let mut nodes = before.clone();
    change(&mut nodes);
    nodes.sort_by_key(|node| node.config.index);
    if nodes == before { Ok(()) } else { record::write(&State(directory).registry(), &nodes) }
}

/// What a fabric begins with: the nodes it was told of, as they are known if nobody says otherwise, and all others
/// that nobody has stopped.
pub(super) fn to_start(told: &[NodeConfig], known: &[RegisteredNode]) -> Vec<NodeConfig> {
    let is_told = |name: &str| told.iter().any(|node| node.name == name);
    let as_known = |node: &NodeConfig| {
        let known = known.iter().find(|known| known.config.name == node.name && !node.limited);
        let known = known.map_or_else(|| node.clone(), |known| known.config.clone());
        let pods = if node.pods == USUAL_PODS { known.pods } else { node.pods };
        NodeConfig { pods, ..known }
    };
    let others = known.iter().filter(|known| !known.stopped && !is_told(&known.config.name));
    told.iter().map(as_known).chain(others.map(|known| known.config.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, index: u8, cpu_millis: u64, limited: bool) -> NodeConfig {
        NodeConfig {
            name: name.to_owned(),
            index,
            cpu_millis,
            memory: 1 << 30,
            pods: USUAL_PODS,
            limited,
            labels: Default::default(),
            taints: Vec::new(),
        }
    }

    #[test]
    fn what_is_told_runs_and_what_is_known_too() {
        let known = [
            RegisteredNode { config: node("node1", 1, 500, true), stopped: true },
            RegisteredNode { config: node("node2", 2, 500, true), stopped: true },
            RegisteredNode { config: node("big", 3, 500, true), stopped: false },
        ];
        let started = |told: &[NodeConfig]| -> Vec<(String, u64)> {
            to_start(told, &known).into_iter().map(|node| (node.name, node.cpu_millis)).collect()
        };
        let text = |name: &str, cpu| (name.to_owned(), cpu);
        assert_eq!(started(&[node("node1", 1, 4000, false)]), [text("node1", 500), text("big", 500)]);
        assert_eq!(started(&[node("node1", 1, 2000, true)]), [text("node1", 2000), text("big", 500)]);
        let many = NodeConfig { pods: 500, ..node("node1", 1, 4000, false) };
        assert_eq!(to_start(&[many], &known)[0], NodeConfig { pods: 500, ..node("node1", 1, 500, true) });
    }

    #[test]
    fn a_node_is_written_down_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(registered(path), []);
        register(path, &node("node2", 2, 1, false), false).unwrap();
        register(path, &node("node1", 1, 1, false), false).unwrap();
        register(path, &node("node2", 2, 1, false), true).unwrap();
        let names: Vec<_> = registered(path).into_iter().map(|node| (node.config.name, node.stopped)).collect();
        assert_eq!(names, [("node1".to_owned(), false), ("node2".to_owned(), true)]);
        forget(path, "node1").unwrap();
        assert_eq!(registered(path).len(), 1);
    }
}
