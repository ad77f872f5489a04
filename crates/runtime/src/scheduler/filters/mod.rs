//! Where a Pod cannot go. Each filter is a file of one idea.

mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources;
mod node_unschedulable;
mod taints;
mod topology_spread;
mod volume_binding;
mod volume_restrictions;

pub use taints::tolerated;
pub use volume_binding::{Step, steps};

use super::diagnosis::Rejection;
use super::snapshot::{Incoming, NodeInfo, Snapshot};

/// What a filter asks of each node.
pub type Check<'a> = Box<dyn Fn(&NodeInfo) -> Result<(), Rejection> + 'a>;

/// A filter. `prepare` is called once a Pod; `Ok(None)` means that every node will do, and an error that none can.
pub struct Filter {
    pub name: &'static str,
    pub prepare: for<'a> fn(&'a Incoming, &'a Snapshot) -> Result<Option<Check<'a>>, Rejection>,
}

/// All filters. The order is that of the real scheduler: the first to refuse a node gives the reason that is counted.
pub const ALL: &[Filter] = &[
    Filter { name: "NodeUnschedulable", prepare: node_unschedulable::prepare },
    Filter { name: "NodeName", prepare: node_name::prepare },
    Filter { name: "TaintToleration", prepare: taints::prepare },
    Filter { name: "NodeAffinity", prepare: node_affinity::prepare },
    Filter { name: "NodePorts", prepare: node_ports::prepare },
    Filter { name: "NodeResourcesFit", prepare: node_resources::prepare },
    Filter { name: "VolumeRestrictions", prepare: volume_restrictions::prepare },
    Filter { name: "VolumeBinding", prepare: volume_binding::prepare },
    Filter { name: "PodTopologySpread", prepare: topology_spread::prepare },
];
