//! Exec and attach over WebSocket: every message begins with the number of its channel.
//!
//! `v5.channel.k8s.io` can close single channels (255 and the channel's number); v4 differs only in that it cannot.

use std::io;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, Stream, StreamExt, stream};
use http::header::UPGRADE;
use http::request::Parts;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use podlab_api::error::ApiError;
use serde_json::Value;
use tokio::io::{ReadHalf, WriteHalf};

use super::exec::Session;
use super::{frames, node, status};
use crate::http::{Answer, Call};
use crate::server::{Body, Server};

/// Best first.
const PROTOCOLS: [&str; 3] = ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"];
/// Bytes of a message at most; kubectl sends 32 KiB at a time.
const MESSAGE: usize = 1 << 20;
/// How long a client may take to answer a ping, and how much it may say meanwhile, before it is taken to listen.
const LISTENS: (Duration, usize) = (Duration::from_secs(1), 16);

pub(super) fn is_upgrade(parts: &Parts) -> bool {
    parts.headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The upgrade, with one of the protocols.
///
/// # Errors
/// When the client's handshake is not one, or it knows none of the protocols.
pub(super) async fn upgrade(call: &mut Call, protocols: &[&'static str]) -> Result<WebSocketUpgrade, ApiError> {
    let upgrade = WebSocketUpgrade::from_request_parts(&mut call.parts, &()).await;
    let upgrade = upgrade.map_err(|error| ApiError::BadRequest(format!("unable to upgrade: {error}")))?;
    let upgrade = upgrade.protocols(protocols.iter().copied()).max_message_size(MESSAGE).max_frame_size(MESSAGE);
    let offered = call.parts.headers.get("sec-websocket-protocol").is_some();
    if offered && upgrade.selected_protocol().is_none() {
        return Err(ApiError::BadRequest(format!("unable to upgrade: none of {} was offered", protocols.join(", "))));
    }
    Ok(upgrade)
}

pub(super) async fn exec(call: &mut Call, session: Session) -> Answer {
    let upgrade = upgrade(call, &PROTOCOLS).await?;
    let server = call.server.clone();
    let tasks = server.inner.tasks.clone();
    let response = upgrade.on_upgrade(move |socket| async move {
        // Counted among the server's tasks, so that a shutdown waits for the last words.
        let done = tasks.spawn(serve(server, session, socket));
        let _ = done.await;
    });
    Ok(response.map(Body::new))
}

type Node = TokioIo<Upgraded>;

async fn serve(server: Server, session: Session, socket: WebSocket) {
    let (mut sink, mut source) = socket.split();
    let early = listens(&mut sink, &mut source).await;
    let source = stream::iter(early.into_iter().map(Ok)).chain(source);
    let ended = match node::upgrade(&server, &session.node, &session.path).await {
        Err(error) => status::internal(&error.not_run()),
        Ok(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            tokio::select! {
                ended = outputs(reader, &mut sink) => match ended {
                    Some(ended) => ended,
                    // The client has gone.
                    None => return,
                },
                () = inputs(source, writer) => return,
                () = server.inner.stopping.cancelled() => status::internal("the server is shutting down"),
            }
        }
    };
    finish(&mut sink, &ended).await;
}

/// Waits until the client reads; what it said before that.
///
/// kubectl makes its channels when the upgrade is answered, and drops what comes for one that is not there yet ("Unknown
/// stream id", k8s.io/client-go/tools/remotecommand/websocket.go). A command that ends at once would be faster than that,
/// so none is started before a ping was answered.
async fn listens(sink: &mut SplitSink<WebSocket, Message>, source: &mut SplitStream<WebSocket>) -> Vec<Message> {
    let (patience, most) = LISTENS;
    let mut early = Vec::new();
    let pong = async {
        sink.send(Message::Ping(Vec::new().into())).await?;
        while early.len() < most {
            match source.next().await.transpose()? {
                None | Some(Message::Pong(_)) => break,
                Some(other) => early.push(other),
            }
        }
        Ok::<_, axum::Error>(())
    };
    // Who does not answer, or has gone, is found out by what follows.
    let _ = tokio::time::timeout(patience, pong).await;
    early
}

/// From the client to the node. Ends when the client goes; without input it waits for that all the same.
async fn inputs(mut source: impl Stream<Item = Result<Message, axum::Error>> + Unpin, mut node: WriteHalf<Node>) {
    while let Some(Ok(message)) = source.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return,
            // Pings are answered by the library.
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        let Some((channel, payload)) = bytes.split_first() else { continue };
        let written = match *channel {
            frames::STDIN | frames::RESIZE => frames::write(&mut node, *channel, payload).await,
            frames::CLOSE if payload == [frames::STDIN] => frames::write(&mut node, frames::CLOSE, payload).await,
            _ => Ok(()),
        };
        if written.is_err() {
            // The node has gone: what it said last is still to be read.
            break;
        }
    }
    // Outputs decide when it is over; a client that left breaks them.
    while let Some(Ok(message)) = source.next().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
    }
}

/// From the node to the client, until the command ends; None when the client has gone.
async fn outputs(mut node: ReadHalf<Node>, sink: &mut SplitSink<WebSocket, Message>) -> Option<Value> {
    loop {
        match frames::read(&mut node).await {
            Ok(Some((frames::STATUS, payload))) => return Some(status::of(&payload)),
            Ok(Some((channel @ (frames::STDOUT | frames::STDERR), payload))) => {
                send(sink, channel, &payload).await.ok()?;
            }
            Ok(Some(_)) => {}
            Ok(None) => return Some(status::of(b"")),
            Err(error) => return Some(status::internal(&error.to_string())),
        }
    }
}

async fn send(sink: &mut SplitSink<WebSocket, Message>, channel: u8, payload: &[u8]) -> io::Result<()> {
    let mut message = Vec::with_capacity(payload.len() + 1);
    message.push(channel);
    message.extend_from_slice(payload);
    sink.send(Message::Binary(message.into())).await.map_err(io::Error::other)
}

/// Says how it ended, then closes.
async fn finish(sink: &mut SplitSink<WebSocket, Message>, ended: &Value) {
    if send(sink, frames::STATUS, ended.to_string().as_bytes()).await.is_ok() {
        let close = CloseFrame { code: close_code::NORMAL, reason: "".into() };
        // A client that does not wait for the close has got what it wanted.
        let _ = sink.send(Message::Close(Some(close))).await;
    }
}
