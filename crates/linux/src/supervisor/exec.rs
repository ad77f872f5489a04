//! A program in a running container, beside its first process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal};

use super::containers::{Container, receive_terminal};
use super::{ClientId, Supervisor};
use crate::cgroups;
use crate::container::child::{self, Command};
use crate::container::program::DEFAULT_PATH;
use crate::container::{StartError, Stdio};
use crate::error::{During, Refusal};
use crate::namespaces::{Ended, Namespaces, Process, spawn};
use crate::protocol::{Exec, Reply};
use crate::wire::Connection;

/// A program somebody asked for.
pub(super) struct RunningExec {
    client: ClientId,
    process: Process,
    /// How its start went; taken once read.
    report: Option<OwnedFd>,
    terminal: Option<Connection>,
    kill_on_close: bool,
    ended: Option<Ended>,
}

impl RunningExec {
    pub(super) fn report(&self) -> Option<BorrowedFd<'_>> {
        self.report.as_ref().map(AsFd::as_fd)
    }

    /// It has ended, and its client knows.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some() && self.report.is_none()
    }

    pub(super) fn client_gone(&self, client: ClientId) {
        if self.client == client && self.kill_on_close && self.ended.is_none() {
            let _ = self.process.signal(Signal::KILL);
        }
    }
}

impl Supervisor {
    pub(super) fn start_exec(&mut self, client: ClientId, exec: &Exec, descriptors: Vec<OwnedFd>) {
        let Some(index) = self.containers.iter().position(|container| container.spec.id == exec.container) else {
            return self.reply(client, &Reply::NoSuchContainer, &[]);
        };
        if !self.containers[index].is_running() {
            return self.reply(client, &Reply::NoSuchContainer, &[]);
        }
        match self.fork_exec(index, client, exec, descriptors) {
            Ok(running) => self.execs.push(running),
            Err(refusal) => self.reply(client, &Reply::StartFailed(refusal.into()), &[]),
        }
    }

    // ANCHOR: exec
    /// Forks a process into a container.
    ///
    /// A process cannot move to another pid namespace; its children can be born there. So for the time of the fork
    /// the supervisor points its children to the container's (setns(2) with a pidfd); everything else the child does
    /// itself. It stays *our* child: we learn how it ends.
    fn fork_exec(
        &self,
        index: usize,
        client: ClientId,
        exec: &Exec,
        descriptors: Vec<OwnedFd>,
    ) -> Result<RunningExec, Refusal> {
        let container = &self.containers[index];
        let (stdio, terminal) = streams(exec, descriptors)?;
        let doors = container.cgroup.doors()?;
        let (report, reporter) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).during("make", "pipe")?;

        container.process.enter(Namespaces::PROCESS_ID)?;
        let process = spawn(Namespaces::empty(), None, || {
            let Err(error) = run_exec(container, exec, &doors, &stdio);
            error.write(reporter.as_fd());
            child::FAILED
        });
        self.own.enter(Namespaces::PROCESS_ID)?;
        Ok(RunningExec {
            client,
            process: process?,
            report: Some(report),
            terminal,
            kill_on_close: exec.kill_on_close,
            ended: None,
        })
    }
    // ANCHOR_END: exec

    pub(super) fn exec_reported(&mut self, index: usize) {
        let exec = &mut self.execs[index];
        let Some(report) = exec.report.take() else { return };
        let (client, ended) = (exec.client, exec.ended);
        let started = StartError::read(report).and_then(|()| match exec.terminal.take() {
            Some(terminal) => receive_terminal(terminal),
            None => Ok(None),
        });
        match started {
            Ok(Some((master, _))) => self.reply(client, &Reply::ExecStarted { terminal: true }, &[master.as_fd()]),
            Ok(None) => self.reply(client, &Reply::ExecStarted { terminal: false }, &[]),
            Err(error) => return self.reply(client, &Reply::StartFailed(error), &[]),
        }
        if let Some(ended) = ended {
            self.reply(client, &Reply::ExecEnded { code: ended.code }, &[]);
        }
        if !self.clients.iter().any(|known| known.id == client) {
            self.execs[index].client_gone(client);
        }
    }

    pub(super) fn exec_ended(&mut self, pid: Pid, ended: Ended) {
        let Some(exec) = self.execs.iter_mut().find(|exec| exec.ended.is_none() && exec.process.pid == pid) else {
            return;
        };
        exec.ended = Some(ended);
        // Before its report was read, the client does not know that it has started.
        if exec.report.is_none() {
            let client = exec.client;
            self.reply(client, &Reply::ExecEnded { code: ended.code }, &[]);
        }
    }
}

/// Enters the container and becomes the program. Network, IPC and host name are those of the supervisor already.
fn run_exec(
    container: &Container,
    exec: &Exec,
    doors: &[OwnedFd],
    stdio: &Stdio,
) -> Result<std::convert::Infallible, StartError> {
    cgroups::enter(doors)?;
    container.process.enter(Namespaces::MOUNT | Namespaces::CONTROL_GROUP)?;
    let spec = &container.spec;
    let mut environment = vec![("PATH".to_owned(), DEFAULT_PATH.to_owned())];
    if exec.terminal {
        environment.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    environment.extend(spec.environment.iter().cloned());
    child::become_program(&Command {
        arguments: &exec.command,
        environment,
        working_directory: &spec.working_directory,
        user: &spec.user,
        privileges: &spec.privileges,
        stdio,
    })
}

/// The streams the client gave; `/dev/null` for those it did not give.
fn streams(exec: &Exec, descriptors: Vec<OwnedFd>) -> Result<(Stdio, Option<Connection>), Refusal> {
    if exec.terminal {
        let (ours, theirs) = UnixStream::pair().during("make", "socket pair")?;
        return Ok((Stdio::Terminal { master: theirs.into() }, Some(Connection::from(ours))));
    }
    let mut descriptors = descriptors.into_iter();
    let mut given = |wanted: bool| wanted.then(|| descriptors.next()).flatten();
    let (stdin, stdout, stderr) = (given(exec.stdin), given(exec.stdout), given(exec.stderr));
    let or_null = |stream: Option<OwnedFd>| match stream {
        Some(stream) => Ok(stream),
        None => {
            rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).during("open", "/dev/null")
        }
    };
    Ok((Stdio::Streams { stdin, stdout: or_null(stdout)?, stderr: or_null(stderr)? }, None))
}
