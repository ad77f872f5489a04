//! The scheduler's figures, alone and through the API; and those of a simulated cluster.

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use podlab_bench::server::{Process, request};
use podlab_bench::{Figure, Goal, Reference, Unit, process, run};
use podlab_client::cache::Change;
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, ListOptions};
use podlab_controllers::context::Time;
use podlab_controllers::objects::node_of;
use podlab_runtime::clock::Held;
use podlab_runtime::scheduler::{Incoming, Snapshot, schedule, siblings};
use podlab_simulator::{Options, Strategy, Waves};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const NODES: usize = 5000;
const DECISIONS: usize = 2000;
/// Pods that are bound through the API.
const PODS: usize = 2000;
const PATH: &str = "/api/v1/namespaces/default/pods";

fn main() -> ExitCode {
    run(&[
        Figure {
            name: "schedule-plain",
            what: "decisions for Pods with plain requests on 5,000 nodes, a second of one processor",
            unit: Unit::PerSecond,
            goal: Some(Goal::AtLeast(50_000.0)),
            reference: None,
            measure: || decisions(false),
        },
        Figure {
            name: "schedule-spread",
            what: "the same, each Pod spread among its application's",
            unit: Unit::PerSecond,
            goal: Some(Goal::AtLeast(10_000.0)),
            reference: None,
            measure: || decisions(true),
        },
        Figure {
            name: "schedule-growth",
            what: "how many times as long a decision takes on ten times the nodes: 5,000 against 500",
            unit: Unit::Times,
            goal: Some(Goal::AtMost(10.0)),
            reference: None,
            measure: growth,
        },
        Figure {
            name: "pods-bound",
            what: "2,000 Pods on 200 nodes, created through the API and bound, durable",
            unit: Unit::PerSecond,
            goal: Some(Goal::AtLeast(2000.0)),
            reference: Some(Reference { value: 207.0, what: "limits raised" }),
            measure: pods_bound,
        },
        Figure {
            name: "backlog-bound",
            what: "2,000 Pods that wait and 200 nodes, from the start of the scheduler until all are bound, durable",
            unit: Unit::PerSecond,
            goal: Some(Goal::AtLeast(10_000.0)),
            reference: Some(Reference { value: 240.0, what: "limits raised" }),
            measure: backlog_bound,
        },
        Figure {
            name: "simulated-day",
            what: "a day of 1,000 nodes and 10,000 Pods, heartbeats included",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(60_000.0)),
            reference: None,
            measure: simulated_day,
        },
        Figure {
            name: "simulated-memory",
            what: "resident memory with 5,000 simulated nodes and 100,000 Pods",
            unit: Unit::Mebibytes,
            goal: Some(Goal::AtMost(1024.0)),
            reference: None,
            measure: simulated_memory,
        },
    ])
}

fn node(index: usize) -> Value {
    let name = format!("node{index}");
    let amounts = json!({ "cpu": "64", "memory": "256Gi", "pods": "110" });
    let zone = format!("zone{}", index % 3);
    json!({ "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone } },
        "status": { "capacity": amounts, "allocatable": amounts,
            "conditions": [{ "type": "Ready", "status": "True" }] } })
}

fn pod(index: usize) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("pod{index}"), "namespace": "default", "uid": format!("uid{index}"),
            "labels": { "app": format!("app{}", index % 20) } },
        "spec": { "containers": [{ "name": "main", "image": "busybox",
            "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } } }] } })
}

fn cluster(nodes: usize) -> anyhow::Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    for index in 0..nodes {
        snapshot.set_node(&serde_json::from_value(node(index))?);
    }
    Ok(snapshot)
}

/// So many decisions after those of earlier rounds, and how many seconds of a processor they took.
fn decide(snapshot: &mut Snapshot, round: usize, spread: bool) -> anyhow::Result<f64> {
    let mut pods = Vec::with_capacity(DECISIONS);
    for index in 0..DECISIONS {
        let mut pod = Incoming::of(&serde_json::from_value(pod(round * DECISIONS + index))?);
        if spread {
            pod.siblings = siblings::of(&pod.info.labels, [&pod.info.labels], []);
        }
        pods.push(pod);
    }
    let mut start = 0;
    let begun = process::processor_time();
    for pod in pods {
        let placement = schedule(snapshot, &pod, start).map_err(|diagnosis| anyhow::anyhow!("{diagnosis}"))?;
        start = (start + placement.examined) % snapshot.nodes().len();
        snapshot.place(pod.info, &placement.node);
    }
    Ok(process::processor_time() - begun)
}

fn decisions(spread: bool) -> anyhow::Result<Vec<f64>> {
    let mut snapshot = cluster(NODES)?;
    (0..5).map(|round| Ok(DECISIONS as f64 / decide(&mut snapshot, round, spread)?)).collect()
}

/// In turn, so that what else the machine does is in both.
fn growth() -> anyhow::Result<Vec<f64>> {
    let (mut small, mut large) = (cluster(NODES / 10)?, cluster(NODES)?);
    (0..5).map(|round| Ok(decide(&mut large, round, false)? / decide(&mut small, round, false)?)).collect()
}

/// An API server with 200 nodes, and clients to it.
struct Served {
    server: Process,
    clients: Vec<Client>,
    pods: Cache<Pod>,
}

impl Served {
    async fn start() -> anyhow::Result<Self> {
        let server = Process::start()?;
        let clients = (0..16).map(|_| server.client()).collect::<Result<Vec<_>, _>>()?;
        let path = "/api/v1/namespaces/default/serviceaccounts";
        request(&clients[0], "POST", path, r#"{"kind":"ServiceAccount","metadata":{"name":"default"}}"#).await?;
        for index in 0..200 {
            request(&clients[0], "POST", "/api/v1/nodes", node(index).to_string()).await?;
        }
        let pods = Cache::<Pod>::spawn(server.client()?, None, ListOptions::default(), Sleeper::wall());
        pods.synced().await;
        Ok(Self { server, clients, pods })
    }

    fn start_scheduler(&self) -> anyhow::Result<JoinHandle<()>> {
        let time = Time::of(Arc::new(Held::behind(Duration::ZERO)));
        Ok(tokio::spawn(podlab_controllers::scheduling::run(self.server.client()?, "bench".to_owned(), time)))
    }

    async fn create_pods(&self) -> anyhow::Result<()> {
        let posts = stream::iter(0..PODS).map(|index| {
            let client = &self.clients[index % self.clients.len()];
            async move { request(client, "POST", PATH, pod(index).to_string()).await }
        });
        let mut posts = posts.buffer_unordered(self.clients.len());
        while let Some(answer) = posts.next().await {
            answer?;
        }
        Ok(())
    }

    /// Until the watch has shown every Pod with a node.
    async fn all_bound(&self) {
        let mut changes = self.pods.changes();
        let mut bound = HashSet::new();
        while bound.len() < PODS {
            let placed = |change: &Change<Pod>| change.new.as_deref().is_some_and(|pod| node_of(pod).is_some());
            bound.extend(changes.next().await.into_iter().filter(placed).map(|change| change.key));
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn pods_bound() -> anyhow::Result<Vec<f64>> {
    runtime()?.block_on(async {
        let mut samples = Vec::new();
        for _ in 0..3 {
            let served = Served::start().await?;
            let scheduler = served.start_scheduler()?;
            let begun = Instant::now();
            served.create_pods().await?;
            served.all_bound().await;
            samples.push(PODS as f64 / begun.elapsed().as_secs_f64());
            scheduler.abort();
        }
        Ok(samples)
    })
}

fn backlog_bound() -> anyhow::Result<Vec<f64>> {
    runtime()?.block_on(async {
        let mut samples = Vec::new();
        for _ in 0..3 {
            let served = Served::start().await?;
            served.create_pods().await?;
            let begun = Instant::now();
            let scheduler = served.start_scheduler()?;
            served.all_bound().await;
            samples.push(PODS as f64 / begun.elapsed().as_secs_f64());
            scheduler.abort();
        }
        Ok(samples)
    })
}

fn simulate(nodes: usize, pods: usize, lasts: Duration) -> anyhow::Result<()> {
    let options = Options {
        nodes,
        pods,
        seed: 7,
        lasts,
        faults: false,
        strategy: Strategy::Spread,
        waves: Waves::None,
        keep_trace: false,
    };
    let report = podlab_simulator::run(&options)?;
    anyhow::ensure!(report.bound == pods as u64, "{} of {pods} Pods were bound", report.bound);
    Ok(())
}

fn simulated_day() -> anyhow::Result<Vec<f64>> {
    let begun = Instant::now();
    simulate(1000, 10_000, Duration::from_secs(24 * 3600))?;
    Ok(vec![begun.elapsed().as_secs_f64() * 1000.0])
}

/// The most that the process ever had: what was there while the cluster was.
fn simulated_memory() -> anyhow::Result<Vec<f64>> {
    let before = process::resident(std::process::id())?;
    simulate(NODES, 100_000, Duration::from_secs(300))?;
    Ok(vec![process::highest(std::process::id())? - before])
}
