//! exec and attach: an upgraded connection on one side, a program's streams on the other.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Node;
use super::frames::{Channel, End, Frame, PROTOCOL, Size, read_frame, write_frame};
use super::lookup::{Refusal, running};
use crate::backend::{Backend, BackendError, ExecConfig, Streams};
use crate::clock::Clock;

/// How much of a stream waits between a program and a slow client.
const BUFFER: usize = 32 * 1024;
/// A command longer than this could not be executed anyway (MAX_ARG_STRLEN of execve(2) is of this order).
const MOST_ARGUMENTS: usize = 1024;

/// What a request's query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    command: Vec<String>,
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
            .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the query cannot be read: {error}")))?;
        let mut wanted = Self::default();
        for (name, value) in pairs {
            let on = matches!(value.as_str(), "1" | "true");
            match name.as_str() {
                "command" => wanted.command.push(value),
                "stdin" => wanted.stdin = on,
                "stdout" => wanted.stdout = on,
                "stderr" => wanted.stderr = on,
                "tty" => wanted.tty = on,
                _ => {}
            }
        }
        if wanted.command.len() > MOST_ARGUMENTS {
            let text = format!("a command of more than {MOST_ARGUMENTS} arguments");
            return Err(Refusal::new(StatusCode::BAD_REQUEST, text));
        }
        Ok(wanted)
    }
}

pub(super) async fn exec<B: Backend, C: Clock>(
    State(node): State<Node<B, C>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Refusal> {
    let wanted = Wanted::parse(query.as_deref().unwrap_or_default())?;
    if wanted.command.is_empty() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "you must specify at least 1 command for the container"));
    }
    let (uid, id) = running(&*node.backend, &*node.pods, (&namespace, &pod, &container)).await?;
    let connection = upgrade(request)?;
    tokio::spawn(async move {
        let config = ExecConfig { command: wanted.command.clone(), tty: wanted.tty };
        carry(connection, &wanted, |streams| async move {
            ended(node.backend.exec(&uid, &id, config, streams).await, "error executing command in container: ")
        })
        .await;
    });
    Ok(switching())
}

pub(super) async fn attach<B: Backend, C: Clock>(
    State(node): State<Node<B, C>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Refusal> {
    let wanted = Wanted::parse(query.as_deref().unwrap_or_default())?;
    let (uid, id) = running(&*node.backend, &*node.pods, (&namespace, &pod, &container)).await?;
    let connection = upgrade(request)?;
    tokio::spawn(async move {
        carry(connection, &wanted, |streams| async move {
            ended(node.backend.attach(&uid, &id, streams).await.map(|()| 0), "error attaching to container: ")
        })
        .await;
    });
    Ok(switching())
}

fn ended(result: Result<i32, BackendError>, context: &str) -> End {
    match result {
        Ok(code) => End::Code { code },
        Err(error) => End::Error { error: format!("{context}{error}") },
    }
}

/// The connection under a request that asks for our protocol.
pub(super) fn upgrade(mut request: Request) -> Result<OnUpgrade, Refusal> {
    let asked = request.headers().get(UPGRADE).is_some_and(|protocol| protocol == PROTOCOL);
    if !asked {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, format!("this wants Upgrade: {PROTOCOL}")));
    }
    Ok(hyper::upgrade::on(&mut request))
}

pub(super) fn switching() -> Response {
    let headers = [(CONNECTION, HeaderValue::from_static("Upgrade")), (UPGRADE, HeaderValue::from_static(PROTOCOL))];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// Connects an upgraded connection with the streams of a program, and sends how it ended as the last frame.
async fn carry<F: Future<Output = End>>(connection: OnUpgrade, wanted: &Wanted, program: impl FnOnce(Streams) -> F) {
    // A client that left before the upgrade needs no answer.
    let Ok(connection) = connection.await else { return };
    let (from_client, to_client) = tokio::io::split(TokioIo::new(connection));
    let mut pipes = Pipes::new(wanted);
    let streams = pipes.take_streams();
    let writer = tokio::spawn(write_frames(to_client, pipes.outgoing));
    let reader = tokio::spawn(read_frames(from_client, pipes.stdin, pipes.resize));
    let end = program(streams).await;
    // The output that is on its way goes out before the end does: the pump stops when the program's ends are closed.
    let _ = pipes.pump.await;
    let _ = pipes.frames.send(Frame::end(&end)).await;
    drop(pipes.frames);
    let _ = writer.await;
    reader.abort();
}

/// What lies between the two sides: bounded pipes, so that a slow client slows the program down.
struct Pipes {
    streams: Streams,
    stdin: Option<DuplexStream>,
    resize: mpsc::Sender<(u16, u16)>,
    frames: mpsc::Sender<Frame>,
    outgoing: mpsc::Receiver<Frame>,
    pump: JoinHandle<()>,
}

impl Pipes {
    fn new(wanted: &Wanted) -> Self {
        let (frames, outgoing) = mpsc::channel(2);
        let (resize, sizes) = mpsc::channel(4);
        let mut streams = Streams { resize: wanted.tty.then_some(sizes), ..Streams::default() };
        let mut outputs = Vec::new();
        let mut output = |channel| -> Option<Box<dyn AsyncWrite + Send + Unpin>> {
            let (ours, theirs) = duplex(BUFFER);
            outputs.push((channel, ours));
            Some(Box::new(theirs))
        };
        // A terminal has one output.
        if wanted.stderr && !wanted.tty {
            streams.stderr = output(Channel::Stderr);
        }
        if wanted.stdout {
            streams.stdout = output(Channel::Stdout);
        }
        let pump = tokio::spawn(pump(outputs, frames.clone()));
        let mut stdin = None;
        if wanted.stdin {
            let (ours, theirs) = duplex(BUFFER);
            streams.stdin = Some(Box::new(theirs));
            stdin = Some(ours);
        }
        Self { streams, stdin, resize, frames, outgoing, pump }
    }

    fn take_streams(&mut self) -> Streams {
        std::mem::take(&mut self.streams)
    }
}

/// Makes frames of what a program writes, until it has closed all of its outputs.
///
/// Of outputs that both have something, the one that waits longer goes first, and in the beginning standard error: a
/// warning before the data shall not come after them. `kubectl cp` ends with the last byte of the archive, and what
/// comes later is lost.
async fn pump(mut outputs: Vec<(Channel, DuplexStream)>, frames: mpsc::Sender<Frame>) {
    let mut buffer = vec![0; BUFFER];
    while !outputs.is_empty() {
        let (index, read) = first_of(&mut outputs, &mut buffer).await;
        let (channel, from) = outputs.remove(index);
        if let Ok(length @ 1..) = read {
            outputs.push((channel, from));
            if frames.send(Frame::new(channel, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    }
}

/// Reads from the first that has something, or has ended: its place, and how much it was.
async fn first_of(outputs: &mut [(Channel, DuplexStream)], buffer: &mut [u8]) -> (usize, io::Result<usize>) {
    poll_fn(|context| {
        for (index, (_, from)) in outputs.iter_mut().enumerate() {
            let mut read = ReadBuf::new(buffer);
            if let Poll::Ready(result) = Pin::new(from).poll_read(context, &mut read) {
                return Poll::Ready((index, result.map(|()| read.filled().len())));
            }
        }
        Poll::Pending
    })
    .await
}

async fn write_frames(mut to: impl AsyncWrite + Unpin, mut frames: mpsc::Receiver<Frame>) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        write_frame(&mut to, &frame).await?;
    }
    to.shutdown().await
}

/// Hands what the client sends to the program. When the client is gone, so is the program's input.
async fn read_frames(
    mut from: impl AsyncRead + Unpin,
    mut stdin: Option<DuplexStream>,
    resize: mpsc::Sender<(u16, u16)>,
) {
    while let Ok(Some(frame)) = read_frame(&mut from).await {
        match frame.channel {
            Channel::Stdin => {
                let Some(pipe) = &mut stdin else { continue };
                if pipe.write_all(&frame.payload).await.is_err() {
                    // The program has closed its input; the rest is of no use to anybody.
                    stdin = None;
                }
            }
            Channel::Resize => {
                if let Ok(size) = serde_json::from_slice::<Size>(&frame.payload) {
                    // A size that finds the queue full is followed by a newer one.
                    let _ = resize.try_send((size.width, size.height));
                }
            }
            Channel::Close if frame.payload.first().copied().and_then(Channel::from_number) == Some(Channel::Stdin) => {
                stdin = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_warning_goes_before_the_data_and_neither_output_waits_for_ever() {
        let (errors, mut to_errors) = duplex(BUFFER);
        let (data, mut to_data) = duplex(BUFFER);
        let (frames, mut outgoing) = mpsc::channel(2);
        to_data.write_all(b"data").await.unwrap();
        to_errors.write_all(&[b'e'; BUFFER]).await.unwrap();
        let pump = tokio::spawn(pump(vec![(Channel::Stderr, errors), (Channel::Stdout, data)], frames));
        let first = outgoing.recv().await.unwrap();
        to_errors.write_all(b"more").await.unwrap();
        let order = [first.channel, outgoing.recv().await.unwrap().channel, outgoing.recv().await.unwrap().channel];
        assert_eq!(order, [Channel::Stderr, Channel::Stdout, Channel::Stderr]);
        drop((to_errors, to_data));
        pump.await.unwrap();
        assert!(outgoing.recv().await.is_none());
    }

    #[test]
    fn a_query_may_repeat_the_command() {
        let Ok(wanted) = Wanted::parse("command=sh&command=-c&command=a%20b&stdin=1&stdout=true&tty=0") else {
            panic!("the query is well formed");
        };
        assert_eq!(wanted.command, ["sh", "-c", "a b"]);
        assert_eq!((wanted.stdin, wanted.stdout, wanted.stderr, wanted.tty), (true, true, false, false));
        assert!(Wanted::parse(&"command=x&".repeat(MOST_ARGUMENTS + 1)).is_err());
    }
}
