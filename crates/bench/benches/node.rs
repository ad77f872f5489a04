//! The node's figures: how fast a Pod is there and gone, and what it costs. Each on a cluster of its own; beside them what
//! `runc` alone needs for a container, where it is installed.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Pod;
use podlab_bench::{Figure, Goal, Reference, Unit, run};
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, DeleteOptions, ListOptions};
use podlab_testkit::Cluster;
use serde_json::{Value, json};

/// How often a Pod is made and taken away.
const PODS: usize = 20;
/// What has not happened by then does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    run(&[
        Figure {
            name: "pod-start",
            what: "from the POST of a Pod to the first instruction of its container",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(15.0)),
            reference: Some(Reference { value: 450.0, what: "" }),
            measure: || pods(|seen| seen.started),
        },
        Figure {
            name: "runc-run",
            what: "a container by `runc run` alone, to its end",
            unit: Unit::Milliseconds,
            goal: None,
            reference: None,
            measure: runc_run,
        },
        Figure {
            name: "pod-running",
            what: "from the POST of a Pod to Running, as a watch sees it",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(30.0)),
            reference: Some(Reference { value: 988.0, what: "kubectl apply" }),
            measure: || pods(|seen| seen.running),
        },
        Figure {
            name: "pod-delete",
            what: "from the DELETE of a Pod whose process ends on SIGTERM to DELETED",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(20.0)),
            reference: Some(Reference { value: 1018.0, what: "" }),
            measure: || pods(|seen| seen.deleted),
        },
        Figure {
            name: "pods-30-running",
            what: "30 Pods at once, until all are Running",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(300.0)),
            reference: Some(Reference { value: 4000.0, what: "" }),
            measure: thirty_pods,
        },
        Figure {
            name: "pod-overhead",
            what: "proportional set size of a Pod's supervisor, with 30 Pods",
            unit: Unit::Mebibytes,
            goal: Some(Goal::AtMost(1.5)),
            reference: Some(Reference { value: 14.4, what: "containerd-shim, resident" }),
            measure: overhead,
        },
        Figure {
            name: "cluster-idle-memory",
            what: "proportional set size of all processes of an idle cluster",
            unit: Unit::Mebibytes,
            goal: Some(Goal::AtMost(24.0)),
            reference: Some(Reference { value: 719.0, what: "resident" }),
            measure: idle_memory,
        },
    ])
}

/// A cluster, and what is needed to see its Pods.
struct Bench {
    runtime: tokio::runtime::Runtime,
    client: Client,
    pods: Cache<Pod>,
    cluster: Cluster,
}

/// The life of a Pod in milliseconds.
struct Seen {
    started: f64,
    running: f64,
    deleted: f64,
}

impl Bench {
    fn start() -> anyhow::Result<Self> {
        let cluster = Cluster::start();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let client = Client::from_kubeconfig(cluster.kubeconfig())?;
        let pods = runtime.block_on(async {
            let options = ListOptions::default();
            let pods = Cache::spawn(client.clone(), Some("default".to_owned()), options, Sleeper::wall());
            pods.synced().await;
            pods
        });
        Ok(Self { runtime, client, pods, cluster })
    }

    async fn create(&self, name: &str) -> anyhow::Result<Pod> {
        let container = json!({"name": "main", "image": "gcr.io/kuar-demo/kuard-amd64:1"});
        let pod = json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container]}});
        Ok(self.client.create(&serde_json::from_value::<Pod>(pod)?).await?)
    }

    /// Waits until the watch has told so of a Pod (`None`: there is none).
    async fn until(&self, name: &str, wanted: impl Fn(Option<&Pod>) -> bool) -> anyhow::Result<()> {
        let mut version = self.pods.version();
        let seen = async {
            while !wanted(self.pods.get("default", name).as_deref()) {
                if version.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.with_context(|| format!("{name} did not come so far"))
    }

    async fn until_running(&self, name: &str) -> anyhow::Result<()> {
        self.until(name, |pod| {
            let status = pod.and_then(|pod| pod.status.as_ref());
            status.and_then(|status| status.phase.as_deref()) == Some("Running")
        })
        .await
    }

    /// A Pod from its creation to its end.
    #[expect(
        clippy::disallowed_methods,
        reason = "the supervisor's stamps are of the wall's time, and so is what is measured"
    )]
    async fn life(&self, name: &str) -> anyhow::Result<Seen> {
        let (asked, begun) = (SystemTime::now(), Instant::now());
        let pod = self.create(name).await?;
        self.until_running(name).await?;
        let running = milliseconds(begun.elapsed());
        let uid = pod.metadata.uid.context("no uid")?;
        let started = started_at(&self.cluster.directory().join("nodes/node1/pods").join(uid).join("containers"))?;
        let started = milliseconds(started.duration_since(asked)?);
        let begun = Instant::now();
        self.client.delete::<Pod>("default", name, &DeleteOptions::default()).await?;
        self.until(name, |pod| pod.is_none()).await?;
        Ok(Seen { started, running, deleted: milliseconds(begun.elapsed()) })
    }

    /// Thirty Pods at once; how long it took until all were Running.
    async fn thirty(&self) -> anyhow::Result<f64> {
        let names: Vec<String> = (0..30).map(|number| format!("pod-{number}")).collect();
        let begun = Instant::now();
        futures_util::future::try_join_all(names.iter().map(|name| self.create(name))).await?;
        for name in &names {
            self.until_running(name).await?;
        }
        Ok(milliseconds(begun.elapsed()))
    }

    /// The sum of the proportional set sizes of the node's processes whose command line `wanted` says yes to, in MiB,
    /// and how many there are. The node's init shows all of the node.
    fn on_node(&self, wanted: &str) -> anyhow::Result<(f64, usize)> {
        let script = format!(
            "for process in /proc/[0-9]*; do tr '\\0' ' ' < $process/cmdline 2>/dev/null | grep -q '{wanted}' && \
             grep '^Pss:' $process/smaps_rollup; done; true"
        );
        let output = self.cluster.podlab(["node", "exec", "node1", "--", "sh", "-c", &script]).success().stdout;
        let sizes: Vec<f64> = output.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse().ok()).collect();
        Ok((sizes.iter().sum::<f64>() / 1024.0, sizes.len()))
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// When the only container's program was reached, as its supervisor wrote it down.
fn started_at(containers: &Path) -> anyhow::Result<SystemTime> {
    let entry = std::fs::read_dir(containers)?.next().context("no container")??;
    let record: Value = serde_json::from_slice(&std::fs::read(entry.path().join("container.json"))?)?;
    Ok(UNIX_EPOCH + Duration::from_nanos(record["started_at"].as_u64().context("no time")?))
}

fn pods(figure: fn(Seen) -> f64) -> anyhow::Result<Vec<f64>> {
    let bench = Bench::start()?;
    let samples = bench.runtime.block_on(async {
        // The first one fills caches.
        bench.life("warm").await?;
        let mut samples = Vec::new();
        for number in 0..PODS {
            samples.push(figure(bench.life(&format!("pod-{number}")).await?));
        }
        anyhow::Ok(samples)
    })?;
    bench.cluster.stop();
    Ok(samples)
}

fn thirty_pods() -> anyhow::Result<Vec<f64>> {
    (0..3)
        .map(|_| {
            let bench = Bench::start()?;
            let sample = bench.runtime.block_on(bench.thirty())?;
            bench.cluster.stop();
            Ok(sample)
        })
        .collect()
}

fn overhead() -> anyhow::Result<Vec<f64>> {
    let bench = Bench::start()?;
    bench.runtime.block_on(bench.thirty())?;
    let (sum, count) = bench.on_node("^/pause")?;
    bench.cluster.stop();
    // The cluster's own Pods (DNS) have supervisors, too.
    if count < 30 {
        bail!("{count} supervisors are there");
    }
    Ok(vec![sum / count as f64])
}

fn idle_memory() -> anyhow::Result<Vec<f64>> {
    let bench = Bench::start()?;
    let (on_node, _) = bench.on_node(".")?;
    let record = bench.cluster.record().context("no machine runs")?;
    let mut sum = on_node;
    for part in ["machine", "control_plane", "fabric", "janitor"] {
        let pid = record[part]["pid"].as_u64().with_context(|| format!("no {part}"))?;
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
        sum += line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0;
    }
    bench.cluster.stop();
    Ok(vec![sum])
}

/// A bundle as small as they come: one static program that does nothing.
fn runc_run() -> anyhow::Result<Vec<f64>> {
    let bundle = tempfile::tempdir()?;
    let runc = |arguments: &[&str]| {
        let mut command = Command::new("runc");
        command.args(arguments).current_dir(bundle.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    if !runc(&["spec"]).status().is_ok_and(|status| status.success()) {
        bail!("runc is not installed");
    }
    let bin = bundle.path().join("rootfs/bin");
    std::fs::create_dir_all(&bin)?;
    // Ours is static; called by the name of one of its applets it does nothing but end.
    std::fs::copy(podlab_testkit::podlab(), bin.join("podlab"))?;
    let path = bundle.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    config["process"]["args"] = json!(["/bin/podlab", "--version"]);
    config["process"]["terminal"] = json!(false);
    std::fs::write(&path, serde_json::to_vec(&config)?)?;
    let name = format!("podlab-bench-{}", std::process::id());
    (0..PODS)
        .map(|_| {
            let begun = Instant::now();
            let status = runc(&["run", &name]).status()?;
            if !status.success() {
                bail!("runc run: {status}");
            }
            Ok(milliseconds(begun.elapsed()))
        })
        .collect()
}
