//! A stream of bytes inside the binary messages of a WebSocket.

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::task::TaskTracker;

/// Bytes on the way in each direction.
const BUFFER: usize = 64 * 1024;
/// Bytes in a message that this side sends.
const MESSAGE: usize = 32 * 1024;

/// The bytes that the messages carry.
pub(super) fn unwrap(socket: WebSocket, tasks: &TaskTracker) -> DuplexStream {
    let (outer, inner) = tokio::io::duplex(BUFFER);
    let (mut from_inner, mut to_inner) = tokio::io::split(inner);
    let (mut sink, mut source) = socket.split();
    tasks.spawn(async move {
        let up = async {
            while let Some(Ok(message)) = source.next().await {
                let bytes = match message {
                    Message::Binary(bytes) => bytes,
                    Message::Close(_) => break,
                    // Pings are answered by the library; text has no place here.
                    Message::Text(_) | Message::Ping(_) | Message::Pong(_) => continue,
                };
                if to_inner.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            let _ = to_inner.shutdown().await;
        };
        let down = async {
            let mut buffer = vec![0; MESSAGE];
            while let Ok(count @ 1..) = from_inner.read(&mut buffer).await {
                let message = Message::Binary(buffer[..count].to_vec().into());
                if sink.send(message).await.is_err() {
                    return;
                }
            }
            let close = CloseFrame { code: close_code::NORMAL, reason: "".into() };
            // A client that has gone already does not miss it.
            let _ = sink.send(Message::Close(Some(close))).await;
        };
        tokio::select! {
            () = up => {}
            () = down => {}
        }
    });
    outer
}
