//! The API server's figures: how fast it is there, how fast it answers, what it keeps.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use http_body_util::BodyExt;
use podlab_bench::server::{Process, request};
use podlab_bench::{Figure, Goal, Reference, Unit, process, run};
use podlab_client::Client;
use serde_json::json;

const PODS: &str = "/api/v1/namespaces/default/pods";
/// Clients that write at the same time.
const CLIENTS: usize = 16;

fn main() -> ExitCode {
    run(&[
        Figure {
            name: "server-start",
            what: "from the start of the process to the first /readyz over TLS",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(50.0)),
            reference: Some(Reference { value: 2750.0, what: "with etcd" }),
            measure: server_start,
        },
        Figure {
            name: "pod-get",
            what: "GET of a Pod, kept-alive, over TLS",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(1.0)),
            reference: None,
            measure: pod_get,
        },
        Figure {
            name: "pods-list-100",
            what: "LIST of 100 Pods, kept-alive, over TLS",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(3.0)),
            reference: Some(Reference { value: 3.0, what: "5 Pods" }),
            measure: pods_list,
        },
        Figure {
            name: "pod-create",
            what: "durable POST of a Pod, one after the other",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(3.0)),
            reference: Some(Reference { value: 5.0, what: "" }),
            measure: pod_create,
        },
        Figure {
            name: "pod-create-throughput",
            what: "durable POSTs of Pods from 16 clients",
            unit: Unit::PerSecond,
            goal: Some(Goal::AtLeast(2000.0)),
            reference: Some(Reference { value: 488.0, what: "8 clients" }),
            measure: pod_create_throughput,
        },
        Figure {
            name: "memory-10000-pods",
            what: "resident memory of the server with 10,000 Pods",
            unit: Unit::Mebibytes,
            goal: Some(Goal::AtMost(80.0)),
            reference: Some(Reference { value: 760.0, what: "apiserver and etcd, 2000 Pods" }),
            measure: memory_of_pods,
        },
        Figure {
            name: "memory-1000-watches",
            what: "additional resident memory with 1,000 idle watches, a TLS connection each",
            unit: Unit::Mebibytes,
            goal: Some(Goal::AtMost(40.0)),
            reference: None,
            measure: memory_of_watches,
        },
        Figure {
            name: "watch-fan-out-1000",
            what: "from a POST until the last of 1,000 watches has the event",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(50.0)),
            reference: None,
            measure: fan_out,
        },
        Figure {
            name: "idle-wake-ups",
            what: "wake-ups of the server in ten seconds, with 100 Pods and 100 watches",
            unit: Unit::Count,
            goal: Some(Goal::AtMost(0.0)),
            reference: None,
            measure: idle_wake_ups,
        },
    ])
}

/// A Pod as the texts have it, with everything they set.
fn pod(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "kuard", "tier": "front"}},
        "spec": {
            "volumes": [{"name": "kuard-data", "hostPath": {"path": "/var/lib/kuard"}}],
            "containers": [{"name": "kuard", "image": "gcr.io/kuar-demo/kuard-amd64:1",
                "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
                "resources": {"requests": {"cpu": "500m", "memory": "128Mi"},
                    "limits": {"cpu": "1000m", "memory": "256Mi"}},
                "volumeMounts": [{"mountPath": "/data", "name": "kuard-data"}],
                "livenessProbe": {"httpGet": {"path": "/healthy", "port": 8080}, "initialDelaySeconds": 5,
                    "timeoutSeconds": 1, "periodSeconds": 10, "failureThreshold": 3},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 2}}]}})
    .to_string()
}

/// Clients in two threads: as many as the server has.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    process::raise_descriptor_limit()?;
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

/// A server, a client of it, and so many Pods.
async fn server(pods: usize) -> anyhow::Result<(Process, Client)> {
    let server = Process::start()?;
    let client = server.client()?;
    // What a controller makes in every namespace.
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}).to_string();
    request(&client, "POST", "/api/v1/namespaces/default/serviceaccounts", account).await?;
    create(&server, pods).await?;
    Ok((server, client))
}

/// Creates Pods from several clients at once.
async fn create(server: &Process, pods: usize) -> anyhow::Result<()> {
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let client = server.client()?;
        clients.spawn(async move {
            for index in (number..pods).step_by(CLIENTS) {
                request(&client, "POST", PODS, pod(&format!("p{index:05}"))).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(())
}

fn server_start() -> anyhow::Result<Vec<f64>> {
    let runtime = runtime()?;
    (0..20)
        .map(|_| {
            let start = Instant::now();
            let server = Process::start()?;
            runtime.block_on(request(&server.client()?, "GET", "/readyz", ""))?;
            Ok(milliseconds(start))
        })
        .collect()
}

/// The times of one request over and over, after some that do not count.
fn times(
    pods: usize,
    count: usize,
    ask: impl AsyncFn(&Client, usize) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    runtime()?.block_on(async {
        let (_server, client) = server(pods).await?;
        let mut samples = Vec::new();
        for index in 0..count {
            let start = Instant::now();
            ask(&client, index).await?;
            samples.push(milliseconds(start));
        }
        samples.drain(..count / 10);
        Ok(samples)
    })
}

fn pod_get() -> anyhow::Result<Vec<f64>> {
    let path = format!("{PODS}/p00000");
    times(1, 1000, async |client, _| request(client, "GET", &path, "").await.map(drop))
}

fn pods_list() -> anyhow::Result<Vec<f64>> {
    times(100, 500, async |client, _| request(client, "GET", PODS, "").await.map(drop))
}

fn pod_create() -> anyhow::Result<Vec<f64>> {
    times(0, 500, async |client, index| request(client, "POST", PODS, pod(&format!("n{index}"))).await.map(drop))
}

fn pod_create_throughput() -> anyhow::Result<Vec<f64>> {
    const EACH: usize = 2000;
    runtime()?.block_on(async {
        let mut samples = Vec::new();
        for _ in 0..3 {
            let (server, _) = server(0).await?;
            let start = Instant::now();
            create(&server, EACH).await?;
            samples.push(EACH as f64 / start.elapsed().as_secs_f64());
        }
        Ok(samples)
    })
}

fn memory_of_pods() -> anyhow::Result<Vec<f64>> {
    runtime()?.block_on(async {
        let (server, _) = server(10_000).await?;
        Ok(vec![process::resident(server.pid())?])
    })
}

/// A watch of all Pods on a connection of its own, past its initial state.
struct Watch(podlab_client::Body);

impl Watch {
    async fn open(server: &Process) -> anyhow::Result<Self> {
        let path =
            format!("{PODS}?watch=1&allowWatchBookmarks=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
        let request = http::Request::get(path).body(bytes::Bytes::new())?;
        let mut watch = Self(server.client()?.send(request).await?.into_body());
        // The bookmark behind the initial state.
        let mut told = Vec::new();
        while !String::from_utf8_lossy(&told).contains("k8s.io/initial-events-end") {
            told.extend_from_slice(&watch.next().await?);
        }
        Ok(watch)
    }

    async fn next(&mut self) -> anyhow::Result<bytes::Bytes> {
        let frame = self.0.frame().await.context("the watch has ended")?.map_err(|error| anyhow::anyhow!(error))?;
        frame.into_data().map_err(|_| anyhow::anyhow!("a watch without data"))
    }
}

/// So many watches. One at a time: opening them is not what is measured.
async fn watches(server: &Process, count: usize) -> anyhow::Result<Vec<Watch>> {
    let mut watches = Vec::new();
    for _ in 0..count {
        watches.push(Watch::open(server).await?);
    }
    Ok(watches)
}

fn memory_of_watches() -> anyhow::Result<Vec<f64>> {
    runtime()?.block_on(async {
        let (server, _) = server(10).await?;
        // The first few wake up what all of them share.
        let _first = watches(&server, 10).await?;
        let before = process::resident(server.pid())?;
        let _watches = watches(&server, 1000).await?;
        Ok(vec![process::resident(server.pid())? - before])
    })
}

fn fan_out() -> anyhow::Result<Vec<f64>> {
    const EVENTS: usize = 20;
    runtime()?.block_on(async {
        let (server, client) = server(0).await?;
        let (told, mut events) = tokio::sync::mpsc::unbounded_channel();
        let mut readers = tokio::task::JoinSet::new();
        for mut watch in watches(&server, 1000).await? {
            let told = told.clone();
            readers.spawn(async move {
                while let Ok(event) = watch.next().await {
                    // An event of a Pod comes in one piece.
                    if event.ends_with(b"\n") && told.send(Instant::now()).is_err() {
                        return;
                    }
                }
            });
        }
        let mut samples = Vec::new();
        for index in 0..EVENTS {
            let start = Instant::now();
            request(&client, "POST", PODS, pod(&format!("n{index}"))).await?;
            let mut last = start;
            for _ in 0..1000 {
                last = last.max(events.recv().await.context("all watches have ended")?);
            }
            samples.push((last - start).as_secs_f64() * 1000.0);
        }
        Ok(samples)
    })
}

#[expect(clippy::disallowed_methods, reason = "that nothing happens shows only in time")]
fn idle_wake_ups() -> anyhow::Result<Vec<f64>> {
    runtime()?.block_on(async {
        let (server, _client) = server(100).await?;
        let _watches = watches(&server, 100).await?;
        // What the connections still have to do.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut samples = Vec::new();
        for _ in 0..3 {
            let before = process::sleeps(server.pid())?;
            tokio::time::sleep(Duration::from_secs(10)).await;
            samples.push(process::sleeps(server.pid())? - before);
        }
        Ok(samples)
    })
}
