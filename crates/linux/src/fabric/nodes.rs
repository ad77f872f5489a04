//! The nodes of the cluster: started, stopped, and written down.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions};

use super::{FabricConfig, Running, RunningNode, machine_plug, registry};
use crate::cgroups::{Limits, Tree};
use crate::error::{During, Refusal};
use crate::namespaces::{Namespaces, Process, spawn};
use crate::node::{NodeConfig, init};
use crate::paths::State;
use crate::processes::{ProcessRecord, wait_until};
use crate::supervisor::record;
use crate::{network, syscalls};

/// How long a node that cannot be booted is left alone at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// For how long a node that was killed is waited for: an event ends the wait, on a busy machine late.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Nodes<'a> {
    config: &'a FabricConfig,
    cgroups: &'a Tree,
    running: Vec<Node>,
    /// Nodes whose init has ended by itself: they are booted again.
    down: Vec<Down>,
}

struct Node {
    config: NodeConfig,
    init: Process,
    record: ProcessRecord,
    /// The node ends when this is closed: with the fabric, however that goes.
    _plug: OwnedFd,
}

/// A node that is to run and does not.
struct Down {
    config: NodeConfig,
    due: Instant,
    /// How long it is left alone when it cannot be booted this time either.
    pause: Duration,
}

impl<'a> Nodes<'a> {
    pub(super) fn new(config: &'a FabricConfig, cgroups: &'a Tree) -> Self {
        Self { config, cgroups, running: Vec::new(), down: Vec::new() }
    }

    /// A fabric that was killed has left its nodes to themselves. They end, but must have ended before theirs begin again.
    pub(super) fn end_those_of_the_last(&self) {
        let deadline = Instant::now() + PATIENCE;
        let last = Running::read(&self.config.directory).unwrap_or_default();
        for node in last.nodes {
            if !node.init.end(deadline) {
                log_line!("fabric: {} of an earlier fabric does not end", node.name);
            }
        }
    }

    // ANCHOR: start
    /// Starts a node: namespaces, a cgroup, a cable, and an init. One that runs is left alone.
    pub(super) fn start(&mut self, node: &NodeConfig) -> Result<(), Refusal> {
        if self.running.iter().any(|known| known.config.name == node.name) {
            return Ok(());
        }
        self.down.retain(|down| down.config.name != node.name);
        let state = State(&self.config.directory);
        // Before it runs: its way to the API server is made by what is written down.
        registry::register(&self.config.directory, node, false)?;
        let cgroup = self.cgroups.cgroup(&node.name);
        cgroup.create()?;
        if node.limited {
            let (cpu_limit_millis, memory) = (Some(node.cpu_millis), Some(node.memory));
            cgroup.set(&Limits { cpu_limit_millis, memory, ..Limits::default() })?;
        }
        let cgroups = self.cgroups.below(&node.name);
        let log = open_log(&state, &node.name)?;
        let (cable, plugged) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).during("make", "pipe")?;
        let (ready, says_ready) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).during("make", "pipe")?;
        let (plug, plug_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).during("make", "pipe")?;
        let own = [0, 1, 2, cable.as_raw_fd(), says_ready.as_raw_fd(), plug.as_raw_fd()];

        let namespaces = Namespaces::MOUNT
            | Namespaces::PROCESS_ID
            | Namespaces::NETWORK
            | Namespaces::HOST_NAME_AND_NIS_DOMAIN_NAME
            | Namespaces::INTER_PROCESS_COMMUNICATION;
        let init = spawn(namespaces, None, || {
            let _ = rustix::stdio::dup2_stderr(&log);
            let _ = rustix::stdio::dup2_stdout(&log);
            // SAFETY: what the fabric owned is a copy here that nobody will touch; this closure ends the process.
            unsafe { syscalls::close_all_except(&own) };
            let directory = &self.config.directory;
            let user_namespace = self.config.user_namespace.is_some();
            let (ready, plugs) = (says_ready, [machine_plug(), plug.as_fd()]);
            init::main(init::Start { directory, node, cgroups: &cgroups, user_namespace, cable, ready, plugs })
        })?;
        let connected =
            namespace_of(init.pid).and_then(|namespace| network::connect_node(node.index, namespace.as_fd()));
        let started = connected.and_then(|()| {
            drop(plugged);
            wait_until_ready(ready).during("start node", &node.name)
        });
        if let Err(refusal) = started {
            let _ = init.signal(Signal::KILL);
            let _ = init.wait();
            return Err(refusal);
        }
        let record = ProcessRecord::of(init.pid).ok_or(Errno::SRCH).during("examine", "the node's init")?;
        self.running.push(Node { config: node.clone(), init, record, _plug: plug_end });
        network::route_to_pods(network::pod_block(node.index, node.pods), network::node_address(node.index))?;
        self.write_down()
    }
    // ANCHOR_END: start

    /// Stops a node, as pulling its own plug would. False: it does not run.
    pub(super) fn stop(&mut self, name: &str) -> Result<bool, Refusal> {
        self.down.retain(|down| down.config.name != name);
        if let Some(known) = registry::registered(&self.config.directory).iter().find(|node| node.config.name == name) {
            registry::register(&self.config.directory, &known.config, true)?;
        }
        let Some(index) = self.running.iter().position(|node| node.config.name == name) else { return Ok(false) };
        let node = self.running.remove(index);
        node.init.signal(Signal::KILL)?;
        node.init.wait().during("wait for", format_args!("the init of node {name}"))?;
        self.swept(&node.config.name);
        self.write_down()?;
        Ok(true)
    }

    /// Stops a node and forgets it. Its disk, its Pods' directories and its log go too.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), Refusal> {
        self.stop(name)?;
        if registry::registered(&self.config.directory).iter().any(|node| node.config.name == name) {
            let directory = State(&self.config.directory).node(name);
            match std::fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).during("remove directory", directory.display());
                }
                _ => {}
            }
            registry::forget(&self.config.directory, name)?;
        }
        Ok(())
    }

    pub(super) fn list(&self) -> Vec<RunningNode> {
        let describe =
            |node: &Node| RunningNode { name: node.config.name.clone(), index: node.config.index, init: node.record };
        self.running.iter().map(describe).collect()
    }

    /// Children have ended: a node has lost its init, and the kernel has ended everything on it. Nobody asked for that,
    /// so it is to be booted again.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let Some(index) = self.running.iter().position(|node| node.init.pid == pid) else { continue };
            let node = self.running.remove(index);
            log_line!("fabric: the init of {} has ended ({status:?})", node.config.name);
            self.swept(&node.config.name);
            if let Err(refusal) = self.write_down() {
                log_line!("fabric: {refusal}");
            }
            self.down.push(Down { config: node.config, due: Instant::now(), pause: FIRST_PAUSE });
        }
    }

    /// When a node is to be booted again, if one is.
    pub(super) fn next_boot(&self) -> Option<Instant> {
        self.down.iter().map(|down| down.due).min()
    }

    /// Boots the nodes whose time has come.
    pub(super) fn boot_again(&mut self) {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) = self.down.drain(..).partition(|down| down.due <= now);
        self.down = later;
        for Down { config, pause, .. } in due {
            match self.start(&config) {
                Ok(()) => log_line!("fabric: {} is booted again", config.name),
                Err(refusal) => {
                    log_line!("fabric: {}: {refusal}", config.name);
                    let pause_after = (pause * 2).min(LONGEST_PAUSE);
                    self.down.push(Down { config, due: now + pause, pause: pause_after });
                }
            }
        }
    }

    /// Ends all nodes and removes what outlives them.
    pub(super) fn end(&mut self) {
        // They have pulled the same plug, or will at once; together they take as long as the slowest.
        for node in &self.running {
            let _ = node.init.signal(Signal::KILL);
        }
        let deadline = Instant::now() + PATIENCE;
        for node in &self.running {
            wait_until(&node.init, deadline);
            let _ = node.init.try_wait();
        }
        self.running.clear();
        let _ = self.cgroups.cgroup("").remove();
    }

    fn swept(&self, name: &str) {
        if let Err(refusal) = self.cgroups.cgroup(name).remove() {
            log_line!("fabric: {refusal}");
        }
    }

    fn write_down(&self) -> Result<(), Refusal> {
        let running = Running {
            fabric: ProcessRecord::of(rustix::process::getpid()),
            nodes: self.list(),
            cgroups: self.cgroups.clone(),
        };
        record::write(&State(&self.config.directory).running(), &running)
    }
}

/// Waits until a node's init says that it is ready. What else it says goes to our log.
fn wait_until_ready(ready: OwnedFd) -> Result<(), Errno> {
    let mut said = String::new();
    let _ = File::from(ready).take(4096).read_to_string(&mut said);
    if said == init::READY {
        return Ok(());
    }
    log_line!("fabric: a node's init says: {said}");
    Err(Errno::CHILD)
}

fn namespace_of(process: Pid) -> Result<File, Refusal> {
    let path = format!("/proc/{}/ns/net", process.as_raw_nonzero());
    File::open(&path).during("open", path)
}

/// What a node's init and its kubelet write to standard error.
fn open_log(state: &State<'_>, node: &str) -> Result<File, Refusal> {
    let path = state.log(&format!("kubelet-{node}"));
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).during("create directory", directory.display())?;
    }
    OpenOptions::new().create(true).append(true).open(&path).during("open", path.display())
}
