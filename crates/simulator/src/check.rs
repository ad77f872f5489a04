//! What must always hold.

use k8s_openapi::api::core::v1::Pod;
use podlab_controllers::objects::{node_of, phase};

/// Something that must never be, was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

/// A Pod's life goes one way, and stays on one node.
pub(crate) fn legal(before: &Pod, after: &Pod) -> Result<(), Violation> {
    let name = before.metadata.name.as_deref().unwrap_or_default();
    let (from, to) = (phase(before), phase(after));
    let legal = matches!(
        (from, to),
        ("Pending" | "", "Pending" | "Running" | "Succeeded" | "Failed")
            | ("Running", "Running" | "Succeeded" | "Failed")
            | ("Succeeded", "Succeeded")
            | ("Failed", "Failed")
    );
    if !legal {
        return Err(Violation(format!("Pod {name} went from {from} to {to}")));
    }
    if node_of(before) != node_of(after) {
        return Err(Violation(format!("Pod {name} moved from {:?} to {:?}", node_of(before), node_of(after))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(phase: &str, node: Option<&str>) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": "a" },
            "spec": { "containers": [], "nodeName": node },
            "status": { "phase": phase },
        }))
        .expect("a Pod")
    }

    #[test]
    fn a_life_goes_one_way_on_one_node() {
        let at = |phase| pod(phase, Some("node1"));
        assert_eq!(legal(&at("Pending"), &at("Running")), Ok(()));
        assert!(legal(&at("Succeeded"), &at("Running")).is_err());
        assert!(legal(&at("Running"), &at("Pending")).is_err());
        assert!(legal(&at("Running"), &pod("Running", Some("node2"))).is_err());
    }
}
