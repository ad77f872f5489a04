//! What a Pod asks for and may use, as its cgroups are told (pkg/kubelet/cm, pkg/kubelet/qos).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::members::{self, Role};
use crate::backend::{Qos, Resources};

/// The most processes a Pod may have (a kubelet's `podPidsLimit`).
pub const PIDS: u64 = 16_384;

type List = BTreeMap<String, Quantity>;

/// Quality of service: what the kernel may take from the Pod when the node runs short.
#[must_use]
pub fn qos(pod: &Pod) -> Qos {
    let mut any = false;
    let mut guaranteed = true;
    for member in members::init(pod).chain(members::main(pod)) {
        let (requests, limits) = lists(member.spec.resources.as_ref());
        for name in ["cpu", "memory"] {
            let (request, limit) = (amount(requests, name), amount(limits, name));
            any |= request > 0 || limit > 0;
            guaranteed &=
                limit > 0 && (request == limit || requests.is_none_or(|requests| !requests.contains_key(name)));
        }
    }
    match (any, guaranteed) {
        (true, true) => Qos::Guaranteed,
        (true, false) => Qos::Burstable,
        (false, _) => Qos::BestEffort,
    }
}

/// The class as the status spells it.
#[must_use]
pub fn qos_name(qos: Qos) -> &'static str {
    match qos {
        Qos::Guaranteed => "Guaranteed",
        Qos::Burstable => "Burstable",
        Qos::BestEffort => "BestEffort",
    }
}

/// What a container's cgroup is set to; `node_memory` is the node's size in bytes, which `oom_score_adj` is relative to.
#[must_use]
pub fn of_container(pod: &Pod, container: &Container, node_memory: u64) -> Resources {
    let (requests, limits) = lists(container.resources.as_ref());
    let cpu_limit = positive(amount(limits, "cpu"));
    let memory_limit = positive(amount(limits, "memory")).map(|milli| milli / 1000);
    let memory_request = positive(amount(requests, "memory")).map(|milli| milli / 1000).or(memory_limit);
    Resources {
        cpu_request_millis: Some(positive(amount(requests, "cpu")).or(cpu_limit).unwrap_or(0)),
        cpu_limit_millis: cpu_limit,
        memory_limit,
        pids_limit: None,
        oom_score_adj: Some(oom_score_adj(qos(pod), memory_request.unwrap_or(0), node_memory)),
    }
}

/// What the Pod's own cgroup is set to: the sums of its containers, a limit only where each has one.
#[must_use]
pub fn of_pod(pod: &Pod) -> Resources {
    let total = |list: fn(&ResourceRequirements) -> Option<&List>, name: &str| {
        let of = |container: &Container| positive(amount(container.resources.as_ref().and_then(list), name));
        let sidecars = members::init(pod).filter(|member| member.role == Role::Sidecar);
        let together: Option<u64> = members::main(pod).chain(sidecars).map(|member| of(&member.spec)).sum();
        let alone = members::init(pod).filter_map(|member| of(&member.spec)).max();
        together.map(|together| together.max(alone.unwrap_or(0)))
    };
    let requests = |name: &str| {
        let of = |container: &Container| {
            let (requests, limits) = lists(container.resources.as_ref());
            positive(amount(requests, name)).or(positive(amount(limits, name))).unwrap_or(0)
        };
        let sidecars = members::init(pod).filter(|member| member.role == Role::Sidecar);
        let together: u64 = members::main(pod).chain(sidecars).map(|member| of(&member.spec)).sum();
        together.max(members::init(pod).map(|member| of(&member.spec)).max().unwrap_or(0))
    };
    Resources {
        cpu_request_millis: Some(requests("cpu")),
        cpu_limit_millis: total(|resources| resources.limits.as_ref(), "cpu"),
        memory_limit: total(|resources| resources.limits.as_ref(), "memory").map(|milli| milli / 1000),
        pids_limit: Some(PIDS),
        oom_score_adj: None,
    }
}

/// How willingly the kernel kills the container when memory runs out: the more of the node it asked for, the less.
fn oom_score_adj(qos: Qos, memory_request: u64, node_memory: u64) -> i32 {
    match qos {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let share = 1000 * u128::from(memory_request) / u128::from(node_memory.max(1));
            // Never as safe as a guaranteed one, never as unsafe as one that asked for nothing.
            (1000 - i32::try_from(share).unwrap_or(1000)).clamp(3, 999)
        }
    }
}

fn lists(resources: Option<&ResourceRequirements>) -> (Option<&List>, Option<&List>) {
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    (requests, resources.and_then(|resources| resources.limits.as_ref()))
}

/// An amount in thousandths; 0 when there is none.
pub(crate) fn amount(list: Option<&List>, name: &str) -> i64 {
    let text = list.and_then(|list| list.get(name)).map(|quantity| quantity.0.as_str());
    text.and_then(|text| podlab_api::quantity::Quantity::parse(text).ok()).map_or(0, |quantity| quantity.milli_value())
}

fn positive(amount: i64) -> Option<u64> {
    u64::try_from(amount).ok().filter(|amount| *amount > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(resources: &[serde_json::Value]) -> Pod {
        let containers: Vec<_> = resources
            .iter()
            .enumerate()
            .map(|(index, resources)| json!({"name": format!("c{index}"), "resources": resources}))
            .collect();
        serde_json::from_value(json!({"spec": {"containers": containers}})).unwrap()
    }

    #[test]
    fn classes_follow_from_requests_and_limits() {
        let both = json!({"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"cpu": "0.1", "memory": "32Mi"}});
        for (resources, class) in [
            (vec![json!({})], Qos::BestEffort),
            (vec![both.clone()], Qos::Guaranteed),
            (vec![json!({"limits": {"cpu": "1", "memory": "1Gi"}})], Qos::Guaranteed),
            (vec![both, json!({})], Qos::Burstable),
            (vec![json!({"limits": {"memory": "1Gi"}})], Qos::Burstable),
            (vec![json!({"requests": {"cpu": "1m"}})], Qos::Burstable),
        ] {
            assert_eq!(qos(&pod(&resources)), class, "{resources:?}");
        }
    }

    /// golden 472 and 476: a request of 500m and 128Mi, a limit of 1 and 256Mi, on a node of 24684084Ki.
    #[test]
    fn a_container_gets_what_the_golden_one_got() {
        let resources =
            json!({"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}});
        let pod = pod(&[resources]);
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let set = of_container(&pod, container, 24_684_084 << 10);
        assert_eq!(set.cpu_request_millis, Some(500));
        assert_eq!(set.cpu_limit_millis, Some(1000));
        assert_eq!(set.memory_limit, Some(268_435_456));
        assert_eq!(set.oom_score_adj, Some(995));
    }

    #[test]
    fn a_pod_has_a_limit_when_every_container_has_one() {
        let limit = |cpu: &str| json!({"limits": {"cpu": cpu}, "requests": {"cpu": "50m"}});
        let both = of_pod(&pod(&[limit("100m"), limit("200m")]));
        assert_eq!((both.cpu_request_millis, both.cpu_limit_millis), (Some(100), Some(300)));
        assert_eq!(of_pod(&pod(&[limit("100m"), json!({})])).cpu_limit_millis, None);
    }
}
