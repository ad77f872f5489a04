//! The node in the API: registered once, and kept alive by a lease.
//!
//! A heartbeat is a renewed Lease every ten seconds; the Node's own status is written when it changes, and every five
//! minutes (pkg/kubelet/kubelet_node_status.go, pkg/kubelet/nodelease).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time};
use podlab_client::{Client, Error, Patch};
use serde_json::json;

use super::status::whole_seconds;
use crate::backend::NodeFacts;
use crate::clock::Clock;

const LEASE_NAMESPACE: &str = "kube-node-lease";
const LEASE_SECONDS: i32 = 40;
/// A quarter of the lease.
const RENEWAL: Duration = Duration::from_secs(10);
const STATUS_EVERY: u32 = 30;
/// After a failure, such as a server that is still starting.
const RETRY: Duration = Duration::from_millis(200);

/// The version of Kubernetes whose behaviour this node has.
const VERSION: &str = "v1.32.13";
const KIBIBYTE: u64 = 1024;
/// Memory that a node keeps for itself (the hard eviction threshold of a real kubelet).
const RESERVED_MEMORY: u64 = 100 << 20;

/// Registers the node and renews its lease, for as long as it is polled.
pub(super) async fn keep_registered<C: Clock>(client: &Client, clock: &C, facts: &NodeFacts) {
    let mut round = 0_u32;
    loop {
        let now = clock.now();
        let full = round.is_multiple_of(STATUS_EVERY);
        let wait = match heartbeat(client, facts, now, full).await {
            Ok(()) => {
                round = round.wrapping_add(1);
                RENEWAL
            }
            Err(error) => {
                tracing::debug!(%error, "the node could not be reported");
                RETRY
            }
        };
        clock.sleep(wait).await;
    }
}

async fn heartbeat(client: &Client, facts: &NodeFacts, now: Timestamp, full: bool) -> Result<(), Error> {
    if full {
        register(client, facts, now).await?;
    }
    renew(client, facts, now).await
}

async fn register(client: &Client, facts: &NodeFacts, now: Timestamp) -> Result<(), Error> {
    let known = match client.get::<Node>(None, &facts.name).await {
        Ok(known) => known,
        Err(error) if error.is_not_found() => client.create(&node(facts)).await?,
        Err(error) => return Err(error),
    };
    let status = status(facts, known.status.as_ref(), now);
    let patch = Patch::Merge(json!({"status": status}));
    client.patch::<Node>(None, &facts.name, &patch, Some("status")).await.map(drop)
}

fn node(facts: &NodeFacts) -> Node {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let labels = [
        label("beta.kubernetes.io/arch", &facts.architecture),
        label("beta.kubernetes.io/os", "linux"),
        label("kubernetes.io/arch", &facts.architecture),
        label("kubernetes.io/hostname", &facts.name),
        label("kubernetes.io/os", "linux"),
    ];
    let annotations = [
        label("node.alpha.kubernetes.io/ttl", "0"),
        label("volumes.kubernetes.io/controller-managed-attach-detach", "true"),
    ];
    Node {
        metadata: ObjectMeta {
            name: Some(facts.name.clone()),
            labels: Some(labels.into()),
            annotations: Some(annotations.into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            pod_cidr: Some(facts.pod_cidr.clone()),
            pod_cidrs: Some(vec![facts.pod_cidr.clone()]),
            ..NodeSpec::default()
        }),
        status: None,
    }
}

fn status(facts: &NodeFacts, known: Option<&NodeStatus>, now: Timestamp) -> NodeStatus {
    let cpu = if facts.cpu_millis.is_multiple_of(1000) {
        (facts.cpu_millis / 1000).to_string()
    } else {
        format!("{}m", facts.cpu_millis)
    };
    let amounts = |memory: u64, storage: String| {
        let amount = |name: &str, value: String| (name.to_owned(), Quantity(value));
        [
            amount("cpu", cpu.clone()),
            amount("ephemeral-storage", storage),
            amount("hugepages-1Gi", "0".to_owned()),
            amount("hugepages-2Mi", "0".to_owned()),
            amount("memory", format!("{}Ki", memory / KIBIBYTE)),
            amount("pods", facts.pods.to_string()),
        ]
    };
    let address = |kind: &str, address: &str| NodeAddress { type_: kind.to_owned(), address: address.to_owned() };
    let storage = facts.ephemeral_storage;
    NodeStatus {
        addresses: Some(vec![address("InternalIP", &facts.internal_ip), address("Hostname", &facts.name)]),
        capacity: Some(amounts(facts.memory, format!("{}Ki", storage / KIBIBYTE)).into()),
        // A tenth of the disk is where a real kubelet begins to evict.
        allocatable: Some(amounts(facts.memory.saturating_sub(RESERVED_MEMORY), (storage / 10 * 9).to_string()).into()),
        conditions: Some(conditions(known, now)),
        node_info: Some(NodeSystemInfo {
            architecture: facts.architecture.clone(),
            boot_id: facts.boot_id.clone(),
            container_runtime_version: facts.container_runtime_version.clone(),
            kernel_version: facts.kernel_version.clone(),
            kube_proxy_version: VERSION.to_owned(),
            kubelet_version: VERSION.to_owned(),
            machine_id: facts.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: facts.os_image.clone(),
            system_uuid: facts.system_uuid.clone(),
        }),
        ..NodeStatus::default()
    }
}

fn conditions(known: Option<&NodeStatus>, now: Timestamp) -> Vec<NodeCondition> {
    let now = Time(whole_seconds(now));
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        let same = known
            .and_then(|known| known.conditions.as_ref())
            .and_then(|conditions| conditions.iter().find(|known| known.type_ == kind && known.status == status));
        NodeCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: Some(now.clone()),
            last_transition_time: same.and_then(|same| same.last_transition_time.clone()).or(Some(now.clone())),
        }
    };
    vec![
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
}

async fn renew(client: &Client, facts: &NodeFacts, now: Timestamp) -> Result<(), Error> {
    let renewed = json!({"spec": {"renewTime": MicroTime(now), "holderIdentity": facts.name}});
    let patched = client.patch::<Lease>(LEASE_NAMESPACE, &facts.name, &Patch::Merge(renewed), None).await.map(drop);
    match patched {
        Err(error) if error.is_not_found() => {}
        other => return other,
    }
    let owner = client.get::<Node>(None, &facts.name).await?;
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(facts.name.clone()),
            namespace: Some(LEASE_NAMESPACE.to_owned()),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: facts.name.clone(),
                uid: owner.metadata.uid.unwrap_or_default(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(facts.name.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    };
    client.create(&lease).await.map(drop)
}
