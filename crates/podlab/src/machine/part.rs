//! A part of the cluster: a process that is started again whenever it ends.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use podlab_client::sleeper::Backoff;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::plug::Socket;
use crate::control_plane::Message;
use crate::record::ProcessId;
use crate::role;

/// How long a part may take to end after the plug was pulled, before it is killed.
const GRACE: Duration = Duration::from_secs(20);
/// A part that lived this long is started again at once.
const STEADY: Duration = Duration::from_secs(10);
/// Nobody ends by this by himself.
const SIGKILL: i32 = 9;
/// The longest line that the control plane may say.
const MAX_LINE: u64 = 64 * 1024;
/// A log that has grown beyond this is put aside at the next start of its part.
const MAX_LOG: u64 = 8 * 1024 * 1024;

/// Which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Janitor,
    ControlPlane,
    Fabric,
}

impl Name {
    /// Its log under `DIR/log`, without the ending.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Janitor => "janitor",
            Self::ControlPlane => "control-plane",
            Self::Fabric => "fabric",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ControlPlane => "control plane",
            other => other.file(),
        })
    }
}

/// What the machine hears of its parts.
pub(super) enum Event {
    Started {
        part: Name,
        process: ProcessId,
    },
    /// It ended, and is about to be started again.
    Ended {
        part: Name,
        how: String,
    },
    Said(Message),
}

/// How a part is started.
pub(super) struct Part {
    name: Name,
    arguments: [OsString; 3],
    log: PathBuf,
}

impl Part {
    pub(super) fn new(name: Name, role: &str, config: &impl Serialize, log: PathBuf) -> anyhow::Result<Self> {
        Ok(Self { name, arguments: role::arguments(role, config), log })
    }

    /// Starts it, and again each time it ends, until `stopping` is true; then waits for its end.
    pub(super) fn keep(
        self,
        socket: &Socket,
        events: &mpsc::Sender<Event>,
        stopping: &watch::Receiver<bool>,
    ) -> JoinHandle<anyhow::Result<()>> {
        tokio::spawn(self.run(socket.clone(), events.clone(), stopping.clone()))
    }

    async fn run(
        self,
        socket: Socket,
        events: mpsc::Sender<Event>,
        mut stopping: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        while !*stopping.borrow() {
            let started = Instant::now();
            let mut killed = false;
            let how = match self.spawn(&socket) {
                Ok(mut child) => {
                    self.listen(&mut child, &events).await;
                    // `None` when it is time to stop.
                    let ended = tokio::select! {
                        status = child.wait() => Some(status?),
                        _ = stopping.wait_for(|stop| *stop) => None,
                    };
                    let Some(status) = ended else { return self.await_end(child).await };
                    killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGKILL);
                    how_it_ended(status)
                }
                Err(error) => format!("could not be started: {error:#}"),
            };
            if *stopping.borrow() {
                break;
            }
            // Being killed by somebody says nothing about how it would have gone on.
            if killed || started.elapsed() >= STEADY {
                backoff.reset();
            }
            // The machine may have left its loop already; then `stopping` is about to say so.
            let _ = events.send(Event::Ended { part: self.name, how }).await;
            let _ = tokio::time::timeout(backoff.step(), stopping.wait_for(|stop| *stop)).await;
        }
        Ok(())
    }

    fn spawn(&self, socket: &Socket) -> anyhow::Result<Child> {
        let log = open_log(&self.log).with_context(|| self.log.display().to_string())?;
        let speaks = self.name == Name::ControlPlane;
        // The descriptor, not the path: this very program, although a build may have replaced the file.
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("podlab")
            .args(&self.arguments)
            .stdin(socket.stdio()?)
            .stdout(if speaks { Stdio::piped() } else { Stdio::null() })
            .stderr(log)
            // Out of the terminal's foreground group: Ctrl-C is for the machine alone.
            .process_group(0);
        Ok(command.spawn()?)
    }

    /// Says that it was started, and passes on what it says.
    async fn listen(&self, child: &mut Child, events: &mpsc::Sender<Event>) {
        if let Some(process) = child.id().and_then(|pid| ProcessId::of(pid.cast_signed())) {
            let _ = events.send(Event::Started { part: self.name, process }).await;
        }
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(pass_on(stdout, events.clone()));
        }
    }

    /// After the plug was pulled.
    async fn await_end(&self, mut child: Child) -> anyhow::Result<()> {
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            child.kill().await?;
            anyhow::bail!("the {} had to be killed: it did not end within {} seconds", self.name, GRACE.as_secs());
        }
        Ok(())
    }
}

async fn pass_on(stdout: ChildStdout, events: mpsc::Sender<Event>) {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        match serde_json::from_slice(&line) {
            Ok(message) => {
                if events.send(Event::Said(message)).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, "the control plane said something unexpected"),
        }
    }
}

/// Opens a log at its end, for its owner alone.
fn open_log(path: &Path) -> std::io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|log| log.len() > MAX_LOG) {
        std::fs::rename(path, path.with_extension("log.old"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The last lines of a log, for an error message.
pub(super) fn tail(path: &Path) -> String {
    const LENGTH: u64 = 2048;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LENGTH)))?;
        let mut end = Vec::new();
        file.take(LENGTH).read_to_end(&mut end)?;
        Ok(end)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let lines: Vec<_> = text.lines().rev().take(12).collect();
    lines.into_iter().rev().map(|line| format!("    {line}\n")).collect()
}

fn how_it_ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
