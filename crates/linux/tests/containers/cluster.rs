//! A cluster of one node around a scenario, and what it must leave behind: nothing.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use podlab_linux::fabric::{FabricConfig, FabricReply, FabricRequest, ROLE, Running, UserNamespace, ask};
use podlab_linux::node::{self, NodeConfig};

/// Where the layer with this program lies, as the node sees it.
pub(crate) const LAYER: &str = "/var/lib/podlab/images/layer";

/// Generous: a machine that is emulated, or compiles something else at the same time, is slow. Only a defect uses it up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// Whether this machine lets us do any of this.
pub(crate) fn possible() -> Result<(), String> {
    let cluster = Cluster::start("probe")?;
    cluster.stop()
}

/// The scenario after which nobody ends the cluster in good order.
pub(crate) const SWEPT: &str = "a_killed_fabric_is_swept";

/// Runs one scenario in a cluster of its own.
pub(crate) fn test(name: &str) -> Result<Outcome, String> {
    let cluster = Cluster::start(name)?;
    let result = cluster.run(name);
    let stopped = if name == SWEPT { cluster.kill_and_sweep() } else { cluster.stop() };
    result.and_then(|outcome| stopped.map(|()| outcome))
}

/// How a scenario that did not fail went.
pub(crate) enum Outcome {
    Passed,
    /// The machine does not allow it, and why.
    CouldNotCheck(String),
}

struct Cluster {
    directory: tempfile::TempDir,
    fabric: Child,
}

impl Cluster {
    fn start(name: &str) -> Result<Self, String> {
        let directory = tempfile::Builder::new().prefix(&format!("podlab-{name}-")).tempdir().map_err(text)?;
        make_layer(&directory.path().join("images/layer")).map_err(text)?;
        let node = NodeConfig {
            name: "node1".to_owned(),
            index: 1,
            cpu_millis: 1000,
            memory: 1 << 30,
            pods: 110,
            limited: false,
            labels: Default::default(),
            taints: Vec::new(),
        };
        let root = rustix::process::geteuid().is_root();
        let config = FabricConfig {
            directory: directory.path().to_owned(),
            nodes: vec![node],
            user_namespace: (!root).then_some(UserNamespace::Single),
            sealed: None,
        };
        let mut fabric = Command::new("/proc/self/exe")
            .args(["internal", ROLE, &serde_json::to_string(&config).map_err(text)?])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let deadline = Instant::now() + PATIENCE;
        // The control socket is there once the fabric listens; it answers once the nodes have been started.
        loop {
            if matches!(ask(directory.path(), &FabricRequest::Nodes), Ok(FabricReply::Nodes(nodes)) if nodes.len() == 1)
            {
                return Ok(Self { directory, fabric });
            }
            if let Some(status) = fabric.try_wait().map_err(text)? {
                return Err(format!("the fabric ended: {status}"));
            }
            if Instant::now() > deadline {
                return Err("the fabric did not come up".to_owned());
            }
            std::thread::yield_now();
        }
    }

    fn run(&self, name: &str) -> Result<Outcome, String> {
        let path = self.directory.path().to_str().ok_or("directory name")?;
        let output =
            Command::new("/proc/self/exe").args(["internal", "scenario", path, name]).output().map_err(text)?;
        if output.status.success() {
            return Ok(Outcome::Passed);
        }
        if output.status.code() == Some(crate::scenarios::COULD_NOT_CHECK.into()) {
            return Ok(Outcome::CouldNotCheck(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
        }
        let log = fs::read_to_string(self.directory.path().join("log/kubelet-node1.log")).unwrap_or_default();
        Err(format!(
            "{}\n{}{}\n--- node's log\n{log}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))
    }

    /// Pulls the plug, and looks for what is left.
    fn stop(mut self) -> Result<(), String> {
        let running = Running::read(self.directory.path()).ok_or("nothing was written down")?;
        drop(self.fabric.stdin.take());
        self.fabric.wait().map_err(text)?;
        self.nothing_left(&running)
    }

    /// Kills the fabric, which leaves its nodes to themselves, and does what a janitor does then.
    fn kill_and_sweep(mut self) -> Result<(), String> {
        let running = Running::read(self.directory.path()).ok_or("nothing was written down")?;
        self.fabric.kill().map_err(text)?;
        self.fabric.wait().map_err(text)?;
        if !running.cgroups.cgroup("").exists() && !running.cgroups.hierarchies.is_empty() {
            return Err("there is nothing to sweep".to_owned());
        }
        // The node's init may have noticed by itself by now; its cgroups stay until somebody removes them.
        podlab_linux::janitor::sweep(self.directory.path());
        self.nothing_left(&running)?;
        // Swept once, there is nothing more to do.
        let again = podlab_linux::janitor::sweep(self.directory.path());
        if again.is_empty() { Ok(()) } else { Err(format!("the second sweep says {again:?}")) }
    }

    fn nothing_left(&self, running: &Running) -> Result<(), String> {
        if let Some(node) = running.nodes.iter().find(|node| node.init.find().is_some()) {
            return Err(format!("the init of {} is still there", node.name));
        }
        if running.cgroups.cgroup("").exists() {
            return Err(format!("cgroups are left: {:?}", running.cgroups));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(text)?;
        let path = self.directory.path().to_string_lossy().into_owned();
        match mounts.lines().find(|line| line.contains(&path)) {
            Some(line) => Err(format!("a mount is left: {line}")),
            None => Ok(()),
        }
    }
}

/// An image of one layer, with this program as everything there is.
fn make_layer(layer: &Path) -> std::io::Result<()> {
    for directory in ["bin", "etc", "tmp", "home/user"] {
        fs::create_dir_all(layer.join(directory))?;
    }
    let program = layer.join("bin/program");
    fs::copy("/proc/self/exe", &program)?;
    std::os::unix::fs::symlink("program", layer.join("bin/again"))?;
    let mut passwd = fs::File::create(layer.join("etc/passwd"))?;
    passwd.write_all(b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
}

/// Where a scenario finds the kubelet's configuration, on the node.
pub(crate) const KUBELET_CONFIG: &str = "/run/kubelet.json";

/// The part of the kubelet: nothing, but what it was told is written down.
pub(crate) fn idle(config: &str) -> ExitCode {
    // In one step, since somebody may be waiting for it.
    let next = format!("{KUBELET_CONFIG}.next");
    if let Err(error) = fs::write(&next, config).and_then(|()| fs::rename(&next, KUBELET_CONFIG)) {
        eprintln!("{KUBELET_CONFIG}: {error}");
    }
    loop {
        let _ = rustix::event::poll(&mut [], None);
    }
}

/// Outside: goes into the node and runs the scenario there.
pub(crate) fn enter(directory: &str, name: &str) -> ExitCode {
    let command = ["/proc/self/exe", "internal", "inside", name].map(Into::into);
    match node::exec(Path::new(directory), "node1", &command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
