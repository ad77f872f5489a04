//! The built-in kubectl's figures, beside those of the real one: each command by both in turn, on the same server.

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::ensure;
use podlab_bench::server::{Process, request};
use podlab_bench::{Absent, Figure, Goal, Reference, Unit, run};
use podlab_testkit::Kubectl;
use serde_json::json;

/// How often each of the two is run.
const RUNS: usize = 40;
/// Pods that are listed.
const PODS: usize = 10;

fn main() -> ExitCode {
    run(&[
        Figure {
            name: "kubectl-get-pods",
            what: "`get pods` by the built-in kubectl, from its start to its end",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(10.0)),
            reference: Some(Reference { value: 47.0, what: "the real one" }),
            measure: || Ok(in_turn()?.built_in),
        },
        Figure {
            name: "kubectl-get-pods-real",
            what: "the same by the real one on the same server, in turn",
            unit: Unit::Milliseconds,
            goal: None,
            reference: None,
            measure: || {
                let Some(real) = in_turn()?.real else { return Err(Absent("no kubectl is installed").into()) };
                Ok(real)
            },
        },
    ])
}

/// Milliseconds of each run.
struct Turns {
    built_in: Vec<f64>,
    /// `None` where there is none.
    real: Option<Vec<f64>>,
}

fn in_turn() -> anyhow::Result<Turns> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = Process::start()?;
    runtime.block_on(async {
        let client = server.client()?;
        let account = json!({"kind": "ServiceAccount", "metadata": {"name": "default"}}).to_string();
        request(&client, "POST", "/api/v1/namespaces/default/serviceaccounts", account).await?;
        for number in 0..PODS {
            let pod = json!({"metadata": {"name": format!("pod-{number}")},
                "spec": {"containers": [{"name": "main", "image": "nginx"}]}});
            request(&client, "POST", "/api/v1/namespaces/default/pods", pod.to_string()).await?;
        }
        anyhow::Ok(())
    })?;
    // Both keep what they found out about the server, each in a home directory of its own.
    let (our_home, real_home) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let kubeconfig = server.kubeconfig();
    let mut ours = Command::new(podlab_testkit::podlab());
    ours.args(["kubectl", "get", "pods"]).env("KUBECONFIG", &kubeconfig).env("HOME", our_home.path());
    let mut real = Kubectl::any().map(|kubectl| kubectl.command(&kubeconfig, real_home.path(), ["get", "pods"]));
    let mut turns = Turns { built_in: Vec::new(), real: real.as_ref().map(|_| Vec::new()) };
    for number in 0..=RUNS {
        let took = milliseconds(&mut ours)?;
        let of_real = real.as_mut().map(milliseconds).transpose()?;
        // The first finds out.
        if number > 0 {
            turns.built_in.push(took);
            turns.real.iter_mut().for_each(|real| real.extend(of_real));
        }
    }
    Ok(turns)
}

fn milliseconds(command: &mut Command) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    // A line a Pod, and their head.
    let lines = String::from_utf8_lossy(&output.stdout).lines().count();
    ensure!(output.status.success() && lines == PODS + 1, "{command:?}: {output:?}");
    Ok(took)
}
