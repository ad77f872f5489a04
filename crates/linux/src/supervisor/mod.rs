//! A Pod's supervisor: the process that *is* the Pod.
//!
//! It is forked from the node's init, one a Pod, and executes no program of its own. It holds what the containers of
//! the Pod share (network, IPC and host name); it is the first process of the Pod's pid namespace, above those of the
//! containers, so that the kernel ends everything in the Pod when it ends, however that happens. It is the parent of
//! the containers' first processes: it learns of each exit, writes it down, and tells who watches.
//!
//! One thread, one loop around poll(2), and whatever a container writes passes through buffers of fixed size.

mod attach;
mod connect;
mod containers;
mod exec;
pub mod log;
pub mod record;
mod set_up;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::WaitOptions;

use crate::cgroups::{Cgroup, Tree};
use crate::error::{During, Refusal};
use crate::namespaces::{Ended, Process};
use crate::network::Block;
use crate::paths::PodDirectory;
use crate::protocol::{PodSpec, Reply, Request};
use crate::syscalls;
use crate::wire::Connection;

/// What a supervisor knows about its Pod and its node.
pub(crate) struct PodContext {
    pub(crate) spec: PodSpec,
    /// `None` with the node's network.
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) block: Block,
    pub(crate) directory: PodDirectory,
    /// The node's cgroups.
    pub(crate) cgroups: Tree,
    pub(crate) user_namespace: bool,
}

impl PodContext {
    fn cgroup(&self) -> Cgroup {
        self.cgroups.cgroup(&self.spec.cgroup)
    }
}

/// More connections at a time are not accepted: the kubelet needs a few, an exec or attach one each.
const CLIENT_LIMIT: usize = 256;

/// Runs a Pod's supervisor. Returns when it can do its work no longer.
pub(crate) fn main(pod: PodContext, listener: UnixListener) -> i32 {
    // Its name in `ps`; what Kubernetes calls the container that holds a Pod's namespaces.
    crate::title::set("pause", "/pause");
    let result = set_up::set_up(&pod).and_then(|()| Supervisor::new(pod, &listener));
    match result {
        Ok(mut supervisor) => {
            let refusal = match supervisor.run(&listener) {
                Ok(never) => match never {},
                Err(refusal) => refusal,
            };
            log_line!("supervisor of pod {}: {refusal}", supervisor.pod.spec.uid);
            1
        }
        Err(refusal) => {
            // Whoever asks first is told why there is no Pod.
            if let Ok((socket, _)) = listener.accept() {
                let _ = Connection::from(socket).send(&Reply::Failed { message: refusal.to_string() }, &[]);
            }
            1
        }
    }
}

/// Who asked for something, to be answered later. Numbers are not used again.
type ClientId = u64;

struct Client {
    id: ClientId,
    connection: Connection,
    /// Is told of every container that ends.
    watches: bool,
}

struct Supervisor {
    pod: PodContext,
    /// Readable when a child has ended.
    children: OwnedFd,
    /// This process itself: the way back into our own pid namespace.
    own: Process,
    clients: Vec<Client>,
    last_client: ClientId,
    containers: Vec<containers::Container>,
    execs: Vec<exec::RunningExec>,
    connecting: Vec<connect::Connecting>,
}

/// Something the loop waits for. Indices hold for one round of the loop.
#[derive(Clone, Copy, Debug)]
enum Source {
    Listener,
    Children,
    Client(ClientId),
    /// A container has written: its index, and its output's.
    Output(usize, usize),
    /// Who is attached to a container can take more.
    Sinks(usize),
    /// How the start of a container went.
    Container(usize),
    /// How the start of an exec went.
    Exec(usize),
    /// A connection to a port of the Pod has been made or refused.
    Connecting(usize),
}

impl Supervisor {
    fn new(pod: PodContext, listener: &UnixListener) -> Result<Self, Refusal> {
        listener.set_nonblocking(true).during("set up", "the supervisor's socket")?;
        Ok(Self {
            pod,
            children: syscalls::signal_descriptor(&[libc::SIGCHLD]).during("watch", "child processes")?,
            own: Process::open(rustix::process::getpid()).during("open", "own process")?,
            clients: Vec::new(),
            last_client: 0,
            containers: Vec::new(),
            execs: Vec::new(),
            connecting: Vec::new(),
        })
    }

    // ANCHOR: loop
    /// Waits for the next thing to happen and does what it asks for; for ever.
    fn run(&mut self, listener: &UnixListener) -> Result<Infallible, Refusal> {
        loop {
            for source in self.wait(listener)? {
                match source {
                    Source::Listener => self.accept(listener),
                    Source::Children => self.reap(),
                    Source::Client(id) => self.serve(id),
                    Source::Output(container, output) => self.copy_output(container, output),
                    Source::Sinks(container) => self.drain_sinks(container),
                    Source::Container(container) => self.container_reported(container),
                    Source::Exec(exec) => self.exec_reported(exec),
                    Source::Connecting(connecting) => self.connect_reported(connecting),
                }
            }
            self.forget_what_is_over();
        }
    }
    // ANCHOR_END: loop

    /// The sources that are ready.
    fn wait(&self, listener: &UnixListener) -> Result<Vec<Source>, Refusal> {
        let waiting = self.waiting(listener);
        let mut polled: Vec<PollFd<'_>> =
            waiting.iter().map(|(_, descriptor, flags)| PollFd::from_borrowed_fd(*descriptor, *flags)).collect();
        match rustix::event::poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).during("wait for", "events"),
        }
        let ready = polled.iter().zip(&waiting).filter(|(polled, _)| !polled.revents().is_empty());
        Ok(ready.map(|(_, (source, _, _))| *source).collect())
    }

    fn waiting<'a>(&'a self, listener: &'a UnixListener) -> Vec<(Source, BorrowedFd<'a>, PollFlags)> {
        let mut waiting = vec![(Source::Children, self.children.as_fd(), PollFlags::IN)];
        if self.clients.len() < CLIENT_LIMIT {
            waiting.push((Source::Listener, listener.as_fd(), PollFlags::IN));
        }
        for client in &self.clients {
            waiting.push((Source::Client(client.id), client.connection.as_fd(), PollFlags::IN));
        }
        for (index, container) in self.containers.iter().enumerate() {
            container.waiting(index, &mut waiting);
        }
        for (index, exec) in self.execs.iter().enumerate() {
            if let Some(report) = exec.report() {
                waiting.push((Source::Exec(index), report, PollFlags::IN));
            }
        }
        for (index, connecting) in self.connecting.iter().enumerate() {
            waiting.push((Source::Connecting(index), connecting.socket(), PollFlags::OUT));
        }
        waiting
    }

    fn accept(&mut self, listener: &UnixListener) {
        // Gone again, or no descriptor left: the kubelet asks again.
        let Ok((socket, _)) = listener.accept() else { return };
        if socket.set_nonblocking(true).is_ok() {
            self.last_client += 1;
            self.clients.push(Client { id: self.last_client, connection: Connection::from(socket), watches: false });
        }
    }

    /// Answers what a client asks. One that is gone, or that cannot be understood, is let go.
    fn serve(&mut self, id: ClientId) {
        loop {
            let Some(client) = self.clients.iter_mut().find(|client| client.id == id) else { return };
            match client.connection.receive::<Request>() {
                Ok(Some((request, descriptors))) => self.answer(id, request, descriptors),
                Ok(None) => return,
                Err(_) => return self.let_go(id),
            }
        }
    }

    fn answer(&mut self, client: ClientId, request: Request, descriptors: Vec<OwnedFd>) {
        match request {
            Request::State => self.reply(client, &Reply::State(self.reports()), &[]),
            Request::Watch => {
                if let Some(client) = self.clients.iter_mut().find(|known| known.id == client) {
                    client.watches = true;
                }
                self.reply(client, &Reply::State(self.reports()), &[]);
            }
            Request::Start(spec) => self.start_container(client, *spec),
            Request::Signal { container, signal } => self.signal_container(client, &container, signal),
            Request::Remove { container } => self.remove_container(client, &container),
            Request::Exec(exec) => self.start_exec(client, &exec, descriptors),
            Request::Attach { container, stdin, stdout, stderr } => {
                self.attach(client, &container, stdin, [stdout, stderr], descriptors);
            }
            Request::EndOfInput { container } => {
                if let Some(container) = self.find_container(&container).filter(|known| known.spec.stdin_once) {
                    container.stdin = None;
                }
            }
            Request::Connect { port } => self.connect(client, port),
        }
    }

    /// Answers a client. One that is gone does not want to know.
    fn reply(&mut self, client: ClientId, reply: &Reply, descriptors: &[BorrowedFd<'_>]) {
        let known = self.clients.iter().find(|known| known.id == client);
        if known.is_some_and(|known| known.connection.send(reply, descriptors).is_err()) {
            self.let_go(client);
        }
    }

    /// A client has gone: what was done for it alone ends.
    fn let_go(&mut self, id: ClientId) {
        self.clients.retain(|client| client.id != id);
        self.detach(id);
        for exec in &self.execs {
            exec.client_gone(id);
        }
    }

    /// Children have ended: containers, execs, and orphans of either, whose parent we are as the first process here.
    fn reap(&mut self) {
        // Signals of one kind may come as one; how many there were is found out by asking for children.
        let mut signals = [0_u8; 1024];
        let _ = rustix::io::read(&self.children, &mut signals);
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let ended = match status.terminating_signal() {
                Some(signal) => Ended { code: 128 + signal, signal: Some(signal) },
                None => Ended { code: status.exit_status().unwrap_or_default(), signal: None },
            };
            if !self.container_ended(pid, ended) {
                self.exec_ended(pid, ended);
            }
        }
    }

    fn forget_what_is_over(&mut self) {
        self.containers.retain(|container| !container.is_over());
        self.execs.retain(|exec| !exec.is_over());
        self.connecting.retain(|connecting| !connecting.is_over());
    }
}
