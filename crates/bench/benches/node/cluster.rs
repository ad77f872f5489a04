//! A cluster to be measured, and what is seen of its Pods.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, DeleteOptions, ListOptions};
use podlab_testkit::Cluster;
use serde_json::{Value, json};

/// What has not happened by then does not happen.
const PATIENCE: Duration = Duration::from_secs(240);

/// A cluster, and what is needed to see its Pods.
pub(crate) struct Bench {
    pub(crate) runtime: tokio::runtime::Runtime,
    client: Client,
    pods: Cache<Pod>,
    pub(crate) cluster: Cluster,
}

/// The life of a Pod in milliseconds.
pub(crate) struct Seen {
    pub(crate) started: f64,
    pub(crate) running: f64,
    pub(crate) deleted: f64,
}

impl Bench {
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::of(Cluster::start())
    }

    pub(crate) fn of(cluster: Cluster) -> anyhow::Result<Self> {
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
        self.create_of(name, &json!({"name": "main", "image": "gcr.io/kuar-demo/kuard-amd64:1"})).await
    }

    /// A Pod of this container.
    pub(crate) async fn create_of(&self, name: &str, container: &Value) -> anyhow::Result<Pod> {
        let pod = json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container]}});
        Ok(self.client.create(&serde_json::from_value::<Pod>(pod)?).await?)
    }

    /// Waits until the watch has told so of a Pod (`None`: there is none).
    pub(crate) async fn until(&self, name: &str, wanted: impl Fn(Option<&Pod>) -> bool) -> anyhow::Result<()> {
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

    pub(crate) async fn until_ready(&self, name: &str) -> anyhow::Result<()> {
        self.until(name, |pod| {
            let conditions = pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.conditions.as_ref());
            let mut ready = conditions.into_iter().flatten().filter(|condition| condition.type_ == "Ready");
            ready.any(|condition| condition.status == "True")
        })
        .await
    }

    /// A Pod from its creation to its end.
    #[expect(
        clippy::disallowed_methods,
        reason = "the supervisor's stamps are of the wall's time, and so is what is measured"
    )]
    pub(crate) async fn life(&self, name: &str) -> anyhow::Result<Seen> {
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
    pub(crate) async fn thirty(&self) -> anyhow::Result<f64> {
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
    pub(crate) fn on_node(&self, wanted: &str) -> anyhow::Result<(f64, usize)> {
        let script = format!(
            "for process in /proc/[0-9]*; do tr '\\0' ' ' < $process/cmdline 2>/dev/null | grep -q '{wanted}' && \
             grep '^Pss:' $process/smaps_rollup; done; true"
        );
        let output = self.cluster.podlab(["node", "exec", "node1", "--", "sh", "-c", &script]).success().stdout;
        let sizes: Vec<f64> = output.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse().ok()).collect();
        Ok((sizes.iter().sum::<f64>() / 1024.0, sizes.len()))
    }
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// When the only container's program was reached, as its supervisor wrote it down.
fn started_at(containers: &Path) -> anyhow::Result<SystemTime> {
    let entry = std::fs::read_dir(containers)?.next().context("no container")??;
    let record: Value = serde_json::from_slice(&std::fs::read(entry.path().join("container.json"))?)?;
    Ok(UNIX_EPOCH + Duration::from_nanos(record["started_at"].as_u64().context("no time")?))
}
