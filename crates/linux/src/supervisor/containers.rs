//! The life of a container, as its supervisor sees it.

mod create;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};

use super::attach::Attached;
use super::log::{Lines, Log, Stream};
use super::{ClientId, PodContext, Source, Supervisor, record};
use crate::cgroups::Cgroup;
use crate::container::child::TerminalMade;
use crate::container::{ContainerSpec, StartError};
use crate::error::During;
use crate::namespaces::{Ended, Process};
use crate::protocol::{ContainerReport, ExitReport, Reply};
use crate::wire::Connection;
use crate::{clock, fail_point};

/// A container that was started, or is about to be.
pub(super) struct Container {
    pub(super) spec: ContainerSpec,
    pub(super) cgroup: Cgroup,
    pub(super) process: Process,
    report: ContainerReport,
    phase: Phase,
    log: Log,
    outputs: Vec<Output>,
    /// Our end of its standard input, or the master side of its terminal.
    pub(super) stdin: Option<OwnedFd>,
    pub(super) attached: Vec<Attached>,
}

/// What a container writes to, read by us.
struct Output {
    source: OwnedFd,
    lines: Lines,
}

enum Phase {
    /// On its way to its program. Who asked is told when it gets there.
    Starting {
        report: Option<OwnedFd>,
        terminal: Option<Connection>,
        asked: Vec<ClientId>,
        ended: Option<Ended>,
    },
    Running,
    Ended,
    /// Nothing is left to do or to tell.
    Over,
}

impl Container {
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    pub(super) fn waiting<'a>(&'a self, index: usize, waiting: &mut Vec<(Source, BorrowedFd<'a>, PollFlags)>) {
        if let Phase::Starting { report: Some(report), .. } = &self.phase {
            waiting.push((Source::Container(index), report.as_fd(), PollFlags::IN));
        }
        let mut behind = false;
        for sink in self.attached.iter().flat_map(Attached::behind) {
            behind = true;
            waiting.push((Source::Sinks(index), sink, PollFlags::OUT));
        }
        // What cannot be handed on is not read: the container waits for its slowest reader, and no memory grows.
        if !behind {
            for (number, output) in self.outputs.iter().enumerate() {
                waiting.push((Source::Output(index, number), output.source.as_fd(), PollFlags::IN));
            }
        }
    }

    /// Reads once from an output. False at its end.
    fn copy(&mut self, output: usize) -> Result<bool, rustix::io::Errno> {
        let mut bytes = [0; 16 * 1024];
        let output = &mut self.outputs[output];
        let count = rustix::io::read(&output.source, &mut bytes)?;
        self.log.write(&mut output.lines, &bytes[..count]);
        for attached in &mut self.attached {
            attached.copy(output.lines.stream(), &bytes[..count]);
        }
        Ok(count > 0)
    }

    /// Reads what is left when the container has ended, and closes its streams.
    fn drain(&mut self) {
        /// No pipe holds more (`/proc/sys/fs/pipe-max-size`), and nobody is left to fill it again.
        const ROUNDS: usize = 64;
        for index in 0..self.outputs.len() {
            let mut rounds = 0..ROUNDS;
            while rounds.next().is_some() && matches!(self.copy(index), Ok(true)) {}
            self.log.finish(&mut self.outputs[index].lines);
        }
        self.outputs.clear();
        self.stdin = None;
    }
}

impl Supervisor {
    pub(super) fn reports(&self) -> Vec<ContainerReport> {
        let started = |container: &&Container| matches!(container.phase, Phase::Running | Phase::Ended);
        self.containers.iter().filter(started).map(|container| container.report.clone()).collect()
    }

    pub(super) fn find_container(&mut self, id: &str) -> Option<&mut Container> {
        self.containers.iter_mut().find(|container| container.spec.id == id)
    }

    pub(super) fn start_container(&mut self, client: ClientId, spec: ContainerSpec) {
        if let Some(known) = self.find_container(&spec.id) {
            match &mut known.phase {
                Phase::Starting { asked, .. } => asked.push(client),
                _ => self.reply(client, &Reply::Started, &[]),
            }
            return;
        }
        let target = match &spec.target {
            None => None,
            Some(id) => match self.containers.iter().find(|known| known.spec.id == *id && known.is_running()) {
                Some(target) => Some((&target.process, &self.own)),
                None => return self.reply(client, &Reply::NoSuchContainer, &[]),
            },
        };
        match create::create(&self.pod, spec, client, target) {
            Ok(container) => self.containers.push(container),
            Err(refusal) => self.reply(client, &Reply::StartFailed(StartError::from(refusal)), &[]),
        }
    }

    /// A child has reached its program, or has told why not.
    pub(super) fn container_reported(&mut self, index: usize) {
        let container = &mut self.containers[index];
        let Phase::Starting { report, terminal, asked, ended } = &mut container.phase else { return };
        let Some(report) = report.take() else { return };
        let (asked, ended) = (std::mem::take(asked), ended.take());
        let result = StartError::read(report).and_then(|()| match terminal.take() {
            Some(terminal) => receive_terminal(terminal),
            None => Ok(None),
        });
        let reply = match result {
            Ok(master) => {
                if let Some((master, copy)) = master {
                    container.outputs = vec![Output { source: master, lines: Lines::of(Stream::Stdout) }];
                    container.stdin = Some(copy);
                }
                container.report.started_at = clock::now();
                container.phase = Phase::Running;
                fail_point::reached("supervisor-container-running");
                match record::write_container(&self.pod.directory, &container.report) {
                    Ok(()) => {
                        fail_point::reached("supervisor-container-recorded");
                        Reply::Started
                    }
                    // It runs, but would be forgotten: better not to have it.
                    Err(refusal) => {
                        let _ = container.process.signal(Signal::KILL);
                        Reply::StartFailed(StartError::create(refusal))
                    }
                }
            }
            Err(error) => {
                container.phase = Phase::Over;
                // A child that is still there would keep its cgroup.
                if ended.is_none() {
                    let _ = container.process.signal(Signal::KILL);
                    let _ = container.process.wait();
                }
                let _ = container.cgroup.remove();
                let _ = std::fs::remove_dir_all(self.pod.directory.container(&container.spec.id));
                Reply::StartFailed(error)
            }
        };
        for client in asked {
            self.reply(client, &reply, &[]);
        }
        if let (Reply::Started, Some(ended)) = (&reply, ended) {
            self.finish_container(index, ended);
        }
    }

    /// A process has ended. True: it was a container's first one.
    pub(super) fn container_ended(&mut self, pid: Pid, how: Ended) -> bool {
        let alive = |container: &Container| matches!(container.phase, Phase::Starting { .. } | Phase::Running);
        let Some(index) = self.containers.iter().position(|known| alive(known) && known.process.pid == pid) else {
            return false;
        };
        match &mut self.containers[index].phase {
            // Its report has not been read yet, and decides whether this was a container at all.
            Phase::Starting { ended, .. } => *ended = Some(how),
            _ => self.finish_container(index, how),
        }
        true
    }

    // ANCHOR: finish
    /// Writes down how a container ended, and tells who watches: in this order, so that what was told can be found
    /// again.
    fn finish_container(&mut self, index: usize, ended: Ended) {
        let container = &mut self.containers[index];
        if self.pod.spec.share_processes || container.spec.target.is_some() {
            // With a pid namespace of its own the kernel has ended the others, too.
            container.cgroup.kill();
        }
        container.drain();
        fail_point::reached("supervisor-container-drained");
        container.phase = Phase::Ended;
        let mut message = last_words(&self.pod, &container.spec.id);
        if message.is_empty() && ended.code != 0 && container.spec.last_words_from_log {
            message = container.log.last_words();
        }
        container.report.exit = Some(ExitReport {
            code: ended.code,
            signal: ended.signal,
            finished_at: clock::now(),
            out_of_memory: container.cgroup.out_of_memory_kills() > 0,
            message,
        });
        if let Err(refusal) = record::write_container(&self.pod.directory, &container.report) {
            log_line!("supervisor of pod {}: {refusal}", self.pod.spec.uid);
        }
        fail_point::reached("supervisor-end-recorded");
        let told = Reply::Ended(container.report.clone());
        let watchers: Vec<_> = self.clients.iter().filter(|client| client.watches).map(|client| client.id).collect();
        for client in watchers {
            self.reply(client, &told, &[]);
        }
        self.drain_sinks(index);
    }
    // ANCHOR_END: finish

    pub(super) fn copy_output(&mut self, index: usize, output: usize) {
        let container = &mut self.containers[index];
        if output >= container.outputs.len() {
            return;
        }
        match container.copy(output) {
            Ok(true) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // Closed by the container, or (`EIO`) the last user of its terminal is gone.
            Ok(false) | Err(_) => {
                let mut closed = container.outputs.remove(output);
                container.log.finish(&mut closed.lines);
            }
        }
    }

    pub(super) fn signal_container(&mut self, client: ClientId, id: &str, signal: i32) {
        let reply = match (self.find_container(id), Signal::from_named_raw(signal)) {
            (Some(container), Some(signal)) if container.is_running() => match container.process.signal(signal) {
                Ok(()) => Reply::Done,
                Err(refusal) => Reply::Failed { message: refusal.to_string() },
            },
            (Some(container), None) if container.is_running() => {
                Reply::Failed { message: format!("there is no signal {signal}") }
            }
            // One that has ended needs no signal.
            (Some(_), _) => Reply::Done,
            (None, _) => Reply::NoSuchContainer,
        };
        self.reply(client, &reply, &[]);
    }

    pub(super) fn remove_container(&mut self, client: ClientId, id: &str) {
        let reply = match self.find_container(id) {
            Some(container) if matches!(container.phase, Phase::Ended) => match container.cgroup.remove() {
                Ok(()) => {
                    container.phase = Phase::Over;
                    Reply::Done
                }
                Err(refusal) => Reply::Failed { message: refusal.to_string() },
            },
            Some(_) => Reply::Failed { message: format!("container {id} is running") },
            None => Reply::Done,
        };
        self.reply(client, &reply, &[]);
    }
}

/// What a container left in its termination message file. It had a bind mount of the file, not its directory, so the
/// name still means the file that we made.
fn last_words(pod: &PodContext, id: &str) -> String {
    /// What the kubelet reads of it.
    const LIMIT: u64 = 4096;
    let path = create::last_words_file(pod, id);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(&path, flags, Mode::empty()) else { return String::new() };
    let mut words = Vec::new();
    let _ = std::io::Read::read_to_end(&mut std::io::Read::take(std::fs::File::from(file), LIMIT), &mut words);
    let _ = std::fs::remove_file(&path);
    String::from_utf8_lossy(&words).into_owned()
}

/// The master side of a terminal that a child has made, twice: for reading and for writing.
pub(super) fn receive_terminal(mut socket: Connection) -> Result<Option<(OwnedFd, OwnedFd)>, StartError> {
    let (_, mut descriptors) = socket
        .receive::<TerminalMade>()
        .map_err(StartError::create)?
        .ok_or_else(|| StartError::create("the terminal did not come"))?;
    let master = descriptors.pop().ok_or_else(|| StartError::create("the terminal did not come"))?;
    rustix::io::ioctl_fionbio(&master, true).during("set up", "terminal")?;
    let copy = master.try_clone().during("duplicate", "terminal")?;
    Ok(Some((master, copy)))
}
