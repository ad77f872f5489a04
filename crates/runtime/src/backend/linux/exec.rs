//! Ways into a running container: exec, attach, and its ports.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use podlab_linux::protocol::{Exec, Reply, Request};
use podlab_linux::wire::WireError;
use tokio::sync::{mpsc, watch};

use super::Linux;
use super::conversation::{Conversation, failed, lost};
use super::streams::{Pipe, copy_in, copy_out, resize};
use crate::backend::{BackendError, Collected, ContainerId, ExecConfig, PodUid, StartFailure, Stream, Streams};

impl Linux {
    pub(super) async fn run_exec(
        &self,
        uid: &PodUid,
        container: &ContainerId,
        config: ExecConfig,
        streams: Streams,
    ) -> Result<i32, BackendError> {
        let mut supervisor = self.supervisor(uid)?;
        let mut exec = Exec {
            container: container.clone(),
            command: config.command,
            terminal: config.tty,
            stdin: false,
            stdout: false,
            stderr: false,
            kill_on_close: false,
        };
        if config.tty {
            let terminal = start(&mut supervisor, uid, exec, &[]).await?;
            let terminal = terminal.ok_or_else(|| failed(uid, "exec", "no terminal came"))?;
            let ends = Ends::of_terminal(terminal).map_err(|source| broken(uid, source))?;
            return wait_with(supervisor, uid, streams, ends, None).await.map(Option::unwrap_or_default);
        }
        let (ends, theirs) = Ends::of_pipes(&streams).map_err(|source| broken(uid, source))?;
        [exec.stdin, exec.stdout, exec.stderr] = [ends.stdin.is_some(), ends.stdout.is_some(), ends.stderr.is_some()];
        let descriptors: Vec<_> = theirs.iter().map(AsFd::as_fd).collect();
        start(&mut supervisor, uid, exec, &descriptors).await?;
        // While we hold their ends, ours never end.
        drop(theirs);
        wait_with(supervisor, uid, streams, ends, None).await.map(Option::unwrap_or_default)
    }

    pub(super) async fn collect(
        &self,
        uid: &PodUid,
        container: &ContainerId,
        command: &[String],
        timeout: Duration,
        limit: usize,
    ) -> Result<Collected, BackendError> {
        let mut supervisor = self.supervisor(uid)?;
        let (pipe, theirs) = Pipe::to_read().map_err(|source| broken(uid, source))?;
        let exec = Exec {
            container: container.clone(),
            command: command.to_vec(),
            terminal: false,
            stdin: false,
            stdout: true,
            stderr: true,
            kill_on_close: true,
        };
        let mut collected = Collected { code: 0, output: Vec::new(), truncated: false, timed_out: false };
        let (ended, has_ended) = watch::channel(false);
        let run = async {
            // Both streams into one pipe, as a terminal would show them.
            start(&mut supervisor, uid, exec, &[theirs.as_fd(), theirs.as_fd()]).await?;
            drop(theirs);
            let wait = async {
                let code = wait_for_end(&mut supervisor, uid).await;
                let _ = ended.send(true);
                code
            };
            let (code, ()) = tokio::join!(wait, keep(&pipe, &mut collected, limit, has_ended));
            code
        };
        match tokio::time::timeout(timeout, run).await {
            Ok(code) => collected.code = code?.unwrap_or_default(),
            // The conversation is dropped, and with it, as asked for, the program is killed.
            Err(_elapsed) => collected.timed_out = true,
        }
        Ok(collected)
    }

    pub(super) async fn run_attach(
        &self,
        uid: &PodUid,
        container: &ContainerId,
        streams: Streams,
    ) -> Result<(), BackendError> {
        let mut supervisor = self.supervisor(uid)?;
        let (mut ends, theirs) = Ends::of_pipes(&Streams { stdin: None, ..Streams::shape(&streams) })
            .map_err(|source| broken(uid, source))?;
        let request = Request::Attach {
            container: container.clone(),
            stdin: streams.stdin.is_some(),
            stdout: ends.stdout.is_some(),
            stderr: ends.stderr.is_some(),
        };
        let descriptors: Vec<_> = theirs.iter().map(AsFd::as_fd).collect();
        let (reply, received) =
            supervisor.ask::<_, Reply>(&request, &descriptors).await.map_err(|error| lost(uid, "attach", error))?;
        drop(theirs);
        let terminal = match reply {
            Reply::Attached { terminal, .. } => terminal,
            Reply::NoSuchContainer => {
                return Err(BackendError::NoSuchContainer { pod: uid.clone(), container: container.clone() });
            }
            other => return Err(failed(uid, "attach", other)),
        };
        if let Some(input) = received.into_iter().next() {
            let prepare = || -> io::Result<()> {
                ends.terminal = if terminal { Some(input.try_clone()?) } else { None };
                ends.stdin = if streams.stdin.is_some() { Some(Pipe::writer(input)?) } else { None };
                Ok(())
            };
            prepare().map_err(|source| broken(uid, source))?;
        }
        wait_with(supervisor, uid, streams, ends, Some(container)).await.map(drop)
    }

    pub(super) async fn connect_inside(&self, uid: &PodUid, port: u16) -> Result<Box<dyn Stream>, BackendError> {
        let mut supervisor = self.supervisor(uid)?;
        let (reply, descriptors) = supervisor
            .ask::<_, Reply>(&Request::Connect { port }, &[])
            .await
            .map_err(|error| lost(uid, "connecting", error))?;
        match (reply, descriptors.into_iter().next()) {
            (Reply::Connected, Some(socket)) => {
                let stream = std::net::TcpStream::from(socket);
                let stream = stream.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(stream));
                Ok(Box::new(stream.map_err(|source| broken(uid, source))?))
            }
            (Reply::Failed { message }, _) => Err(BackendError::Forward(format!(
                "failed to execute portforward in network namespace \"/var/run/netns/{uid}\": failed to connect to \
                 localhost:{port} inside namespace \"{uid}\", IPv4: {message} IPv6 dial tcp6: address localhost: no \
                 suitable address found "
            ))),
            (other, _) => Err(failed(uid, "connecting", other)),
        }
    }
}

/// Our ends of a program's streams.
#[derive(Default)]
struct Ends {
    stdin: Option<Pipe>,
    stdout: Option<Pipe>,
    stderr: Option<Pipe>,
    /// To be resized.
    terminal: Option<OwnedFd>,
}

impl Ends {
    /// Pipes for those streams that the client wants, and their other ends in the order of the streams' numbers.
    fn of_pipes(streams: &Streams) -> io::Result<(Self, Vec<OwnedFd>)> {
        let (mut ends, mut theirs) = (Self::default(), Vec::new());
        if streams.stdin.is_some() {
            let (ours, other) = Pipe::to_write()?;
            ends.stdin = Some(ours);
            theirs.push(other);
        }
        for (wanted, end) in
            [(streams.stdout.is_some(), &mut ends.stdout), (streams.stderr.is_some(), &mut ends.stderr)]
        {
            if wanted {
                let (ours, other) = Pipe::to_read()?;
                *end = Some(ours);
                theirs.push(other);
            }
        }
        Ok((ends, theirs))
    }

    /// A terminal is input and output at once.
    fn of_terminal(master: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            stdin: Some(Pipe::writer(master.try_clone()?)?),
            stdout: Some(Pipe::reader(master.try_clone()?)?),
            stderr: None,
            terminal: Some(master),
        })
    }
}

impl Streams {
    /// Which streams are there, without the streams.
    fn shape(streams: &Self) -> Self {
        let sink = |there: bool| -> Option<Box<dyn tokio::io::AsyncWrite + Send + Unpin>> {
            there.then(|| Box::new(tokio::io::sink()) as _)
        };
        Self {
            stdin: None,
            stdout: sink(streams.stdout.is_some()),
            stderr: sink(streams.stderr.is_some()),
            resize: None,
        }
    }
}

/// Starts a program in a container. With a terminal, its master side.
async fn start(
    supervisor: &mut Conversation,
    uid: &PodUid,
    exec: Exec,
    descriptors: &[BorrowedFd<'_>],
) -> Result<Option<OwnedFd>, BackendError> {
    let container = exec.container.clone();
    let (reply, received) = supervisor
        .ask::<_, Reply>(&Request::Exec(exec), descriptors)
        .await
        .map_err(|error| lost(uid, "exec", error))?;
    match reply {
        Reply::ExecStarted { .. } => Ok(received.into_iter().next()),
        Reply::NoSuchContainer => Err(BackendError::NoSuchContainer { pod: uid.clone(), container }),
        Reply::StartFailed(error) => Err(BackendError::Start {
            reason: StartFailure::Start,
            message: format!(
                "failed to exec in container: failed to start exec \"{}\": OCI runtime exec failed: exec failed: unable \
                 to start container process: {}: unknown",
                random_id(),
                error.message
            ),
        }),
        other => Err(failed(uid, "exec", other)),
    }
}

/// What a container runtime names an exec by.
fn random_id() -> String {
    let id = || uuid::Uuid::new_v4().simple().to_string();
    id() + &id()
}

/// Waits for the end of what was started; `None` for an attach.
async fn wait_for_end(supervisor: &mut Conversation, uid: &PodUid) -> Result<Option<i32>, BackendError> {
    loop {
        match supervisor.next::<Reply>().await {
            Ok((Reply::ExecEnded { code }, _)) => return Ok(Some(code)),
            Ok((Reply::Detached, _)) => return Ok(None),
            Ok(_) => {}
            // The Pod has been killed, and the program with it.
            Err(WireError::Closed) => return Ok(Some(128 + 9)),
            Err(error) => return Err(lost(uid, "exec", error)),
        }
    }
}

/// Connects a program's streams with its client's until it has ended and all that it wrote is on its way.
async fn wait_with(
    mut supervisor: Conversation,
    uid: &PodUid,
    streams: Streams,
    ends: Ends,
    attached: Option<&ContainerId>,
) -> Result<Option<i32>, BackendError> {
    let (ended, has_ended) = watch::channel(false);
    let (input_done, mut input_is_done) = mpsc::channel::<()>(1);
    let outputs = async {
        tokio::join!(
            // In this order: what is read first is sent first.
            copy_out(ends.stderr, streams.stderr, has_ended.clone()),
            copy_out(ends.stdout, streams.stdout, has_ended.clone())
        )
    };
    let wait = async {
        loop {
            tokio::select! {
                code = wait_for_end(&mut supervisor, uid) => {
                    let _ = ended.send(true);
                    return code;
                }
                Some(()) = input_is_done.recv() => {
                    if let Some(container) = attached {
                        let _ = supervisor.tell(&Request::EndOfInput { container: container.clone() }, &[]);
                    }
                }
            }
        }
    };
    let beside = async {
        let input = async {
            let had_input = streams.stdin.is_some();
            copy_in(streams.stdin, ends.stdin).await;
            if had_input {
                let _ = input_done.send(()).await;
            }
        };
        tokio::join!(input, follow_size(ends.terminal, streams.resize));
        // Input that has ended ends nothing else.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        (code, _) = async { tokio::join!(wait, outputs) } => code,
        () = beside => Ok(None),
    }
}

async fn follow_size(terminal: Option<OwnedFd>, sizes: Option<mpsc::Receiver<(u16, u16)>>) {
    let (Some(terminal), Some(mut sizes)) = (terminal, sizes) else { return };
    while let Some(size) = sizes.recv().await {
        resize(&terminal, size);
    }
}

/// Keeps the first `limit` bytes of a program's output and reads the rest away, so that the program does not wait.
async fn keep(pipe: &Pipe, collected: &mut Collected, limit: usize, mut ended: watch::Receiver<bool>) {
    let mut bytes = [0; 4096];
    loop {
        let read = tokio::select! {
            read = pipe.read(&mut bytes) => read,
            _ = ended.wait_for(|ended| *ended) => pipe.try_read(&mut bytes),
        };
        match read {
            Ok(count) if count > 0 => {
                let room = limit - collected.output.len();
                collected.truncated |= count > room;
                collected.output.extend_from_slice(&bytes[..count.min(room)]);
            }
            _ => return,
        }
    }
}

fn broken(uid: &PodUid, source: io::Error) -> BackendError {
    BackendError::Io { pod: uid.clone(), what: "connecting streams", source }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn the_beginning_of_an_output_is_kept_and_the_rest_read_away() {
        const LIMIT: usize = 10 << 10;
        let (pipe, other) = Pipe::to_read().unwrap();
        let (ended, has_ended) = watch::channel(false);
        let writer = std::thread::spawn(move || {
            // More than any pipe holds: it would wait for ever for a reader that stops at the limit.
            let written = std::fs::File::from(other).write_all(&[b'x'; 4 << 20]);
            let _ = ended.send(true);
            written
        });
        let mut collected = Collected { code: 0, output: Vec::new(), truncated: false, timed_out: false };
        keep(&pipe, &mut collected, LIMIT, has_ended).await;
        assert_eq!((collected.output.len(), collected.truncated), (LIMIT, true));
        writer.join().unwrap().unwrap();
    }
}
