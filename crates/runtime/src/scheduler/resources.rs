//! How much a Pod asks for, and how much a node has.
//!
//! What counts for a Pod is not the sum of all its containers: init containers run before the others and one by one,
//! except those that are restarted for ever (sidecars), which go on beside everything after them
//! (k8s.io/kubernetes/pkg/api/v1/resource/helpers.go).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use podlab_api::quantity::Quantity as Amount;

/// What a container without requests is taken to need when nodes are compared, so that a hundred such Pods do not pile
/// up on one node: a tenth of a CPU, 200 MB.
const SCORED_CPU: i64 = 100;
const SCORED_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts of everything that nodes have and Pods ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral_storage: i64,
    /// Everything else, by name: huge pages, devices. Few Pods have any, so this is mostly empty and costs nothing.
    pub extended: BTreeMap<String, i64>,
}

impl Resources {
    /// Reads a resource list. `pods` is not among them; a node's limit on Pods is kept apart.
    #[must_use]
    pub fn from_list(list: Option<&BTreeMap<String, Quantity>>) -> Self {
        let mut resources = Resources::default();
        for (name, quantity) in list.into_iter().flatten() {
            // The server refuses what is no quantity, so nothing is lost here but what cannot be there.
            let Ok(amount) = Amount::parse(&quantity.0) else { continue };
            match name.as_str() {
                "cpu" => resources.milli_cpu = amount.milli_value(),
                "memory" => resources.memory = amount.value(),
                "ephemeral-storage" => resources.ephemeral_storage = amount.value(),
                "pods" => {}
                _ => {
                    resources.extended.insert(name.clone(), amount.value());
                }
            }
        }
        resources
    }

    /// What a Pod asks for, as long as it is there.
    #[must_use]
    pub fn of_pod(pod: &Pod) -> Self {
        pod.spec.as_ref().map(|spec| of_spec(spec, requests)).unwrap_or_default()
    }

    /// The same with something for containers that ask for nothing: what nodes are compared by.
    #[must_use]
    pub fn scored(pod: &Pod) -> Self {
        let with_defaults = |container: &Container| {
            let mut resources = requests(container);
            let list = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
            let asks = |name: &str| list.is_some_and(|list| list.contains_key(name));
            if !asks("cpu") {
                resources.milli_cpu = SCORED_CPU;
            }
            if !asks("memory") {
                resources.memory = SCORED_MEMORY;
            }
            resources
        };
        pod.spec.as_ref().map(|spec| of_spec(spec, with_defaults)).unwrap_or_default()
    }

    /// Adds another's amounts.
    pub fn add(&mut self, other: &Resources) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes another's amounts away.
    pub fn subtract(&mut self, other: &Resources) {
        self.combine(other, i64::saturating_sub);
        self.extended.retain(|_, amount| *amount != 0);
    }

    /// Raises each amount to at least another's.
    pub fn raise(&mut self, other: &Resources) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Resources, operation: fn(i64, i64) -> i64) {
        self.milli_cpu = operation(self.milli_cpu, other.milli_cpu);
        self.memory = operation(self.memory, other.memory);
        self.ephemeral_storage = operation(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.extended {
            let mine = self.extended.entry(name.clone()).or_default();
            *mine = operation(*mine, *amount);
        }
    }
}

fn requests(container: &Container) -> Resources {
    Resources::from_list(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
}

/// Containers and sidecars run together; each init container runs with the sidecars started before it. The larger of
/// the two is what the Pod needs, and its overhead comes on top.
fn of_spec(spec: &PodSpec, of_container: impl Fn(&Container) -> Resources) -> Resources {
    let mut together = Resources::default();
    for container in &spec.containers {
        together.add(&of_container(container));
    }
    let mut sidecars = Resources::default();
    let mut starting = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let mut during = of_container(container);
        if container.restart_policy.as_deref() == Some("Always") {
            together.add(&during);
            sidecars.add(&during);
            during = sidecars.clone();
        } else {
            during.add(&sidecars);
        }
        starting.raise(&during);
    }
    together.raise(&starting);
    if let Some(overhead) = &spec.overhead {
        together.add(&Resources::from_list(Some(overhead)));
    }
    together
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({ "metadata": { "name": "p" }, "spec": spec })).expect("a Pod")
    }

    fn asking(name: &str, cpu: &str) -> serde_json::Value {
        serde_json::json!({ "name": name, "resources": { "requests": { "cpu": cpu } } })
    }

    #[test]
    fn init_containers_run_one_by_one_and_sidecars_beside_all() {
        let mut sidecar = asking("s", "300m");
        sidecar["restartPolicy"] = "Always".into();
        let table = [
            (serde_json::json!({ "containers": [asking("a", "100m"), asking("b", "1")] }), 1100),
            (serde_json::json!({ "containers": [asking("a", "1")], "initContainers": [asking("i", "500m")] }), 1000),
            (
                serde_json::json!({ "containers": [asking("a", "1")], "initContainers": [asking("i", "3"), asking("j", "2")] }),
                3000,
            ),
            // The sidecar started first: it is there while `i` runs, and beside `a`.
            (
                serde_json::json!({ "containers": [asking("a", "1")], "initContainers": [sidecar.clone(), asking("i", "2")] }),
                2300,
            ),
            (
                serde_json::json!({ "containers": [asking("a", "1")], "initContainers": [asking("i", "2"), sidecar.clone()] }),
                2000,
            ),
            (serde_json::json!({ "containers": [asking("a", "1")], "overhead": { "cpu": "250m" } }), 1250),
        ];
        for (spec, expected) in table {
            assert_eq!(Resources::of_pod(&pod(spec.clone())).milli_cpu, expected, "{spec}");
        }
    }

    #[test]
    fn what_asks_for_nothing_still_counts_when_nodes_are_compared() {
        let pod = pod(serde_json::json!({ "containers": [{ "name": "a" }, asking("b", "50m")] }));
        assert_eq!(Resources::of_pod(&pod).milli_cpu, 50);
        assert_eq!(Resources::scored(&pod).milli_cpu, 150);
        assert_eq!(Resources::scored(&pod).memory, 2 * SCORED_MEMORY);
    }

    #[test]
    fn extended_resources_are_counted_by_name_and_forgotten_at_zero() {
        let list = BTreeMap::from([("example.com/gpu".to_owned(), Quantity("2".to_owned()))]);
        let some = Resources::from_list(Some(&list));
        let mut sum = Resources::default();
        sum.add(&some);
        assert_eq!(sum.extended["example.com/gpu"], 2);
        sum.subtract(&some);
        assert_eq!(sum, Resources::default());
    }
}
