//! WebSockets to containers: numbered channels, as exec and attach speak them (`v5.channel.k8s.io`).

use base64::Engine;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use podlab_api::json::{list, text};
use podlab_client::Path;
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::failure::{Failure, Outcome};
use crate::session::Session;

pub(crate) const STDIN: u8 = 0;
pub(crate) const STDOUT: u8 = 1;
pub(crate) const STDERR: u8 = 2;
pub(crate) const STATUS: u8 = 3;
pub(crate) const RESIZE: u8 = 4;
/// Says that the channel named behind it has ended.
const CLOSE: u8 = 255;

/// Bytes of a message at most.
const MESSAGE: usize = 4 << 20;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What is sent.
pub(crate) struct Sender {
    sink: SplitSink<Socket, Message>,
    closes: bool,
}

/// What comes.
pub(crate) struct Receiver(SplitStream<Socket>);

impl Session {
    /// Opens the channels behind a path.
    ///
    /// # Errors
    /// The server's refusal.
    pub(crate) async fn channels(&self, path: &Path, protocols: &'static str) -> Outcome<(Sender, Receiver)> {
        let mut nonce = [0_u8; 16];
        // Only the proxies between are to be kept from guessing it.
        let stamp = jiff::Timestamp::now().as_nanosecond();
        nonce.copy_from_slice(&stamp.to_le_bytes());
        let key = base64::engine::general_purpose::STANDARD.encode(nonce);
        let mut headers = HeaderMap::new();
        headers.insert("Sec-WebSocket-Version", HeaderValue::from_static("13"));
        headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static(protocols));
        headers.insert(
            "Sec-WebSocket-Key",
            HeaderValue::from_str(&key).map_err(|error| Failure::Text(error.to_string()))?,
        );
        let upgraded = self.server()?.client.upgrade(path, "websocket", headers).await;
        let (headers, stream) = upgraded.map_err(|error| self.unanswered(&error))?;
        let chosen = headers.get("Sec-WebSocket-Protocol").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let closes = chosen.starts_with("v5");
        let limits = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Client, Some(limits)).await;
        let (sink, stream) = socket.split();
        Ok((Sender { sink, closes }, Receiver(stream)))
    }
}

impl Sender {
    /// Sends a piece on a channel; `false` when nobody takes it any more.
    pub(crate) async fn send(&mut self, channel: u8, payload: &[u8]) -> bool {
        let mut message = Vec::with_capacity(payload.len() + 1);
        message.push(channel);
        message.extend_from_slice(payload);
        self.sink.send(Message::Binary(message.into())).await.is_ok()
    }

    /// Says that a channel has ended; older servers cannot be told.
    pub(crate) async fn end(&mut self, channel: u8) -> bool {
        self.closes && self.send(CLOSE, &[channel]).await
    }

    /// Says goodbye.
    pub(crate) async fn close(&mut self) {
        // Who has gone already needs no goodbye.
        let _ = self.sink.send(Message::Close(None)).await;
    }
}

impl Receiver {
    /// The next piece and its channel; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(u8, Bytes)> {
        while let Some(Ok(message)) = self.0.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
                Message::Close(_) => return None,
                _ => continue,
            };
            if let Some(channel) = bytes.first() {
                return Some((*channel, bytes.slice(1..)));
            }
        }
        None
    }
}

/// What the last word of a command means: its exit status, or why it did not run.
pub(crate) fn verdict(status: &[u8]) -> Outcome<u8> {
    let status: Value = match serde_json::from_slice(status) {
        Ok(status) => status,
        Err(error) => return Err(Failure::Text(format!("error stream protocol error: {error}"))),
    };
    if text(&status, &["status"]) == "Success" {
        return Ok(0);
    }
    if text(&status, &["reason"]) == "NonZeroExitCode" {
        let cause = list(&status, &["details", "causes"]).iter().find(|cause| text(cause, &["reason"]) == "ExitCode");
        return Ok(cause.and_then(|cause| text(cause, &["message"]).parse().ok()).unwrap_or(1));
    }
    Err(Failure::Text(text(&status, &["message"]).to_owned()))
}

/// The same, told.
pub(crate) fn ended(status: &[u8]) -> Outcome {
    match verdict(status)? {
        0 => Ok(()),
        code => {
            crate::print::complain(&format!("command terminated with exit code {code}"));
            Err(Failure::Exit(code))
        }
    }
}
