//! The node's init: the first process of its pid namespace.
//!
//! When it ends, the kernel ends everything on the node. It starts the kubelet, again and again, and is the parent of
//! every Pod's supervisor, so that Pods do not notice when a kubelet ends. It is a *zygote*: a supervisor is a fork of
//! it, and shares its memory until it writes to it.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::WaitOptions;

use super::pods::Pods;
use super::{KUBELET_ROLE, KubeletConfig, NodeConfig, root};
use crate::cgroups::Tree;
use crate::container::program::DEFAULT_PATH;
use crate::error::{During, Refusal};
use crate::namespaces::{Namespaces, Process, spawn, unshare};
use crate::paths::{State, inside};
use crate::processes::timespec;
use crate::protocol::{InitReply, InitRequest};
use crate::wire::Connection;
use crate::{descriptors, network, seccomp, syscalls};

/// What a node is started with.
pub(crate) struct Start<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) node: &'a NodeConfig,
    /// The node's cgroups, as the machine sees them.
    pub(crate) cgroups: &'a Tree,
    pub(crate) user_namespace: bool,
    /// Closed by the fabric when the node's cable is plugged in.
    pub(crate) cable: OwnedFd,
    /// Told, by a word or by what went wrong, when the node has its own tree and takes requests.
    pub(crate) ready: OwnedFd,
    /// The node ends at the end of file of either: the machine's plug, and the one that the fabric holds.
    pub(crate) plugs: [BorrowedFd<'a>; 2],
}

/// The longest time a kubelet that keeps ending is left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Enough that a kubelet that the kernel kills for want of memory does not take the processor as well.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// What a node's init says when it is ready.
pub(crate) const READY: &str = "ready";

/// Runs a node until its plug is pulled. In the node's own mount, pid, net, uts and ipc namespaces.
pub(crate) fn main(start: Start<'_>) -> i32 {
    crate::title::set("node-init", &format!("podlab: init of {}", start.node.name));
    let plugs = start.plugs;
    let mut init = match Init::set_up(&start) {
        Ok(init) => init,
        Err(refusal) => {
            let _ = rustix::io::write(&start.ready, refusal.to_string().as_bytes());
            return 1;
        }
    };
    let _ = rustix::io::write(&start.ready, READY.as_bytes());
    drop(start);
    match init.run(plugs) {
        Ok(()) => 0,
        Err(refusal) => {
            log_line!("node init: {refusal}");
            1
        }
    }
}

struct Init {
    listener: UnixListener,
    children: OwnedFd,
    kubelet_arguments: Vec<CString>,
    kubelet: Option<Process>,
    /// When the kubelet was started last, and how long it is left alone after an early end.
    kubelet_started: Instant,
    kubelet_pause: Duration,
    kubelet_due: Option<Instant>,
    clients: Vec<Client>,
    pods: Pods,
}

struct Client {
    connection: Connection,
    watches: bool,
    /// The Pods whose end it waits for.
    waits_for: Vec<String>,
}

impl Init {
    fn set_up(start: &Start<'_>) -> Result<Self, Refusal> {
        let Start { directory, node, cgroups, user_namespace, cable, .. } = start;
        let state = State(directory);
        cgroups.cgroup("").join()?;
        unshare(Namespaces::CONTROL_GROUP)?;
        // The node's own cgroup will hand controllers down to those of its Pods, and so may not hold processes.
        let system = cgroups.cgroup("system");
        system.create_exit()?;
        system.join()?;
        rustix::system::sethostname(node.name.as_bytes()).during("set host name", &node.name)?;

        // An end of file: the fabric has plugged the cable in.
        let _ = rustix::io::read(cable, &mut [0_u8; 1]).during("wait for", "the cable")?;
        let block = network::pod_block(node.index, node.pods);
        network::set_up_node(node.index, block)?;
        root::enter(&state, &node.name, &cgroups.hierarchies)?;
        let cgroups = cgroups.mounted_at(Path::new(inside::CGROUPS));
        // Every supervisor will share this one.
        seccomp::default_filter()?;

        let listener = UnixListener::bind(inside::INIT_SOCKET).during("listen on", inside::INIT_SOCKET)?;
        listener.set_nonblocking(true).during("listen on", inside::INIT_SOCKET)?;
        let config = KubeletConfig {
            node: (*node).clone(),
            internal_ip: network::node_address(node.index).to_string(),
            pod_cidr: block.to_string(),
            api_socket: Path::new(inside::API).join(format!("{}.sock", node.name)),
            kubelet_socket: Path::new(inside::NODE).join("kubelet.sock"),
            init_socket: inside::INIT_SOCKET.into(),
            supervisors: inside::SUPERVISORS.into(),
            pods: inside::PODS.into(),
            images: inside::IMAGES.into(),
            cgroups: cgroups.clone(),
        };
        Ok(Self {
            listener,
            children: syscalls::signal_descriptor(&[libc::SIGCHLD]).during("watch", "child processes")?,
            kubelet_arguments: kubelet_arguments(&config)?,
            kubelet: None,
            kubelet_started: Instant::now(),
            kubelet_pause: Duration::ZERO,
            kubelet_due: Some(Instant::now()),
            clients: Vec::new(),
            pods: Pods::new(block, cgroups, *user_namespace, descriptors::allow_many()),
        })
    }

    fn run(&mut self, plugs: [BorrowedFd<'_>; 2]) -> Result<(), Refusal> {
        loop {
            if self.kubelet_due.is_some_and(|due| due <= Instant::now()) {
                self.start_kubelet()?;
            }
            let (pulled, children, connections, clients) = self.wait(plugs)?;
            if pulled {
                return Ok(());
            }
            if children {
                self.reap();
            }
            for index in clients.into_iter().rev() {
                if !self.serve(index) {
                    self.clients.remove(index);
                }
            }
            if connections
                && let Ok((socket, _)) = self.listener.accept()
                && socket.set_nonblocking(true).is_ok()
            {
                self.clients.push(Client { connection: socket.into(), watches: false, waits_for: Vec::new() });
            }
        }
    }

    /// What has happened: a plug was pulled, children have ended, somebody connects, these clients have sent.
    fn wait(&self, plugs: [BorrowedFd<'_>; 2]) -> Result<(bool, bool, bool, Vec<usize>), Refusal> {
        let mut polled = vec![
            PollFd::from_borrowed_fd(plugs[0], PollFlags::IN),
            PollFd::from_borrowed_fd(plugs[1], PollFlags::IN),
            PollFd::new(&self.children, PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
        ];
        polled.extend(
            self.clients.iter().map(|client| PollFd::from_borrowed_fd(client.connection.as_fd(), PollFlags::IN)),
        );
        let timeout = self.kubelet_due.map(|due| timespec(due.saturating_duration_since(Instant::now())));
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).during("wait for", "events"),
        }
        let ready = |index: usize| !polled[index].revents().is_empty();
        let clients = (0..self.clients.len()).filter(|index| ready(index + 4)).collect();
        Ok((ready(0) || ready(1), ready(2), ready(3), clients))
    }

    /// Serves what a client asks. False: it is gone.
    fn serve(&mut self, index: usize) -> bool {
        loop {
            let request = match self.clients[index].connection.receive::<InitRequest>() {
                Ok(Some((request, _))) => request,
                Ok(None) => return true,
                Err(_) => return false,
            };
            let reply = match request {
                InitRequest::CreatePod(spec) => match self.pods.create(*spec) {
                    Ok(pod) => InitReply::Created(pod),
                    Err(refusal) => InitReply::Failed { message: refusal.to_string() },
                },
                InitRequest::KillPod { uid } => {
                    if self.pods.kill(&uid) {
                        self.clients[index].waits_for.push(uid);
                        continue;
                    }
                    InitReply::Gone { uid }
                }
                InitRequest::Pods => InitReply::Pods(self.pods.list()),
                InitRequest::Watch => {
                    self.clients[index].watches = true;
                    InitReply::Watching
                }
            };
            if self.clients[index].connection.send(&reply, &[]).is_err() {
                return false;
            }
        }
    }

    fn reap(&mut self) {
        let _ = rustix::io::read(&self.children, &mut [0_u8; 1024]);
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if self.kubelet.as_ref().is_some_and(|kubelet| kubelet.pid == pid) {
                log_line!("node init: the kubelet ended ({status:?}) and is started again");
                self.kubelet = None;
                let killed = status.terminating_signal() == Some(libc::SIGKILL);
                self.kubelet_due = Some(Instant::now() + self.next_pause(killed));
            } else if let Some(uid) = self.pods.ended(pid) {
                self.tell(&uid);
            }
        }
    }

    /// A kubelet that ran for a while is started again at once, and so is one that somebody killed: that says nothing
    /// about how it would have gone on. One that ends early by itself is left alone for longer and longer.
    fn next_pause(&mut self, killed: bool) -> Duration {
        let early = self.kubelet_started.elapsed() < LONGEST_PAUSE;
        if killed {
            return if early { FIRST_PAUSE } else { Duration::ZERO };
        }
        let pause = if early { self.kubelet_pause } else { Duration::ZERO };
        self.kubelet_pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        pause
    }

    fn tell(&mut self, uid: &str) {
        let gone = InitReply::Gone { uid: uid.to_owned() };
        self.clients.retain_mut(|client| {
            let waited = client.waits_for.iter().any(|known| known == uid);
            client.waits_for.retain(|known| known != uid);
            !(waited || client.watches) || client.connection.send(&gone, &[]).is_ok()
        });
    }

    fn start_kubelet(&mut self) -> Result<(), Refusal> {
        let arguments = &self.kubelet_arguments;
        let variables = [CString::new(format!("PATH={DEFAULT_PATH}")), CString::new("HOME=/")];
        let variables: Vec<_> = variables.into_iter().flatten().collect();
        let kubelet = spawn(Namespaces::empty(), None, || {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
            if let Ok(null) = rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty()) {
                let _ = rustix::stdio::dup2_stdin(&null);
            }
            let _ = syscalls::close_on_exec_from(3);
            syscalls::reset_signals();
            let refused = syscalls::execute(c"/proc/self/exe", arguments, &variables);
            log_line!("node init: start the kubelet: {}", crate::error::errno_text(refused));
            127
        })?;
        self.kubelet = Some(kubelet);
        self.kubelet_started = Instant::now();
        self.kubelet_due = None;
        Ok(())
    }
}

fn kubelet_arguments(config: &KubeletConfig) -> Result<Vec<CString>, Refusal> {
    let json =
        serde_json::to_string(config).map_err(std::io::Error::from).during("encode", "the kubelet's configuration")?;
    let arguments = ["podlab", "internal", KUBELET_ROLE, &json].map(CString::new);
    arguments
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|_| Errno::INVAL)
        .during("encode", "the kubelet's arguments")
}

/// Removes the socket of an ended supervisor; the directory of sockets is as fresh as the node.
pub(super) fn remove_socket(uid: &str) {
    let _ = fs::remove_file(Path::new(inside::SUPERVISORS).join(uid));
}
