//! The node's figures: how fast a Pod is there and gone, and what it costs. Each on a cluster of its own; beside them what
//! `runc`, `podman` and `docker` need for a container, where they are installed.

mod cluster;
mod many;
mod peers;

use std::process::ExitCode;

use anyhow::{Context, bail};
use podlab_bench::{Figure, Goal, Reference, Unit, run};

use cluster::{Bench, Seen};

/// How often a Pod is made and taken away.
const PODS: usize = 20;

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
            measure: peers::runc_run,
        },
        Figure {
            name: "podman-kube-play",
            what: "a Pod of one container by `podman kube play`",
            unit: Unit::Milliseconds,
            goal: None,
            reference: None,
            measure: peers::podman_kube_play,
        },
        Figure {
            name: "docker-run",
            what: "a container by `docker run`, to its end",
            unit: Unit::Milliseconds,
            goal: None,
            reference: None,
            measure: peers::docker_run,
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
        Figure {
            name: "pods-500-ready",
            what: "500 Pods with a readiness probe on one node, until all are Ready",
            unit: Unit::Milliseconds,
            goal: None,
            reference: None,
            measure: many::ready,
        },
        Figure {
            name: "pods-500-idle-processor",
            what: "processor time of the cluster's own processes while 500 Pods are probed every 10 s",
            unit: Unit::PercentOfACore,
            goal: Some(Goal::AtMost(1.0)),
            reference: None,
            measure: many::idle_processor,
        },
    ])
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
