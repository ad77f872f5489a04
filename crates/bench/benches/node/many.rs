//! A node of five hundred Pods, each of them probed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Context;
use podlab_client::sleeper::Sleeper;
use podlab_testkit::Cluster;
use serde_json::json;

use super::cluster::{Bench, milliseconds};

/// How many.
const PODS: usize = 500;
/// What `/proc` counts in, on every Linux (USER_HZ).
const TICKS_A_SECOND: f64 = 100.0;
/// For how long the node is left alone: three times around the probes.
const IDLE: Duration = Duration::from_secs(30);

/// Until all are Ready.
pub(crate) fn ready() -> anyhow::Result<Vec<f64>> {
    let (bench, took) = start()?;
    bench.cluster.stop();
    Ok(vec![milliseconds(took)])
}

/// What the machine, the control plane, the fabric, the janitor, the node's init, its kubelet and the supervisors need of a
/// core, in percent. What runs in the containers is theirs.
pub(crate) fn idle_processor() -> anyhow::Result<Vec<f64>> {
    let (bench, _) = start()?;
    let settle = || bench.runtime.block_on(Sleeper::wall().sleep(IDLE));
    // What the start has left to do: events that are counted, statuses.
    settle();
    let begun = Instant::now();
    let before = processor_time(&bench.cluster)?;
    settle();
    let used = processor_time(&bench.cluster)? - before;
    let percent = used / begun.elapsed().as_secs_f64() * 100.0;
    bench.cluster.stop();
    Ok(vec![percent])
}

fn start() -> anyhow::Result<(Bench, Duration)> {
    let bench = Bench::of(Cluster::builder().argument("--pods").argument((PODS + 10).to_string()).start())?;
    let probe = json!({"httpGet": {"path": "/ready", "port": 8080}});
    let container = json!({"name": "main", "image": "gcr.io/kuar-demo/kuard-amd64:1", "readinessProbe": probe});
    let names: Vec<String> = (0..PODS).map(|number| format!("pod-{number}")).collect();
    let begun = Instant::now();
    bench.runtime.block_on(async {
        futures_util::future::try_join_all(names.iter().map(|name| bench.create_of(name, &container))).await?;
        for name in &names {
            bench.until_ready(name).await?;
        }
        anyhow::Ok(())
    })?;
    Ok((bench, begun.elapsed()))
}

/// Seconds of a processor that the cluster's own processes have used so far.
fn processor_time(cluster: &Cluster) -> anyhow::Result<f64> {
    let machine = cluster.machine().context("no machine runs")?;
    let mut waiting = BTreeSet::from([machine]);
    let mut ticks = 0;
    while let Some(pid) = waiting.pop_first() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // utime and stime (proc_pid_stat(5)), counted behind the name.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        ticks += fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        // Below a supervisor are its containers.
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if command.starts_with(b"/pause") {
            continue;
        }
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            waiting.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    Ok(ticks as f64 / TICKS_A_SECOND)
}
