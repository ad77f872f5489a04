//! From requests and limits to what the kernel is told (pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::spec;
use crate::backend::{Qos, Resources};

type Amounts = BTreeMap<String, Quantity>;

/// An amount in thousandths: `500m` is 500, `2` is 2000, `1Ki` is 1024000. `None` for what is no quantity.
pub fn millis(quantity: &Quantity) -> Option<u64> {
    let text = quantity.0.trim();
    let split = text.find(|character: char| !(character.is_ascii_digit() || character == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale: u128 = 1_000_000_000;
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let value = whole.parse::<u128>().or_else(|error| if whole.is_empty() { Ok(0) } else { Err(error) }).ok()? * scale
        + digits.parse::<u128>().ok()?;
    // Numerator and denominator of a suffix, for thousandths.
    let (times, over): (u128, u128) = match suffix {
        "n" => (1, 1_000_000),
        "u" => (1, 1000),
        "m" => (1, 1),
        "" => (1000, 1),
        "k" => (1000 * 1000, 1),
        "M" => (1000 * 1000_u128.pow(2), 1),
        "G" => (1000 * 1000_u128.pow(3), 1),
        "T" => (1000 * 1000_u128.pow(4), 1),
        "P" => (1000 * 1000_u128.pow(5), 1),
        "E" => (1000 * 1000_u128.pow(6), 1),
        "Ki" => (1000 * 1024, 1),
        "Mi" => (1000 * 1024_u128.pow(2), 1),
        "Gi" => (1000 * 1024_u128.pow(3), 1),
        "Ti" => (1000 * 1024_u128.pow(4), 1),
        "Pi" => (1000 * 1024_u128.pow(5), 1),
        "Ei" => (1000 * 1024_u128.pow(6), 1),
        exponent if exponent.starts_with(['e', 'E']) => {
            let power = exponent.get(1..)?.parse::<i32>().ok()?;
            let factor = 10_u128.checked_pow(power.unsigned_abs())?;
            if power < 0 { (1000, factor) } else { (1000_u128.checked_mul(factor)?, 1) }
        }
        _ => return None,
    };
    let exact = value.checked_mul(times)?;
    // Rounded up, as the API server does with what is finer than it keeps.
    u64::try_from(exact.div_ceil(scale * over)).ok()
}

fn amount(amounts: Option<&Amounts>, name: &str) -> Option<u64> {
    millis(amounts?.get(name)?)
}

fn limits(container: &Container) -> Option<&Amounts> {
    container.resources.as_ref()?.limits.as_ref()
}

fn requests(container: &Container) -> Option<&Amounts> {
    container.resources.as_ref()?.requests.as_ref()
}

/// The cgroup settings of a container.
pub fn of_container(pod: &Pod, container: &Container, node_memory: u64) -> Resources {
    let cpu_limit = amount(limits(container), "cpu");
    let cpu_request = amount(requests(container), "cpu").or(cpu_limit);
    let memory_limit = amount(limits(container), "memory").map(|millis| millis / 1000);
    Resources {
        cpu_request_millis: Some(cpu_request.unwrap_or(0)),
        cpu_limit_millis: cpu_limit.filter(|limit| *limit > 0),
        memory_limit: memory_limit.filter(|limit| *limit > 0),
        pids_limit: None,
        oom_score_adj: Some(oom_score_adj(pod, container, node_memory)),
    }
}

/// The cgroup settings of the Pod: sums, and a limit only where every container has one.
pub fn of_pod(pod: &Pod) -> Resources {
    let containers = || spec::containers(pod).map(|(_, container)| container);
    let sum_of_limits = |name: &str| -> Option<u64> {
        containers().map(|container| amount(limits(container), name).filter(|limit| *limit > 0)).sum()
    };
    let requested =
        |container: &Container| amount(requests(container), "cpu").or(amount(limits(container), "cpu")).unwrap_or(0);
    Resources {
        cpu_request_millis: Some(containers().map(requested).sum()),
        cpu_limit_millis: sum_of_limits("cpu"),
        memory_limit: sum_of_limits("memory").map(|millis| millis / 1000),
        pids_limit: None,
        oom_score_adj: None,
    }
}

/// How willingly the kernel ends a container when memory is short (pkg/kubelet/qos/policy.go).
fn oom_score_adj(pod: &Pod, container: &Container, node_memory: u64) -> i32 {
    match qos(pod) {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let requested = amount(requests(container), "memory").unwrap_or(0) / 1000;
            let share = (1000 * requested).checked_div(node_memory).unwrap_or(0);
            i32::try_from(1000_u64.saturating_sub(share)).unwrap_or(1000).clamp(3, 999)
        }
    }
}

/// The Pod's quality of service (GetPodQOS of pkg/apis/core/v1/helper/qos).
pub fn qos(pod: &Pod) -> Qos {
    let set = |amounts: Option<&Amounts>, name: &str| amount(amounts, name).is_some_and(|amount| amount > 0);
    let mut any = false;
    let mut guaranteed = true;
    for (_, container) in spec::all_containers(pod) {
        for name in ["cpu", "memory"] {
            let (limit, request) = (amount(limits(container), name), amount(requests(container), name));
            any |= set(limits(container), name) || set(requests(container), name);
            guaranteed &= limit.is_some_and(|limit| limit > 0) && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => Qos::BestEffort,
        (true, true) => Qos::Guaranteed,
        (true, false) => Qos::Burstable,
    }
}

/// As the status writes it.
pub fn qos_class(pod: &Pod) -> &'static str {
    match qos(pod) {
        Qos::Guaranteed => "Guaranteed",
        Qos::Burstable => "Burstable",
        Qos::BestEffort => "BestEffort",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_read_exactly() {
        let cases = [
            ("500m", 500),
            ("2", 2000),
            ("0.1", 100),
            (".5", 500),
            ("128Mi", 134_217_728_000),
            ("1e3", 1_000_000),
            ("1k", 1_000_000),
            ("1n", 1),
        ];
        for (text, expected) in cases {
            assert_eq!(millis(&Quantity(text.to_owned())), Some(expected), "{text}");
        }
        for text in ["", "x", "1x", "-1", "1e99"] {
            let read = millis(&Quantity(text.to_owned()));
            assert!(read.is_none() || text.is_empty(), "{text}: {read:?}");
        }
    }

    fn pod(resources: &[serde_json::Value]) -> Pod {
        let containers: Vec<_> =
            resources.iter().map(|resources| json!({"name": "c", "resources": resources})).collect();
        serde_json::from_value(json!({"metadata": {}, "spec": {"containers": containers}})).unwrap()
    }

    #[test]
    fn the_class_follows_from_all_containers() {
        let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        let none = json!({});
        let some = json!({"requests": {"cpu": "100m"}});
        assert_eq!(qos(&pod(std::slice::from_ref(&none))), Qos::BestEffort);
        assert_eq!(qos(&pod(&[full.clone()])), Qos::Guaranteed);
        assert_eq!(qos(&pod(&[full.clone(), none])), Qos::Burstable);
        assert_eq!(qos(&pod(&[some])), Qos::Burstable);
        assert_eq!(of_pod(&pod(&[full.clone(), full])).memory_limit, Some(2 << 30));
    }
}
