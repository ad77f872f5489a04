//! `kubectl exec`, `kubectl attach`

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use podlab_api::json::{list, text};
use podlab_client::Path;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

use super::common::pause;
use super::pods;
use crate::failure::{Failure, Outcome, fail};
use crate::print::{complain, complain_raw};
use crate::session::Session;
use crate::streams::{RESIZE, Receiver, STATUS, STDERR, STDIN, STDOUT, Sender, ended};

/// Into which container, and what goes there.
#[derive(Args, Debug)]
struct Target {
    /// The container; the first when left out
    #[arg(short, long)]
    container: Option<String>,
    /// Pass standard input
    #[arg(short = 'i', long)]
    stdin: bool,
    /// With a terminal
    #[arg(short, long)]
    tty: bool,
    /// Only what the program writes
    #[arg(short, long)]
    quiet: bool,
    /// How long to wait until it runs
    #[arg(long, default_value = "1m0s")]
    pod_running_timeout: String,
}

impl Target {
    fn streams(&self) -> Streams {
        Streams { stdin: self.stdin, tty: self.tty, quiet: self.quiet }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Exec {
    /// POD or TYPE/NAME
    words: Vec<String>,
    #[command(flatten)]
    into: Target,
    /// A file that names the Pod
    #[arg(short, long)]
    filename: Vec<String>,
    /// The command
    #[arg(last = true)]
    command: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Attach {
    /// POD or TYPE/NAME
    words: Vec<String>,
    #[command(flatten)]
    into: Target,
}

/// What is passed between here and there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: bool,
    pub(crate) tty: bool,
    pub(crate) quiet: bool,
}

const PROTOCOLS: &str = "v5.channel.k8s.io, v4.channel.k8s.io";

/// Read from standard input at once.
const PIECE: usize = 32 << 10;

pub(crate) async fn exec(session: &Session, arguments: Exec) -> Outcome {
    let usage = "See 'kubectl exec -h' for help and examples";
    let Some(word) = arguments.words.first().or(arguments.filename.first()) else {
        return fail("pod, type/name or --filename must be specified");
    };
    if arguments.words.len() > 1 {
        return fail(format!(
            "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\n{usage}"
        ));
    }
    if arguments.command.is_empty() {
        return fail("you must specify at least one command for the container");
    }
    let pod = session.pod(word).await?;
    let phase = text(&pod, &["status", "phase"]);
    if matches!(phase, "Succeeded" | "Failed") {
        return fail(format!("cannot exec into a container in a completed pod; current phase is {phase}"));
    }
    let container = pods::container(&pod, arguments.into.container.as_deref(), arguments.into.quiet);
    let mut path = of(&pod, "exec").query("container", &container);
    for word in &arguments.command {
        path = path.query("command", word);
    }
    let streams = arguments.into.streams();
    connect(session, path, &streams).await
}

pub(crate) async fn attach(session: &Session, arguments: Attach) -> Outcome {
    let Some(word) = arguments.words.first() else {
        return fail("at least 1 argument is required for attach");
    };
    let pod = session.pod(word).await?;
    let phase = text(&pod, &["status", "phase"]);
    if matches!(phase, "Succeeded" | "Failed") {
        return fail(format!("cannot attach a container in a completed pod; current phase is {phase}"));
    }
    let container = pods::container(&pod, arguments.into.container.as_deref(), arguments.into.quiet);
    let known = pods::containers(&pod).iter().any(|(name, _)| *name == container);
    if !known {
        return fail(format!("container not found ({container})"));
    }
    let mut streams = arguments.into.streams();
    let spec = list(&pod, &["spec", "containers"]).iter().find(|known| text(known, &["name"]) == container);
    if streams.tty && spec.is_some_and(|spec| spec["tty"] != true) {
        streams.tty = false;
        if !streams.quiet {
            complain(&format!("error: Unable to use a TTY - container {container} did not allocate one"));
        }
    }
    if streams.stdin && !streams.quiet {
        complain("If you don't see a command prompt, try pressing enter.");
    }
    connect(session, of(&pod, "attach").query("container", &container), &streams).await
}

/// Waits until a Pod that was just made runs, and attaches to it; one that has ended already has left its log.
pub(crate) async fn attach_to(
    session: &Session,
    namespace: &str,
    name: &str,
    container: &str,
    streams: &Streams,
    timeout: Duration,
) -> Outcome {
    let path = Path::new("/api/v1/namespaces").segment(namespace).segment("pods").segment(name);
    let begun = async {
        loop {
            let pod = session.get(&path).await?;
            match text(&pod, &["status", "phase"]) {
                "Running" | "Succeeded" | "Failed" => return Outcome::Ok(pod),
                _ => {}
            }
            let version = text(&pod, &["metadata", "resourceVersion"]);
            let pods = Path::new("/api/v1/namespaces").segment(namespace).segment("pods");
            let mut changes = super::delete::watch(session, &pods, name, version).await?;
            changes.next().await?;
        }
    };
    let Ok(pod) = tokio::time::timeout(timeout, begun).await else {
        return fail("timed out waiting for the condition");
    };
    let pod = pod?;
    if text(&pod, &["status", "phase"]) == "Running" {
        if streams.stdin && streams.tty && !streams.quiet {
            complain("If you don't see a command prompt, try pressing enter.");
        }
        connect(session, of(&pod, "attach").query("container", container), streams).await?;
    } else {
        let log =
            session.bytes(http::Method::GET, &path.clone().segment("log"), crate::http_call::Call::default()).await?;
        crate::print::say(&String::from_utf8_lossy(&log));
    }
    if text(&pod, &["spec", "restartPolicy"]) == "Always" {
        return Ok(());
    }
    // The exit status of the container becomes ours.
    loop {
        let pod = session.get(&path).await?;
        let status = list(&pod, &["status", "containerStatuses"]).first().cloned().unwrap_or_default();
        if let Some(code) = status["state"]["terminated"]["exitCode"].as_u64() {
            return match u8::try_from(code) {
                Ok(0) => Ok(()),
                code => {
                    complain(&format!(
                        "pod {namespace}/{name} terminated ({})\n{}",
                        text(&status, &["state", "terminated", "reason"]),
                        text(&status, &["state", "terminated", "message"])
                    ));
                    Err(Failure::Exit(code.unwrap_or(1)))
                }
            };
        }
        pause(Duration::from_millis(200)).await;
    }
}

/// The subresource of a Pod.
pub(crate) fn of(pod: &Value, subresource: &str) -> Path {
    Path::new("/api/v1/namespaces")
        .segment(text(pod, &["metadata", "namespace"]))
        .segment("pods")
        .segment(text(pod, &["metadata", "name"]))
        .segment(subresource)
}

/// The terminal as it was, put back at the end.
struct Raw(Termios);

impl Raw {
    fn begin() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may have gone.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Passes the streams until the command ends.
pub(crate) async fn connect(session: &Session, path: Path, streams: &Streams) -> Outcome {
    let mut streams = *streams;
    if streams.tty && !streams.stdin {
        streams.tty = false;
        complain("Unable to use a TTY - input is not a terminal or the right kind of file");
    } else if streams.tty && !std::io::stdin().is_terminal() {
        streams.tty = false;
        if !streams.quiet {
            complain("Unable to use a TTY - input is not a terminal or the right kind of file");
        }
    }
    let mut path = path;
    for (name, wanted) in [("stdin", streams.stdin), ("stdout", true), ("stderr", !streams.tty), ("tty", streams.tty)] {
        if wanted {
            path = path.query(name, "true");
        }
    }
    let (sender, receiver) = session.channels(&path, PROTOCOLS).await?;
    let raw = if streams.tty { Raw::begin() } else { None };
    let ended = pass(sender, receiver, &streams).await;
    drop(raw);
    match ended {
        Some(status) => self::ended(&status),
        None => Ok(()),
    }
}

/// Until the last word, which is returned.
async fn pass(mut sender: Sender, mut receiver: Receiver, streams: &Streams) -> Option<Vec<u8>> {
    let mut input = streams.stdin.then(tokio::io::stdin);
    let mut resized = if streams.tty { signal(SignalKind::window_change()).ok() } else { None };
    if streams.tty {
        resize(&mut sender).await;
    }
    let mut output = tokio::io::stdout();
    let mut piece = vec![0; PIECE];
    loop {
        tokio::select! {
            message = receiver.next() => match message {
                None => return None,
                Some((STDOUT, bytes)) => {
                    if output.write_all(&bytes).await.is_err() || output.flush().await.is_err() {
                        sender.close().await;
                        return None;
                    }
                }
                Some((STDERR, bytes)) => complain_raw(&String::from_utf8_lossy(&bytes)),
                Some((STATUS, bytes)) => {
                    sender.close().await;
                    return Some(bytes.to_vec());
                }
                Some(_) => {}
            },
            read = read(&mut input, &mut piece) => match read {
                0 => {
                    sender.end(STDIN).await;
                    input = None;
                }
                read => {
                    if !sender.send(STDIN, &piece[..read]).await {
                        input = None;
                    }
                }
            },
            () = changed(&mut resized) => resize(&mut sender).await,
        }
    }
}

/// Without input there is nothing to wait for.
async fn read(input: &mut Option<tokio::io::Stdin>, piece: &mut [u8]) -> usize {
    match input {
        Some(input) => input.read(piece).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

async fn changed(resized: &mut Option<tokio::signal::unix::Signal>) {
    match resized {
        Some(resized) => {
            resized.recv().await;
        }
        None => std::future::pending().await,
    }
}

async fn resize(sender: &mut Sender) {
    if let Ok(size) = tcgetwinsize(std::io::stdin()) {
        let size = json!({ "Width": size.ws_col, "Height": size.ws_row });
        sender.send(RESIZE, size.to_string().as_bytes()).await;
    }
}
