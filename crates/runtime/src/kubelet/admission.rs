//! Whether a Pod that was bound to this node may run here: what the scheduler looks at, looked at again by who knows best.
//!
//! A Pod that names its node itself never met the scheduler. The reasons and their order are those of
//! pkg/kubelet/lifecycle/predicate.go (generalFilter).

use k8s_openapi::api::core::v1::{Node, Pod, Taint};

use super::decide::Ending;
use crate::backend::Qos;
use crate::scheduler::filters::{self, tolerated};
use crate::scheduler::snapshot::{Incoming, NodeInfo, PodInfo, Snapshot};

/// Decides about `pod`; `others` are the Pods that the node has taken and that have not ended.
///
/// # Errors
/// How the Pod ends that the node does not take.
pub fn admit<'a>(node: &Node, others: impl Iterator<Item = &'a Pod>, pod: &Pod) -> Result<(), Ending> {
    system(pod)?;
    let mut snapshot = Snapshot::default();
    snapshot.set_node(node);
    let name = node.metadata.name.as_deref().unwrap_or_default();
    for other in others {
        snapshot.place(PodInfo::of(other), name);
    }
    let Some(info) = snapshot.node(name) else { return Ok(()) };
    let incoming = Incoming::of(pod);
    resources(info, &incoming.info)?;
    for filter in ["NodeAffinity", "NodeName", "NodePorts"] {
        let known = filters::ALL.iter().find(|known| known.name == filter);
        let checked = known.map(|known| match (known.prepare)(&incoming, &snapshot) {
            Ok(Some(check)) => check(info),
            Ok(None) => Ok(()),
            Err(rejection) => Err(rejection),
        });
        if let Some(Err(rejection)) = checked {
            return Err(predicate(filter, rejection.reasons.first().map(String::as_str).unwrap_or_default()));
        }
    }
    let tolerations = incoming.spec.tolerations.as_deref().unwrap_or_default();
    // One that keeps new Pods away only (NoSchedule) is the scheduler's affair.
    let repels = info.taints.iter().any(|taint| taint.effect == "NoExecute" && !tolerated(taint, tolerations));
    if repels { Err(predicate("TaintToleration", "node(s) had untolerated taint(s)")) } else { Ok(()) }
}

/// Under memory pressure, Pods that asked for nothing are not taken (pkg/kubelet/eviction/eviction_manager.go, Admit).
///
/// # Errors
/// How the Pod ends that the node does not take.
pub fn admit_under_pressure(pressure: bool, pod: &Pod) -> Result<(), Ending> {
    let taint = Taint {
        key: "node.kubernetes.io/memory-pressure".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    if !pressure || super::resources::qos(pod) != Qos::BestEffort || tolerated(&taint, tolerations) {
        return Ok(());
    }
    let message = "The node had condition: [MemoryPressure]. ".to_owned();
    Err(Ending::Rejected { reason: "Evicted", message })
}

/// Pods of another operating system: the scheduler puts them anywhere, and it is the kubelet that knows.
fn system(pod: &Pod) -> Result<(), Ending> {
    let rejected = |reason, message: &str| Err(Ending::Rejected { reason, message: message.to_owned() });
    let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/os"));
    if label.is_some_and(|system| system != "linux") {
        let message = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
        return rejected("PodOSSelectorNodeLabelDoesNotMatch", message);
    }
    if pod.spec.as_ref().and_then(|spec| spec.os.as_ref()).is_some_and(|system| system.name != "linux") {
        return rejected("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS");
    }
    Ok(())
}

fn predicate(name: &'static str, why: &str) -> Ending {
    Ending::Rejected { reason: name, message: format!("Predicate {name} failed: {why}") }
}

fn resources(node: &NodeInfo, pod: &PodInfo) -> Result<(), Ending> {
    let (wanted, taken, has) = (&pod.requests, &node.requested, &node.allocatable);
    let pods = i64::try_from(node.pods().len()).unwrap_or(i64::MAX);
    let all = [
        ("OutOfpods", "pods", 1, pods, node.max_pods),
        ("OutOfcpu", "cpu", wanted.milli_cpu, taken.milli_cpu, has.milli_cpu),
        ("OutOfmemory", "memory", wanted.memory, taken.memory, has.memory),
        (
            "OutOfephemeral-storage",
            "ephemeral-storage",
            wanted.ephemeral_storage,
            taken.ephemeral_storage,
            has.ephemeral_storage,
        ),
    ];
    for (reason, name, wanted, taken, has) in all {
        if wanted > 0 && wanted > has - taken {
            let message = format!(
                "Node didn't have enough resource: {name}, requested: {wanted}, used: {taken}, capacity: {has}"
            );
            return Err(Ending::Rejected { reason, message });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node() -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": "node1", "labels": {"disk": "ssd"}},
            "spec": {"taints": [
                {"key": "full", "effect": "NoSchedule"},
                {"key": "broken", "effect": "NoExecute"},
            ]},
            "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "1Gi", "pods": "3"}},
        }))
        .unwrap()
    }

    fn pod(name: &str, spec: Value) -> Pod {
        let mut pod = json!({"metadata": {"name": name, "namespace": "default"}, "spec": {
            "nodeName": "node1", "tolerations": [{"key": "broken", "operator": "Exists"}], "containers": [{"name": "main"}],
        }});
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().cloned().unwrap());
        serde_json::from_value(pod).unwrap()
    }

    fn asking(name: &str, requests: Value) -> Pod {
        pod(name, json!({"containers": [{"name": "main", "resources": {"requests": requests}}]}))
    }

    fn verdict(others: &[Pod], pod: &Pod) -> String {
        match admit(&node(), others.iter(), pod) {
            Ok(()) => "admitted".to_owned(),
            Err(Ending::Rejected { reason, message }) => format!("{reason}: {message}"),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn what_does_not_fit_is_told_in_the_kubelets_words() {
        let port = json!({"containers": [{"name": "main", "ports": [{"containerPort": 80, "hostPort": 80}]}]});
        let mut labelled = pod("p", json!({}));
        labelled.metadata.labels = Some([("kubernetes.io/os".to_owned(), "windows".to_owned())].into());
        let cases = [
            (asking("p", json!({"cpu": "1500m"})), "admitted"),
            (
                asking("p", json!({"cpu": "1501m"})),
                "OutOfcpu: Node didn't have enough resource: cpu, requested: 1501, used: 500, capacity: 2000",
            ),
            (
                asking("p", json!({"memory": "2Gi"})),
                "OutOfmemory: Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: \
                 1073741824",
            ),
            (
                asking("p", json!({"ephemeral-storage": "2Gi"})),
                "OutOfephemeral-storage: Node didn't have enough resource: ephemeral-storage, requested: 2147483648, \
                 used: 0, capacity: 1073741824",
            ),
            (pod("p", json!({"nodeSelector": {"disk": "ssd"}})), "admitted"),
            (
                pod("p", json!({"nodeSelector": {"disk": "tape"}})),
                "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
            ),
            (
                pod("p", port.clone()),
                "NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
            ),
            (pod("p", json!({"os": {"name": "linux"}})), "admitted"),
            (
                pod("p", json!({"os": {"name": "windows"}})),
                "PodOSNotSupported: Failed to admit pod as the OS field doesn't match node OS",
            ),
            (
                labelled,
                "PodOSSelectorNodeLabelDoesNotMatch: Failed to admit pod as the `kubernetes.io/os` label doesn't match \
                 node label",
            ),
            (
                pod("p", json!({"tolerations": []})),
                "TaintToleration: Predicate TaintToleration failed: node(s) had untolerated taint(s)",
            ),
        ];
        let others = [asking("a", json!({"cpu": "500m"})), pod("b", port)];
        for (pod, expected) in cases {
            assert_eq!(verdict(&others, &pod), expected);
        }
        let full = [pod("a", json!({})), pod("b", json!({})), pod("c", json!({}))];
        assert_eq!(
            verdict(&full, &pod("p", json!({}))),
            "OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"
        );
    }
}
