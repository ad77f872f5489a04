//! The scheduler's figures, alone and through the API; and those of a simulated cluster.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Node, Pod};
use podlab_bench::server::{Process, request};
use podlab_bench::{Figure, Goal, Reference, Unit, process, run};
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, ListOptions};
use podlab_controllers::context::Time;
use podlab_controllers::objects::node_of;
use podlab_runtime::clock::Held;
use podlab_runtime::scheduler::{Incoming, Snapshot, schedule, siblings};
use podlab_simulator::{Options, Strategy, Waves};
use serde_json::{Value, json};

const NODES: usize = 5000;
const DECISIONS: usize = 2000;

fn main() -> ExitCode {
    run(&[
        Figure {
            name: "schedule-plain",
            what: "decisions for Pods with plain requests on 5,000 nodes",
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
            name: "pods-bound",
            what: "2,000 Pods on 200 nodes, created through the API and bound, durable",
            unit: Unit::PerSecond,
            goal: Some(Goal::AtLeast(2000.0)),
            reference: Some(Reference { value: 207.0, what: "limits raised" }),
            measure: pods_bound,
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

fn decisions(spread: bool) -> anyhow::Result<Vec<f64>> {
    let mut snapshot = Snapshot::default();
    for index in 0..NODES {
        snapshot.set_node(&serde_json::from_value(node(index))?);
    }
    let (mut samples, mut start) = (Vec::new(), 0);
    for round in 0..5 {
        let mut pods = Vec::with_capacity(DECISIONS);
        for index in 0..DECISIONS {
            let mut pod = Incoming::of(&serde_json::from_value(pod(round * DECISIONS + index))?);
            if spread {
                pod.siblings = siblings::of(&pod.info.labels.clone(), [&pod.info.labels.clone()], []);
            }
            pods.push(pod);
        }
        let begun = Instant::now();
        for pod in pods {
            let placement = schedule(&snapshot, &pod, start).map_err(|diagnosis| anyhow::anyhow!("{diagnosis}"))?;
            start = (start + placement.examined) % NODES;
            snapshot.place(pod.info, &placement.node);
        }
        samples.push(DECISIONS as f64 / begun.elapsed().as_secs_f64());
    }
    Ok(samples)
}

fn pods_bound() -> anyhow::Result<Vec<f64>> {
    const PODS: usize = 2000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let server = Process::start()?;
        let client = server.client()?;
        let path = "/api/v1/namespaces/default/serviceaccounts";
        request(&client, "POST", path, r#"{"kind":"ServiceAccount","metadata":{"name":"default"}}"#).await?;
        for index in 0..200 {
            request(&client, "POST", "/api/v1/nodes", node(index).to_string()).await?;
        }
        let nodes = Cache::<Node>::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
        nodes.synced().await;
        let time = Time::of(Arc::new(Held::behind(Duration::ZERO)));
        let scheduler = tokio::spawn(podlab_controllers::scheduling::run(server.client()?, "bench".to_owned(), time));
        let pods = Cache::<Pod>::spawn(server.client()?, None, ListOptions::default(), Sleeper::wall());
        pods.synced().await;
        let mut changed = pods.version();
        let clients = (0..16).map(|_| server.client()).collect::<Result<Vec<_>, _>>()?;
        let begun = Instant::now();
        let posts = stream::iter(0..PODS).map(|index| {
            let client = &clients[index % clients.len()];
            async move { request(client, "POST", "/api/v1/namespaces/default/pods", pod(index).to_string()).await }
        });
        let mut posts = posts.buffer_unordered(clients.len());
        while let Some(answer) = posts.next().await {
            answer?;
        }
        while pods.all().iter().filter(|pod| node_of(pod).is_some()).count() < PODS {
            changed.changed().await.context("the watch has ended")?;
        }
        let rate = PODS as f64 / begun.elapsed().as_secs_f64();
        scheduler.abort();
        Ok(vec![rate])
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
