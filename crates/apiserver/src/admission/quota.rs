//! ResourceQuota: what the objects of a namespace may use together.
//!
//! Usage is counted from the objects themselves, under a lock of the namespace that is held until the new object is in
//! the store; so two creates at once cannot both take what is left.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use podlab_api::error::ApiError;
use podlab_api::quantity::Quantity;
use serde_json::{Map, Value, json};
use tokio::sync::OwnedMutexGuard;

use super::Admission;
use crate::server::Server;
use crate::store::{Draft, GroupResource, Range};

const QUOTAS: GroupResource = GroupResource { group: "", resource: "resourcequotas" };

/// Resources of containers that a quota can be about, beside `requests.` and `limits.` of them.
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Locks by name: of the namespaces that have quotas, and of what is given out cluster-wide.
#[derive(Default)]
pub(crate) struct Charging(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Charging {
    pub(super) async fn lock(&self, namespace: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody waits for a lock that only this map holds.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(namespace.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }
}

/// The right to store an object; kept until it is stored.
pub(crate) type Charge = Option<OwnedMutexGuard<()>>;

/// Tells the quotas of a namespace what is used by now.
pub(crate) async fn settle(server: &Server, namespace: &str) {
    if namespace.is_empty() {
        return;
    }
    for quota in quotas(server, namespace) {
        let mut new = quota.value.clone();
        new["status"] = json!({"hard": new["spec"]["hard"], "used": used(server, namespace, &quota.value)});
        if new["status"] == quota.value["status"] {
            continue;
        }
        let key = crate::store::Key::new(QUOTAS, namespace, quota.name());
        // Lost against another writer: that one has counted later.
        let _ = server.store().update(key, quota.revision, Draft::new(&new)).await;
    }
}

struct Quota {
    revision: u64,
    value: Value,
}

impl Quota {
    fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// What it limits, by name.
    fn hard(&self) -> BTreeMap<&str, Quantity> {
        let hard = self.value["spec"]["hard"].as_object().into_iter().flatten();
        hard.filter_map(|(name, value)| Some((name.as_str(), Quantity::from_json(value)?))).collect()
    }
}

fn quotas(server: &Server, namespace: &str) -> Vec<Quota> {
    let range = Range { namespace: Some(namespace), ..Range::default() };
    let objects = server.store().list(QUOTAS, &range).objects;
    objects.iter().map(|object| Quota { revision: object.revision, value: object.value() }).collect()
}

pub(super) async fn charge(admission: &Admission<'_>, object: &Value) -> Result<Charge, ApiError> {
    let (server, namespace) = (admission.server, admission.namespace);
    if namespace.is_empty() || admission.resource.plural == "events" || quotas(server, namespace).is_empty() {
        return Ok(None);
    }
    let guard = server.inner.charging.lock(namespace).await;
    let asked = usage_of(admission.resource.group, admission.resource.plural, object);
    for quota in quotas(server, namespace) {
        if !in_scope(&quota.value, admission.resource.plural, object) {
            continue;
        }
        let hard = quota.hard();
        if admission.is("", "pods") {
            must_specify(admission, object, &quota, &hard)?;
        }
        let used = used(server, namespace, &quota.value);
        let [mut requested, mut in_use, mut limited] = [const { Vec::new() }; 3];
        for (name, asked) in &asked {
            let Some(hard) = hard.get(name.as_str()) else { continue };
            let used = Quantity::from_json(&used[name]).unwrap_or_else(|| Quantity::from_units(0));
            if !asked.is_zero() && used.plus(*asked) > *hard {
                requested.push(format!("{name}={asked}"));
                in_use.push(format!("{name}={used}"));
                limited.push(format!("{name}={hard}"));
            }
        }
        if !requested.is_empty() {
            let message = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.name(),
                requested.join(","),
                in_use.join(","),
                limited.join(","),
            );
            return Err(admission.forbidden(object, message));
        }
    }
    Ok(Some(guard))
}

/// Where a quota limits requests or limits, every container has to say its own (golden 356).
fn must_specify(
    admission: &Admission<'_>,
    pod: &Value,
    quota: &Quota,
    hard: &BTreeMap<&str, Quantity>,
) -> Result<(), ApiError> {
    let mut missing: Vec<String> = Vec::new();
    for name in hard.keys() {
        let Some((field, resource)) = compute(name) else { continue };
        let containers = ["containers", "initContainers"].iter().flat_map(|list| pod["spec"][list].as_array());
        let silent: Vec<&str> = containers
            .flatten()
            .filter(|container| container["resources"][field][resource].is_null())
            .filter_map(|container| container["name"].as_str())
            .collect();
        if !silent.is_empty() {
            missing.push(format!("{name} for: {}", silent.join(",")));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("failed quota: {}: must specify {}", quota.name(), missing.join("; "));
    Err(admission.forbidden(pod, message))
}

/// The field of `resources`, and the resource in it, that a quota's name is about.
fn compute(name: &str) -> Option<(&'static str, &str)> {
    let (field, resource) = match name.split_once('.') {
        Some(("requests", resource)) => ("requests", resource),
        Some(("limits", resource)) => ("limits", resource),
        None => ("requests", name),
        Some(_) => return None,
    };
    COMPUTE.contains(&resource).then_some((field, resource))
}

/// What one object uses, under every name that a quota may call it.
fn usage_of(group: &str, plural: &str, object: &Value) -> BTreeMap<String, Quantity> {
    let one = Quantity::from_units(1);
    let mut usage = BTreeMap::new();
    usage.insert(format!("count/{}", if group.is_empty() { plural.into() } else { format!("{plural}.{group}") }), one);
    if !group.is_empty() {
        return usage;
    }
    match plural {
        "pods" => {
            if matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
                return usage;
            }
            usage.insert("pods".into(), one);
            for (field, resources) in pod_total(object) {
                for (resource, quantity) in resources {
                    usage.insert(format!("{field}.{resource}"), quantity);
                    if field == "requests" {
                        usage.insert(resource, quantity);
                    }
                }
            }
        }
        "persistentvolumeclaims" => {
            usage.insert(plural.into(), one);
            if let Some(storage) = Quantity::from_json(&object["spec"]["resources"]["requests"]["storage"]) {
                usage.insert("requests.storage".into(), storage);
            }
        }
        "services" => {
            usage.insert(plural.into(), one);
            let kind = object["spec"]["type"].as_str().unwrap_or_default();
            if matches!(kind, "NodePort" | "LoadBalancer") {
                let ports = object["spec"]["ports"].as_array().map_or(0, Vec::len);
                usage.insert("services.nodeports".into(), Quantity::from_units(i64::try_from(ports).unwrap_or(0)));
            }
            if kind == "LoadBalancer" {
                usage.insert("services.loadbalancers".into(), one);
            }
        }
        "configmaps" | "secrets" | "resourcequotas" | "replicationcontrollers" => {
            usage.insert(plural.into(), one);
        }
        _ => {}
    }
    usage
}

/// Requests and limits of a Pod: the containers together, or its largest init container.
fn pod_total(pod: &Value) -> [(&'static str, BTreeMap<String, Quantity>); 2] {
    ["requests", "limits"].map(|field| {
        let mut total: BTreeMap<String, Quantity> = BTreeMap::new();
        let quantities = |container: &Value| -> Vec<(String, Quantity)> {
            let values = container["resources"][field].as_object().into_iter().flatten();
            values.filter_map(|(name, value)| Some((name.clone(), Quantity::from_json(value)?))).collect()
        };
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            for (name, quantity) in quantities(container) {
                let sum = total.get(&name).map_or(quantity, |sum| sum.plus(quantity));
                total.insert(name, sum);
            }
        }
        for container in pod["spec"]["initContainers"].as_array().into_iter().flatten() {
            for (name, quantity) in quantities(container) {
                let known = total.entry(name).or_insert(quantity);
                if quantity > *known {
                    *known = quantity;
                }
            }
        }
        (field, total)
    })
}

/// Whether a quota with scopes is about this object.
fn in_scope(quota: &Value, plural: &str, object: &Value) -> bool {
    let scopes = quota["spec"]["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut scopes = scopes.peekable();
    if scopes.peek().is_none() {
        return true;
    }
    if plural != "pods" {
        return false;
    }
    let terminating = object["spec"]["activeDeadlineSeconds"].as_i64().is_some();
    let [(_, requests), (_, limits)] = pod_total(object);
    let best_effort = requests.is_empty() && limits.is_empty();
    scopes.all(|scope| match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        _ => false,
    })
}

/// What the objects of the namespace use of what the quota limits.
fn used(server: &Server, namespace: &str, quota: &Value) -> Value {
    let mut total: BTreeMap<&str, Quantity> = BTreeMap::new();
    let hard = quota["spec"]["hard"].as_object().into_iter().flatten();
    for (name, _) in hard {
        total.insert(name, Quantity::from_units(0));
    }
    for resource in podlab_api::registry::all() {
        let concerned = |name: &&str| about(name, resource.group, resource.plural);
        if !resource.namespaced
            || resource.storage != podlab_api::registry::Storage::Own
            || !total.keys().any(concerned)
        {
            continue;
        }
        let place = GroupResource { group: resource.group, resource: resource.plural };
        let range = Range { namespace: Some(namespace), ..Range::default() };
        for object in server.store().list(place, &range).objects {
            let object = object.value();
            if !in_scope(quota, resource.plural, &object) {
                continue;
            }
            for (name, quantity) in usage_of(resource.group, resource.plural, &object) {
                if let Some(sum) = total.get_mut(name.as_str()) {
                    *sum = sum.plus(quantity);
                }
            }
        }
    }
    let fields: Map<String, Value> =
        total.into_iter().map(|(name, quantity)| (name.to_owned(), quantity.to_string().into())).collect();
    Value::Object(fields)
}

/// Whether objects of a resource can use what a quota calls `name`.
fn about(name: &str, group: &str, plural: &str) -> bool {
    if let Some(counted) = name.strip_prefix("count/") {
        let (resource, of) = counted.split_once('.').unwrap_or((counted, ""));
        return resource == plural && of == group;
    }
    if !group.is_empty() {
        return false;
    }
    match plural {
        "pods" => name == "pods" || compute(name).is_some(),
        "persistentvolumeclaims" => name == plural || name == "requests.storage",
        "services" => name.starts_with("services"),
        _ => name == plural,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_uses_its_containers_or_its_largest_init_container() {
        let container = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}, "limits": {"memory": "1Gi"}}});
        let pod = json!({"spec": {"containers": [container("100m"), container("200m")],
            "initContainers": [container("250m"), container("400m")]}});
        let usage = usage_of("", "pods", &pod);
        let told: Vec<String> = usage.iter().map(|(name, quantity)| format!("{name}={quantity}")).collect();
        assert_eq!(told, ["count/pods=1", "cpu=400m", "limits.memory=2Gi", "pods=1", "requests.cpu=400m"]);
    }

    #[test]
    fn pods_that_are_over_use_nothing_but_their_place() {
        let pod = json!({"spec": {"containers": []}, "status": {"phase": "Succeeded"}});
        assert_eq!(usage_of("", "pods", &pod).into_keys().collect::<Vec<_>>(), ["count/pods"]);
    }

    #[test]
    fn scopes_choose_pods() {
        let quota = |scope: &str| json!({"spec": {"scopes": [scope]}});
        let pod = json!({"spec": {"containers": [{"name": "a"}]}});
        assert!(in_scope(&quota("BestEffort"), "pods", &pod));
        assert!(!in_scope(&quota("NotBestEffort"), "pods", &pod));
        assert!(in_scope(&quota("NotTerminating"), "pods", &pod));
        assert!(!in_scope(&quota("BestEffort"), "services", &json!({})));
        assert!(in_scope(&json!({"spec": {}}), "services", &json!({})));
    }
}
