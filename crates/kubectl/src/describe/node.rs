//! Nodes, and what the Pods on them ask for.

use std::collections::BTreeMap;

use podlab_api::json::{at, entries, list, text, truth};
use podlab_api::quantity::Quantity;
use podlab_client::Path;
use serde_json::Value;

use super::parts::{age, annotations, events, labels, time, time_or_unset};
use super::{About, Page};

const ROLE: &str = "node-role.kubernetes.io/";

/// Amounts by resource.
type Amounts = BTreeMap<String, Quantity>;

pub(super) async fn describe(page: &mut Page, about: &About<'_>, node: &Value) {
    let name = text(node, &["metadata", "name"]);
    page.line(0, format!("Name:\t{name}"));
    let mut roles: Vec<&str> = entries(node, &["metadata", "labels"])
        .filter_map(|(key, value)| match key.strip_prefix(ROLE) {
            Some(role) if !role.is_empty() => Some(role),
            _ if key == "kubernetes.io/role" => value.as_str(),
            _ => None,
        })
        .collect();
    roles.sort_unstable();
    page.line(0, format!("Roles:\t{}", if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }));
    labels(page, "Labels", at(node, &["metadata", "labels"]));
    annotations(page, "Annotations", at(node, &["metadata", "annotations"]));
    page.line(0, format!("CreationTimestamp:\t{}", time(at(node, &["metadata", "creationTimestamp"]))));
    taints(page, list(node, &["spec", "taints"]));
    page.line(0, format!("Unschedulable:\t{}", truth(node, &["spec", "unschedulable"])));
    lease(page, about, name).await;
    let conditions = list(node, &["status", "conditions"]);
    if !conditions.is_empty() {
        page.line(0, "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
        page.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
        for condition in conditions {
            let [kind, status, reason, message] =
                ["type", "status", "reason", "message"].map(|field| text(condition, &[field]));
            let (seen, changed) =
                (time(at(condition, &["lastHeartbeatTime"])), time(at(condition, &["lastTransitionTime"])));
            page.line(1, format!("{kind} \t{status} \t{seen} \t{changed} \t{reason} \t{message}"));
        }
    }
    page.line(0, "Addresses:");
    for address in list(node, &["status", "addresses"]) {
        page.line(1, format!("{}:\t{}", text(address, &["type"]), text(address, &["address"])));
    }
    for (title, field) in [("Capacity", "capacity"), ("Allocatable", "allocatable")] {
        page.line(0, format!("{title}:"));
        for (name, amount) in entries(node, &["status", field]) {
            page.line(0, format!("  {name}:\t{}", amount.as_str().unwrap_or_default()));
        }
    }
    page.line(0, "System Info:");
    for (title, field) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
        ("Kube-Proxy Version", "kubeProxyVersion"),
    ] {
        page.line(0, format!("  {title}:\t{}", text(node, &["status", "nodeInfo", field])));
    }
    super::pod::optional(page, "PodCIDR", text(node, &["spec", "podCIDR"]));
    let blocks: Vec<&str> = list(node, &["spec", "podCIDRs"]).iter().filter_map(Value::as_str).collect();
    super::pod::optional(page, "PodCIDRs", &blocks.join(","));
    super::pod::optional(page, "ProviderID", text(node, &["spec", "providerID"]));
    let fields = format!("spec.nodeName={name},status.phase!=Failed,status.phase!=Succeeded");
    let pods = about.others(Path::new("/api/v1/pods").query("fieldSelector", &fields)).await;
    usage(page, about, node, &pods);
    // The node controller writes a node's events under its uid, the kubelet under its name.
    let mut all = about.events_of(node, Some(name)).await;
    if let (Some(all), Some(more)) = (&mut all, about.events_of(node, None).await) {
        all.extend(more);
    }
    events(page, all, about.now);
}

fn taints(page: &mut Page, taints: &[Value]) {
    page.put(0, "Taints:\t");
    if taints.is_empty() {
        page.line(0, "<none>");
    }
    let mut lines: Vec<String> = taints
        .iter()
        .map(|taint| {
            let [key, value, effect] = ["key", "value", "effect"].map(|field| text(taint, &[field]));
            let value = if value.is_empty() { String::new() } else { format!("={value}") };
            format!("{key}{value}:{effect}")
        })
        .collect();
    lines.sort();
    for (index, line) in lines.iter().enumerate() {
        page.line(0, format!("{}{line}", if index == 0 { "" } else { "\t" }));
    }
}

async fn lease(page: &mut Page, about: &About<'_>, name: &str) {
    let path = Path::new("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases").segment(name);
    match about.session.get(&path).await {
        Ok(lease) => {
            page.line(0, "Lease:");
            let holder = at(&lease, &["spec", "holderIdentity"]).as_str().unwrap_or("<unset>");
            page.line(1, format!("HolderIdentity:\t{holder}"));
            page.line(1, format!("AcquireTime:\t{}", time_or_unset(at(&lease, &["spec", "acquireTime"]))));
            page.line(1, format!("RenewTime:\t{}", time_or_unset(at(&lease, &["spec", "renewTime"]))));
        }
        Err(failure) => page.line(0, format!("Lease:\tFailed to get lease: {}", failure.message())),
    }
}

fn usage(page: &mut Page, about: &About<'_>, node: &Value, pods: &[Value]) {
    let allocatable = match at(node, &["status", "allocatable"]) {
        Value::Null => amounts(at(node, &["status", "capacity"])),
        allocatable => amounts(allocatable),
    };
    page.line(0, format!("Non-terminated Pods:\t({} in total)", pods.len()));
    page.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    page.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    let (mut all_requests, mut all_limits) = (Amounts::new(), Amounts::new());
    for pod in pods {
        let (requests, limits) = (of_pod(pod, "requests"), of_pod(pod, "limits"));
        let cell = |of: &Amounts, name: &str| share(of, &allocatable, name);
        page.line(
            1,
            format!(
                "{}\t{}\t\t{}\t{}\t{}\t{}\t{}",
                text(pod, &["metadata", "namespace"]),
                text(pod, &["metadata", "name"]),
                cell(&requests, "cpu"),
                cell(&limits, "cpu"),
                cell(&requests, "memory"),
                cell(&limits, "memory"),
                age(at(pod, &["metadata", "creationTimestamp"]), about.now),
            ),
        );
        add(&mut all_requests, requests);
        add(&mut all_limits, limits);
    }
    page.line(0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)");
    page.line(0, "  Resource\tRequests\tLimits\n  --------\t--------\t------");
    let usual = ["cpu", "memory", "ephemeral-storage"];
    let huge = allocatable.keys().map(String::as_str).filter(|name| name.starts_with("hugepages-"));
    for name in usual.into_iter().chain(huge) {
        let (requests, limits) = (share(&all_requests, &allocatable, name), share(&all_limits, &allocatable, name));
        page.line(0, format!("  {name}\t{requests}\t{limits}"));
    }
    for name in allocatable.keys().filter(|name| name.contains('/')) {
        let told = |of: &Amounts| of.get(name).map_or("0".to_owned(), ToString::to_string);
        page.line(0, format!("  {name}\t{}\t{}", told(&all_requests), told(&all_limits)));
    }
}

/// `500m (25%)`
fn share(of: &Amounts, allocatable: &Amounts, name: &str) -> String {
    let measure = |quantity: &Quantity| match name {
        "cpu" => quantity.milli_value(),
        _ => quantity.value(),
    };
    let amount = of.get(name);
    let part = amount.map_or(0, measure);
    let whole = allocatable.get(name).map_or(0, measure);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a rounded-down percentage")]
    let percent = if whole == 0 { 0 } else { (part as f64 / whole as f64 * 100.0) as i64 };
    format!("{} ({percent}%)", amount.map_or("0".to_owned(), ToString::to_string))
}

fn amounts(of: &Value) -> Amounts {
    entries(of, &[]).filter_map(|(name, value)| Some((name.clone(), Quantity::from_json(value)?))).collect()
}

fn add(to: &mut Amounts, more: Amounts) {
    for (name, amount) in more {
        let sum = to.get(&name).copied().map_or(amount, |known| known.plus(amount));
        to.insert(name, sum);
    }
}

fn most(of: &mut Amounts, other: Amounts) {
    for (name, amount) in other {
        let larger = of.get(&name).is_none_or(|known| known.milli_value() < amount.milli_value());
        if larger {
            of.insert(name, amount);
        }
    }
}

/// What a Pod asks for: its containers and sidecars together, or an init container that asks for more.
fn of_pod(pod: &Value, field: &str) -> Amounts {
    let of = |container: &Value| amounts(at(container, &["resources", field]));
    let mut sum = Amounts::new();
    for container in list(pod, &["spec", "containers"]) {
        add(&mut sum, of(container));
    }
    let (mut sidecars, mut highest) = (Amounts::new(), Amounts::new());
    for container in list(pod, &["spec", "initContainers"]) {
        if text(container, &["restartPolicy"]) == "Always" {
            add(&mut sum, of(container));
            add(&mut sidecars, of(container));
            most(&mut highest, sidecars.clone());
        } else {
            let mut moment = of(container);
            add(&mut moment, sidecars.clone());
            most(&mut highest, moment);
        }
    }
    most(&mut sum, highest);
    if field == "requests" || !sum.is_empty() {
        add(&mut sum, amounts(at(pod, &["spec", "overhead"])));
    }
    sum
}
