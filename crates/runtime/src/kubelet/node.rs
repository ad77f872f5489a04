//! The Node object: registered when the kubelet starts, and kept alive by a Lease.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{
    ContainerImage, Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time};
use podlab_client::{Client, Error, Object, Patch};
use podlab_linux::node::NodeTaint;
use serde_json::json;
use tokio::sync::watch;

use crate::backend::{Backend, NamedImage, NodeFacts};
use crate::clock::Clock;

/// How often the Lease is renewed; it is good for four times as long.
const RENEW: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;
/// How often the status is written although nothing changed.
const REPORT: Duration = Duration::from_secs(300);
/// How soon a failed write is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// The namespace of the Leases.
const NAMESPACE: &str = "kube-node-lease";
/// What is kept from Pods, so that the node itself goes on when they use all of the rest (a kubelet's hard eviction
/// threshold for memory; a tenth of the disk).
const RESERVED_MEMORY: u64 = 100 << 20;
/// How many images a status names, and by how many names each (`nodeStatusMaxImages` of a kubelet's configuration, and
/// `MaxNamesPerImageInNodeStatus` in k8s.io/kubernetes/pkg/kubelet/nodestatus/setters.go).
const MAX_IMAGES: usize = 50;
const MAX_NAMES: usize = 5;
const KUBERNETES: &str = "v1.32.13";

/// What a node tells of itself that may change while it is up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Present {
    /// Whether there is too little memory.
    pressure: bool,
    images: Vec<NamedImage>,
}

/// Registers the node and keeps it alive until the future is dropped.
///
/// `pressure` says whether there is too little memory; a change is told at once, one of the images with the next renewal.
pub async fn keep<B: Backend, C: Clock>(
    backend: Arc<B>,
    clock: Arc<C>,
    client: Client,
    mut pressure: watch::Receiver<bool>,
) {
    let facts = backend.facts();
    let mut told = Present { images: images(&*backend, &[]).await, pressure: *pressure.borrow_and_update() };
    let mut uid = insist(&*clock, || register(&facts, &told, &client, clock.now())).await;
    let mut reported = clock.elapsed();
    loop {
        let present =
            Present { images: images(&*backend, &told.images).await, pressure: *pressure.borrow_and_update() };
        if present != told || clock.elapsed().saturating_sub(reported) >= REPORT {
            uid = insist(&*clock, || register(&facts, &present, &client, clock.now())).await;
            (told, reported) = (present, clock.elapsed());
        }
        insist(&*clock, || renew(&facts.name, &uid, &client, clock.now())).await;
        let changed = async {
            // Without the kubelet's other half there is nothing more to hear; it ends with this one.
            if pressure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = clock.sleep(RENEW) => {}
            () = changed => {}
        }
    }
}

/// The images of the node, the largest first, as many as a status names; those before when the store does not say.
async fn images<B: Backend>(backend: &B, before: &[NamedImage]) -> Vec<NamedImage> {
    match backend.images().await {
        Ok(mut images) => {
            images.sort_by(|one, other| other.size.cmp(&one.size).then_with(|| one.names.cmp(&other.names)));
            images.truncate(MAX_IMAGES);
            images
        }
        Err(error) => {
            tracing::debug!(%error, "the store does not tell its images");
            before.to_vec()
        }
    }
}

/// Tries until it works. The waits are the wall's: a held clock must not keep the node from finding its server.
async fn insist<C: Clock, T, F: Future<Output = Result<T, Error>>>(clock: &C, attempt: impl Fn() -> F) -> T {
    let _ = clock;
    let sleeper = podlab_client::sleeper::Sleeper::wall();
    loop {
        match attempt().await {
            Ok(result) => return result,
            Err(error) => tracing::debug!(%error, "the node could not report"),
        }
        sleeper.sleep(RETRY).await;
    }
}

/// Writes the Node, new or again, and returns its uid.
async fn register(facts: &NodeFacts, present: &Present, client: &Client, now: Timestamp) -> Result<String, Error> {
    let known = match client.get::<Node>(None, &facts.name).await {
        Ok(node) => Some(node),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let status = status(facts, present, known.as_ref().and_then(|node| node.status.as_ref()), now);
    let node = match known {
        Some(_) => {
            let patch = Patch::Merge(json!({ "status": status }));
            client.patch::<Node>(None, &facts.name, &patch, Some("status")).await?
        }
        None => client.create(&Node { status: Some(status), ..describe(facts) }).await?,
    };
    Ok(node.uid().to_owned())
}

async fn renew(name: &str, uid: &str, client: &Client, now: Timestamp) -> Result<(), Error> {
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    };
    let patch = Patch::Merge(json!({"spec": {"renewTime": MicroTime(now)}}));
    match client.patch::<Lease>(NAMESPACE, name, &patch, None).await {
        Err(error) if error.is_not_found() => {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(name.to_owned()),
                    namespace: Some(NAMESPACE.to_owned()),
                    owner_references: Some(vec![owner]),
                    ..ObjectMeta::default()
                },
                spec: Some(LeaseSpec {
                    holder_identity: Some(name.to_owned()),
                    lease_duration_seconds: Some(LEASE_SECONDS),
                    renew_time: Some(MicroTime(now)),
                    ..LeaseSpec::default()
                }),
            };
            client.create(&lease).await.map(drop)
        }
        other => other.map(drop),
    }
}

/// The Node as it is registered, for who cannot wait until the server has it.
#[must_use]
pub fn object(facts: &NodeFacts, now: Timestamp) -> Node {
    Node { status: Some(status(facts, &Present::default(), None, now)), ..describe(facts) }
}

/// The Node without its status.
fn describe(facts: &NodeFacts) -> Node {
    let labels = [
        ("beta.kubernetes.io/arch", facts.architecture.as_str()),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", &facts.architecture),
        ("kubernetes.io/hostname", &facts.name),
        ("kubernetes.io/os", "linux"),
    ];
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Node {
        metadata: ObjectMeta {
            name: Some(facts.name.clone()),
            labels: Some(texts(&labels).into_iter().chain(facts.labels.clone()).collect()),
            annotations: Some(texts(&[
                ("node.alpha.kubernetes.io/ttl", "0"),
                ("volumes.kubernetes.io/controller-managed-attach-detach", "true"),
            ])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            pod_cidr: Some(facts.pod_cidr.clone()),
            pod_cidrs: Some(vec![facts.pod_cidr.clone()]),
            taints: (!facts.taints.is_empty()).then(|| facts.taints.iter().map(taint).collect()),
            ..NodeSpec::default()
        }),
        status: None,
    }
}

fn taint(taint: &NodeTaint) -> Taint {
    let NodeTaint { key, value, effect } = taint.clone();
    Taint { key, value, effect, time_added: None }
}

/// The Node's status (golden 008 and 009).
fn status(facts: &NodeFacts, present: &Present, told: Option<&NodeStatus>, now: Timestamp) -> NodeStatus {
    let kibibytes = |bytes: u64| format!("{}Ki", bytes / 1024);
    let cpu = match facts.cpu_millis % 1000 {
        0 => (facts.cpu_millis / 1000).to_string(),
        _ => format!("{}m", facts.cpu_millis),
    };
    let amounts = |memory: u64, storage: String| -> BTreeMap<String, Quantity> {
        [
            ("cpu", cpu.clone()),
            ("ephemeral-storage", storage),
            ("hugepages-1Gi", "0".to_owned()),
            ("hugepages-2Mi", "0".to_owned()),
            ("memory", kibibytes(memory)),
            ("pods", facts.pods.to_string()),
        ]
        .into_iter()
        .map(|(name, amount)| (name.to_owned(), Quantity(amount)))
        .collect()
    };
    let storage = facts.ephemeral_storage;
    let address = |type_: &str, address: &str| NodeAddress { type_: type_.to_owned(), address: address.to_owned() };
    NodeStatus {
        capacity: Some(amounts(facts.memory, kibibytes(storage))),
        allocatable: Some(amounts(facts.memory.saturating_sub(RESERVED_MEMORY), (storage / 10 * 9).to_string())),
        conditions: Some(conditions(present.pressure, told, now)),
        addresses: Some(vec![address("InternalIP", &facts.internal_ip), address("Hostname", &facts.name)]),
        node_info: Some(NodeSystemInfo {
            architecture: facts.architecture.clone(),
            boot_id: facts.boot_id.clone(),
            container_runtime_version: facts.container_runtime_version.clone(),
            kernel_version: facts.kernel_version.clone(),
            kube_proxy_version: KUBERNETES.to_owned(),
            kubelet_version: KUBERNETES.to_owned(),
            machine_id: facts.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: facts.os_image.clone(),
            system_uuid: facts.system_uuid.clone(),
        }),
        images: Some(present.images.iter().map(container_image).collect::<Vec<_>>()).filter(|all| !all.is_empty()),
        ..NodeStatus::default()
    }
}

fn container_image(image: &NamedImage) -> ContainerImage {
    ContainerImage {
        names: Some(image.names.iter().take(MAX_NAMES).cloned().collect()),
        size_bytes: i64::try_from(image.size).ok(),
    }
}

fn conditions(pressure: bool, told: Option<&NodeStatus>, now: Timestamp) -> Vec<NodeCondition> {
    let told = told.and_then(|told| told.conditions.as_deref()).unwrap_or_default();
    let memory = match pressure {
        false => ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        true => ("MemoryPressure", "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    };
    let all = [
        memory,
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    all.into_iter()
        .map(|(type_, status, reason, message)| {
            let before = told.iter().find(|condition| condition.type_ == type_ && condition.status == status);
            NodeCondition {
                type_: type_.to_owned(),
                status: status.to_owned(),
                reason: Some(reason.to_owned()),
                message: Some(message.to_owned()),
                last_heartbeat_time: Some(Time(now)),
                last_transition_time: before.and_then(|before| before.last_transition_time.clone()).or(Some(Time(now))),
            }
        })
        .collect()
}
