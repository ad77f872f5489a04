//! Exec and attach over SPDY: a stream for the outcome, and one for each of input, outputs and the terminal's size.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Session, Stream, upgrade};
use crate::http::{Answer, Call};
use crate::server::Server;
use crate::streaming::exec::Session as Request;
use crate::streaming::{frames, node, status};

/// Best first. All report the outcome as a Status; older ones than v4 could not.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// A client has this long to open its streams.
const PATIENCE: Duration = Duration::from_secs(30);

pub(in crate::streaming) async fn exec(call: &mut Call, request: Request) -> Answer {
    let (response, promise) = upgrade(call, &PROTOCOLS)?;
    let server = call.server.clone();
    server.inner.tasks.clone().spawn(async move {
        // A client that breaks off during the upgrade has no use for an answer.
        if let Ok(connection) = promise.await {
            serve(server, request, TokioIo::new(connection)).await;
        }
    });
    Ok(response)
}

/// The streams of a session, by what they carry.
#[derive(Default)]
struct Streams {
    error: Option<Stream>,
    stdin: Option<Stream>,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    resize: Option<Stream>,
}

impl Streams {
    /// Waits for all that the request announced.
    async fn accept(session: &mut Session, request: &Request) -> Option<Self> {
        let mut streams = Self::default();
        while !streams.complete(request) {
            let stream = session.accept().await?;
            let place = match stream.header("streamtype") {
                "error" => &mut streams.error,
                "stdin" => &mut streams.stdin,
                "stdout" => &mut streams.stdout,
                "stderr" => &mut streams.stderr,
                "resize" => &mut streams.resize,
                _ => return None,
            };
            *place = Some(stream);
        }
        Some(streams)
    }

    fn complete(&self, request: &Request) -> bool {
        let wanted = [
            (true, &self.error),
            (request.stdin, &self.stdin),
            (request.stdout, &self.stdout),
            (request.stderr, &self.stderr),
            (request.tty, &self.resize),
        ];
        wanted.iter().all(|(wanted, stream)| !wanted || stream.is_some())
    }
}

async fn serve<S>(server: Server, request: Request, connection: S)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut session = Session::start(connection, &server.inner.tasks);
    let accepted = tokio::time::timeout(PATIENCE, Streams::accept(&mut session, &request)).await;
    let Ok(Some(mut streams)) = accepted else { return };
    let ended = tokio::select! {
        ended = run(&server, &request, &mut streams) => ended,
        // No more streams are expected: this is the end of the connection.
        () = gone(&mut session) => return,
        () = server.inner.stopping.cancelled() => status::internal("the server is shutting down"),
    };
    // Outputs end before the outcome is told, so that nothing is lost.
    for stream in [&mut streams.stdout, &mut streams.stderr].into_iter().flatten() {
        let _ = stream.writer.finish().await;
    }
    if let Some(error) = &mut streams.error {
        let _ = error.writer.write(ended.to_string().as_bytes()).await;
        let _ = error.writer.finish().await;
    }
    for stream in [&mut streams.stdin, &mut streams.resize].into_iter().flatten() {
        let _ = stream.writer.finish().await;
    }
}

async fn gone(session: &mut Session) {
    while session.accept().await.is_some() {}
}

/// Passes bytes until the command ends; how it ended.
async fn run(server: &Server, request: &Request, streams: &mut Streams) -> Value {
    let stream = match node::upgrade(server, &request.node, &request.path).await {
        Ok(stream) => stream,
        Err(error) => return status::internal(&error.not_run()),
    };
    let (mut from_node, mut to_node) = tokio::io::split(stream);
    let Streams { stdin, stdout, stderr, resize, .. } = streams;
    let outputs = async {
        loop {
            match frames::read(&mut from_node).await {
                Ok(Some((frames::STATUS, payload))) => return status::of(&payload),
                Ok(Some((channel, payload))) => {
                    let output = match channel {
                        frames::STDOUT => &mut *stdout,
                        frames::STDERR => &mut *stderr,
                        _ => continue,
                    };
                    // A client that closed an output still gets the outcome.
                    if let Some(stream) = output {
                        let _ = stream.writer.write(&payload).await;
                    }
                }
                Ok(None) => return status::of(b""),
                Err(error) => return status::internal(&error.to_string()),
            }
        }
    };
    let inputs = async {
        let (mut typed, mut sizes) = (stdin.as_mut(), resize.as_mut());
        loop {
            let written = tokio::select! {
                data = next(&mut typed), if typed.is_some() => match data {
                    Some(bytes) => frames::write(&mut to_node, frames::STDIN, &bytes).await,
                    None => {
                        typed = None;
                        frames::write(&mut to_node, frames::CLOSE, &[frames::STDIN]).await
                    }
                },
                data = next(&mut sizes), if sizes.is_some() => match data {
                    Some(bytes) => frames::write(&mut to_node, frames::RESIZE, &bytes).await,
                    None => {
                        sizes = None;
                        Ok(())
                    }
                },
                else => std::future::pending().await,
            };
            if written.is_err() {
                // The node has ended: what it said last is still to be read.
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        ended = outputs => ended,
        () = inputs => status::internal("the input ended the session"),
    }
}

async fn next(stream: &mut Option<&mut Stream>) -> Option<bytes::Bytes> {
    stream.as_mut()?.reader.next().await
}
