//! A command that runs: its output as it comes, its end, and the certainty that it ends.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::transcript::Transcript;

/// The most that is kept of what a command prints, in bytes; a command that prints more is ended.
const MAX_OUTPUT: usize = 4 << 20;

/// How long a command that was asked to end may take, before it is killed.
const TO_END: Duration = Duration::from_secs(5);

/// Which of its two outputs a command wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Gets what a command prints, as it comes.
pub type Live<'a> = dyn FnMut(Stream, &[u8]) + Send + 'a;

/// A command that failed to run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program cannot be started.
    #[error("cannot be started: {0}")]
    Start(#[source] io::Error),
    /// Its end cannot be waited for.
    #[error("cannot be waited for: {0}")]
    Wait(#[source] io::Error),
    /// It did not end in time, and was killed.
    #[error("did not end in time; it had printed:\n{printed}")]
    TimedOut { printed: String },
    /// It did not print what it was waited for to print, in time.
    #[error("did not print {text:?} in time; it had printed:\n{printed}")]
    NotShown { text: String, printed: String },
    /// It printed more than [`MAX_OUTPUT`], and was killed.
    #[error("printed more than {MAX_OUTPUT} bytes")]
    TooMuch,
}

/// A process in a group of its own. Dropping it kills the group.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    group: Group,
    output: mpsc::Receiver<(Stream, Vec<u8>)>,
    command: String,
    out: Vec<u8>,
    err: Vec<u8>,
}

/// The group of a process that has not been waited for, so its number cannot belong to another.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may have ended already: that is what we want.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Running {
    pub(super) fn start<'a>(
        command: &str,
        program: &str,
        arguments: impl IntoIterator<Item = &'a OsStr>,
        environment: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>,
        folder: &Path,
    ) -> Result<Running, ProcessError> {
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(ProcessError::Start)?;
        let group = Group(child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())));
        let (sender, output) = mpsc::channel(16);
        if let Some(out) = child.stdout.take() {
            tokio::spawn(forward(out, Stream::Out, sender.clone()));
        }
        if let Some(err) = child.stderr.take() {
            tokio::spawn(forward(err, Stream::Err, sender));
        }
        Ok(Running { child, group, output, command: command.to_owned(), out: Vec::new(), err: Vec::new() })
    }

    /// Takes the next piece of output; false at its end.
    async fn take(&mut self, live: &mut Live<'_>) -> Result<bool, ProcessError> {
        let Some((stream, bytes)) = self.output.recv().await else { return Ok(false) };
        live(stream, &bytes);
        let kept = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        if kept.len() + bytes.len() > MAX_OUTPUT {
            self.group.signal(Signal::KILL);
            return Err(ProcessError::TooMuch);
        }
        kept.extend_from_slice(&bytes);
        Ok(true)
    }

    /// Reads until the output contains `text`.
    pub(super) async fn shows(&mut self, text: &str, by: Instant, live: &mut Live<'_>) -> Result<(), ProcessError> {
        // To the end of its line: a command writes a line in pieces, and what follows is in the transcript, too.
        let is_whole = |printed: &str| printed.find(text).is_some_and(|at| printed[at..].contains('\n'));
        while !is_whole(&self.printed()) {
            match timeout_at(by, self.take(live)).await {
                Ok(Ok(true)) => {}
                Ok(Err(error)) => return Err(error),
                Ok(Ok(false)) if self.printed().contains(text) => return Ok(()),
                Ok(Ok(false)) | Err(_) => {
                    return Err(ProcessError::NotShown { text: text.to_owned(), printed: self.printed() });
                }
            }
        }
        Ok(())
    }

    /// Reads to the end, and waits for the process.
    pub(crate) async fn finish(&mut self, by: Instant, live: &mut Live<'_>) -> Result<Transcript, ProcessError> {
        let ended = timeout_at(by, async {
            while self.take(live).await? {}
            self.child.wait().await.map_err(ProcessError::Wait)
        })
        .await;
        match ended {
            Ok(Ok(status)) => {
                self.group.0 = None;
                Ok(self.transcript(Some(code(status))))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.kill().await;
                Err(ProcessError::TimedOut { printed: self.printed() })
            }
        }
    }

    /// Ends it as Ctrl-C does; what it has printed is the transcript, without a status.
    pub(super) async fn interrupt(&mut self, live: &mut Live<'_>) -> Result<Transcript, ProcessError> {
        self.group.signal(Signal::INT);
        let ended = timeout(TO_END, async {
            while self.take(live).await? {}
            self.child.wait().await.map_err(ProcessError::Wait)
        })
        .await;
        match ended {
            Ok(Ok(_)) => self.group.0 = None,
            Ok(Err(error)) => return Err(error),
            Err(_) => self.kill().await,
        }
        Ok(self.transcript(None))
    }

    async fn kill(&mut self) {
        self.group.signal(Signal::KILL);
        // A killed process ends; should waiting fail there is nothing left to do about it.
        let _ = self.child.wait().await;
        self.group.0 = None;
    }

    fn printed(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.out), String::from_utf8_lossy(&self.err))
    }

    fn transcript(&self, exit: Option<i32>) -> Transcript {
        Transcript {
            command: self.command.clone(),
            stdout: String::from_utf8_lossy(&self.out).into_owned(),
            stderr: String::from_utf8_lossy(&self.err).into_owned(),
            exit,
        }
    }
}

/// What a shell reports: the status, or 128 and the number of the signal.
fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

async fn forward(mut from: impl AsyncRead + Unpin, stream: Stream, to: mpsc::Sender<(Stream, Vec<u8>)>) {
    let mut buffer = vec![0; 8192];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if to.send((stream, buffer[..length].to_vec())).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(command: &str) -> Running {
        let environment = [(OsStr::new("PATH"), OsStr::new("/usr/bin:/bin"))];
        Running::start(command, "sh", [OsStr::new("-c"), OsStr::new(command)], environment, Path::new("/")).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn both_outputs_and_the_status_are_kept() {
        let mut seen = Vec::new();
        let mut live = |stream, bytes: &[u8]| seen.push((stream, bytes.to_vec()));
        let transcript = shell("echo out; echo err >&2; exit 3").finish(soon(), &mut live).await.unwrap();
        assert_eq!((transcript.stdout.as_str(), transcript.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(transcript.exit, Some(3));
        assert_eq!(seen.len(), 2);
    }

    #[tokio::test]
    async fn a_command_that_goes_on_is_ended_with_everything_it_started() {
        let mut live = |_, _: &[u8]| {};
        let mut running = shell("echo ready; cat /dev/zero >/dev/null & wait");
        running.shows("ready", soon(), &mut live).await.unwrap();
        let transcript = running.interrupt(&mut live).await.unwrap();
        assert_eq!((transcript.stdout.as_str(), transcript.exit), ("ready\n", None));
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_in_time_says_what_it_printed() {
        let mut live = |_, _: &[u8]| {};
        let mut running = shell("echo so far; cat /dev/zero >/dev/null");
        running.shows("so far", soon(), &mut live).await.unwrap();
        let error = running.finish(Instant::now(), &mut live).await.unwrap_err();
        assert!(error.to_string().contains("so far"), "{error}");
    }

    #[tokio::test]
    async fn a_command_that_prints_without_end_is_stopped() {
        let error = shell("cat /dev/zero").finish(soon(), &mut |_, _: &[u8]| {}).await.unwrap_err();
        assert!(matches!(error, ProcessError::TooMuch), "{error}");
    }

    #[tokio::test]
    async fn waiting_for_text_that_never_comes_says_so() {
        let error = shell("echo other").shows("text", soon(), &mut |_, _: &[u8]| {}).await.unwrap_err();
        assert!(error.to_string().contains("\"text\"") && error.to_string().contains("other"), "{error}");
    }
}
