//! What happens when the node runs out of memory: before the kernel chooses a process, the kubelet chooses a Pod.
//!
//! Which one, and the words for it, are those of pkg/kubelet/eviction/helpers.go: first the Pods that use more than they
//! requested, among these the less important ones, and among these the one that is most over its request.

use k8s_openapi::api::core::v1::{Container, Pod};
use podlab_api::quantity::Quantity;

use super::decide::Ending;
use super::members::{self, Role};
use super::resources::amount;
use crate::backend::PodUsage;

/// Pods are evicted when less is left than this (a kubelet's `memory.available<100Mi`).
pub const THRESHOLD: u64 = 100 << 20;

/// Important enough to be kept whatever happens (SystemCriticalPriority).
const CRITICAL: i32 = 2_000_000_000;

/// Whether a node of `capacity` bytes that uses `used` has too little left.
#[must_use]
pub fn is_short(capacity: u64, used: u64) -> bool {
    capacity.saturating_sub(used) < THRESHOLD
}

/// The Pod to be evicted, and how it ends; `None` when there is none that may be. `available` is what is left, in bytes.
#[must_use]
pub fn choose<'a>(available: u64, pods: impl Iterator<Item = (&'a Pod, &'a PodUsage)>) -> Option<(&'a Pod, Ending)> {
    let rank = |(pod, usage): &(&'a Pod, &'a PodUsage)| {
        let used: u64 = usage.containers.iter().map(|container| container.memory).sum();
        let over = i128::from(used) - i128::from(requested(pod));
        // The largest is evicted: over its request, unimportant, far over its request.
        (over > 0, std::cmp::Reverse(priority(pod)), over)
    };
    let (pod, usage) = pods.filter(|(pod, _)| priority(pod) < CRITICAL).max_by_key(rank)?;
    let message = message(available, pod, usage);
    Some((pod, Ending::Failed { reason: "Evicted", message, grace: Some(1) }))
}

fn priority(pod: &Pod) -> i32 {
    pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or_default()
}

/// Of all containers that run for as long as the Pod does, in bytes.
fn requested(pod: &Pod) -> u64 {
    counted(pod).map(|container| u64::try_from(request(&container)).unwrap_or_default()).sum()
}

fn counted(pod: &Pod) -> impl Iterator<Item = Container> + '_ {
    let sidecars = members::init(pod).filter(|member| member.role == Role::Sidecar);
    members::main(pod).chain(sidecars).map(|member| member.spec.into_owned())
}

fn request(container: &Container) -> i64 {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    amount(requests, "memory") / 1000
}

fn message(available: u64, pod: &Pod, usage: &PodUsage) -> String {
    let bytes = |bytes: u64| Quantity::from_bytes(i64::try_from(bytes).unwrap_or(i64::MAX)).to_string();
    let mut text = format!(
        "The node was low on resource: memory. Threshold quantity: {}, available: {}. ",
        bytes(THRESHOLD),
        bytes(available)
    );
    for container in counted(pod) {
        let Some(used) = usage.containers.iter().find(|used| used.name == container.name) else { continue };
        if i128::from(used.memory) <= i128::from(request(&container)) {
            continue;
        }
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let request = requests.and_then(|requests| requests.get("memory")).map_or("0", |quantity| &quantity.0);
        text += &format!(
            "Container {} was using {}, request is {request}, has larger consumption of memory. ",
            container.name,
            bytes(used.memory)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::ContainerUsage;
    use serde_json::json;

    /// A Pod of one container, which requests and uses so many MiB.
    fn pod(name: &str, priority: i32, request: Option<u64>, used: u64) -> (Pod, PodUsage) {
        let resources =
            request.map_or(json!({}), |mebibytes| json!({"requests": {"memory": format!("{mebibytes}Mi")}}));
        let pod = serde_json::from_value(json!({"metadata": {"name": name}, "spec": {
            "priority": priority, "containers": [{"name": "main", "resources": resources}],
        }}));
        let container = ContainerUsage {
            name: "main".to_owned(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            cpu_nanoseconds: 0,
            memory: used << 20,
        };
        (pod.unwrap(), PodUsage { uid: name.to_owned(), containers: vec![container] })
    }

    fn chosen(pods: &[(Pod, PodUsage)]) -> Option<&str> {
        let all = pods.iter().map(|(pod, usage)| (pod, usage));
        choose(1 << 20, all).map(|(pod, _)| pod.metadata.name.as_deref().unwrap())
    }

    #[test]
    fn who_is_most_over_its_request_goes_first() {
        let modest = pod("modest", 0, Some(500), 400);
        let over = pod("over", 0, Some(100), 200);
        let far_over = pod("far-over", 0, None, 150);
        assert_eq!(chosen(&[modest.clone(), over.clone(), far_over]), Some("far-over"));
        assert_eq!(chosen(&[modest.clone(), over.clone()]), Some("over"), "not the one that uses most");
        // The more important one stays, although it is further over.
        let important = pod("important", 1000, None, 900);
        assert_eq!(chosen(&[important.clone(), over]), Some("over"));
        assert_eq!(chosen(&[important, modest]), Some("important"), "who keeps to its request goes last");
        assert_eq!(chosen(&[pod("critical", CRITICAL, None, 900)]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn the_message_is_the_kubelets() {
        let (pod, usage) = pod("p", 0, Some(64), 200);
        let Some((_, Ending::Failed { reason, message, .. })) = choose(50 << 20, [(&pod, &usage)].into_iter()) else {
            panic!("somebody has to go")
        };
        assert_eq!(reason, "Evicted");
        assert_eq!(
            message,
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. \
             Container main was using 200Mi, request is 64Mi, has larger consumption of memory. "
        );
    }

    #[test]
    fn a_node_is_short_below_the_threshold() {
        assert!(!is_short(1 << 30, (1 << 30) - THRESHOLD));
        assert!(is_short(1 << 30, (1 << 30) - THRESHOLD + 1));
        assert!(is_short(1 << 30, 2 << 30));
    }
}
