//! What must hold in the end: once nothing goes wrong any more, every set has its Pods, and they are at work.

use k8s_openapi::api::core::v1::Pod;
use podlab_controllers::objects::{controller_of, has_ended, node_of};
use podlab_controllers::replica_set;

use crate::check::Violation;
use crate::world::World;

/// Whether the cluster is at rest; the first thing that is not as it should be otherwise.
pub(crate) fn check(world: &World) -> Result<(), Violation> {
    world.store.check_acknowledged()?;
    for (index, node) in world.nodes.iter().enumerate() {
        if !node.machine.up || !node.kubelet.alive {
            return Err(Violation(format!("node{} is down", index + 1)));
        }
    }
    for set in &world.store.sets {
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let mine = |pod: &&Pod| controller_of(&pod.metadata).is_some_and(|owner| owner.name == name);
        let pods = world.store.pods.values().map(|stored| stored.object.as_ref());
        let (mut active, mut ending) = (0, 0);
        for pod in pods.filter(mine).filter(|pod| !has_ended(pod)) {
            match pod.metadata.deletion_timestamp {
                Some(_) => ending += 1,
                None => active += 1,
            }
            at_work(world, pod)?;
        }
        if ending > 0 || active != replica_set::replicas(set) {
            let wanted = replica_set::replicas(set);
            return Err(Violation(format!("{name} wants {wanted} Pods, has {active}, and {ending} are ending")));
        }
    }
    Ok(())
}

/// A Pod has a node, and its containers run there or are about to be started again.
fn at_work(world: &World, pod: &Pod) -> Result<(), Violation> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let Some(node) = node_of(pod).and_then(|node| world.store.node_index(node)) else {
        return Err(Violation(format!("Pod {name} has no node")));
    };
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let there = world.nodes[node].machine.pods.get(uid);
    if !there.is_some_and(|pod| pod.state.alive && !pod.state.containers.is_empty()) {
        return Err(Violation(format!("Pod {name} is not on its node, node{}", node + 1)));
    }
    Ok(())
}
