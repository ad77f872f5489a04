//! What others need for a container, on the same machine at the same time: figures to hold ours against.
//!
//! What is not there is said in words ([`Absent`]); nothing is installed or downloaded.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::bail;
use podlab_bench::Absent;
use podlab_client::sleeper::{Backoff, Sleeper};
use serde_json::{Value, json};

use super::PODS;
use super::cluster::milliseconds;

/// The name of the image that the others are given: our own binary and nothing else.
const IMAGE: &str = "localhost/podlab-bench:1";

/// A bundle as small as they come: one static program that does nothing.
pub(crate) fn runc_run() -> anyhow::Result<Vec<f64>> {
    let bundle = tempfile::tempdir()?;
    let runc = |arguments: &[&str]| {
        let mut command = Command::new("runc");
        command.args(arguments).current_dir(bundle.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    if !runc(&["spec"]).status().is_ok_and(|status| status.success()) {
        return Err(Absent("runc is not installed").into());
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

/// A Pod as the texts write one, by `podman kube play`: until that says that the Pod runs.
pub(crate) fn podman_kube_play() -> anyhow::Result<Vec<f64>> {
    if !answers(Command::new("podman").arg("info")) {
        return Err(Absent("podman is not installed, or does not work here").into());
    }
    let scratch = tempfile::tempdir()?;
    import("podman", &[], scratch.path())?;
    let manifest = scratch.path().join("pod.json");
    let container = json!({"name": "main", "image": IMAGE, "command": ["/podlab", "--version"]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "podlab-bench"},
        "spec": {"restartPolicy": "Never", "containers": [container]}});
    std::fs::write(&manifest, serde_json::to_vec(&pod)?)?;
    let play = |down: bool| {
        let mut command = Command::new("podman");
        command.args(["kube", "play"]).args(down.then_some("--down")).arg(&manifest);
        checked(command.args((!down).then_some("--network=none")))
    };
    let samples = (0..PODS)
        .map(|_| {
            let begun = Instant::now();
            play(false)?;
            let took = milliseconds(begun.elapsed());
            play(true)?;
            Ok(took)
        })
        .collect();
    let _ = checked(Command::new("podman").args(["image", "rm", "--force", IMAGE]));
    samples
}

/// A container by `docker run`, without a network, to its end.
pub(crate) fn docker_run() -> anyhow::Result<Vec<f64>> {
    let scratch = tempfile::tempdir()?;
    let engine = Engine::find(scratch.path())?;
    let host: Vec<String> = engine.host.iter().flat_map(|host| ["--host".to_owned(), host.clone()]).collect();
    import("docker", &host, scratch.path())?;
    let samples = (0..PODS)
        .map(|_| {
            let begun = Instant::now();
            let run = ["run", "--rm", "--network=none", IMAGE, "/podlab", "--version"];
            checked(Command::new("docker").args(&host).args(run))?;
            Ok(milliseconds(begun.elapsed()))
        })
        .collect();
    let _ = checked(Command::new("docker").args(&host).args(["image", "rm", "--force", IMAGE]));
    samples
}

/// The engine behind the `docker` command: the one that runs, or one that is started for this.
struct Engine {
    host: Option<String>,
    started: Option<Child>,
}

impl Engine {
    fn find(scratch: &Path) -> anyhow::Result<Self> {
        if answers(Command::new("docker").arg("info")) {
            return Ok(Self { host: None, started: None });
        }
        let host = format!("unix://{}/docker.sock", scratch.display());
        let folder = |name: &str| scratch.join(name);
        // Without a network of its own: the host's firewall stays as it is.
        let started = Command::new("dockerd")
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--host", &host])
            .arg("--pidfile")
            .arg(folder("docker.pid"))
            .arg("--data-root")
            .arg(folder("docker"))
            .arg("--exec-root")
            .arg(folder("docker-run"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(started) = started else {
            return Err(Absent("no docker engine runs, and dockerd is not installed").into());
        };
        let mut engine = Self { host: Some(host.clone()), started: Some(started) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut pause = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        while !answers(Command::new("docker").args(["--host", &host, "info"])) {
            if engine.started.as_mut().is_some_and(|engine| engine.try_wait().is_ok_and(|ended| ended.is_some())) {
                return Err(Absent("no docker engine runs, and dockerd does not start here").into());
            }
            runtime.block_on(Sleeper::wall().sleep(pause.step()));
        }
        Ok(engine)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut started) = self.started.take() {
            // It takes off what it has mounted, and has ended when it is waited for.
            let pid = rustix::process::Pid::from_child(&started);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = started.wait();
        }
    }
}

/// Gives an engine the image: one layer with our binary.
fn import(engine: &str, options: &[String], scratch: &Path) -> anyhow::Result<()> {
    let root = scratch.join("root");
    std::fs::create_dir_all(&root)?;
    std::fs::copy(podlab_testkit::podlab(), root.join("podlab"))?;
    let archive = scratch.join("root.tar");
    checked(
        Command::new("tar").arg("--create").arg("--file").arg(&archive).arg("--directory").arg(&root).arg("podlab"),
    )?;
    checked(Command::new(engine).args(options).arg("import").arg(&archive).arg(IMAGE))
}

fn answers(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn checked(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
