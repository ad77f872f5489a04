//! Port-forward over the channels of a WebSocket: for the n-th port, channel 2n carries its bytes and 2n+1 its error. The
//! first message on each is the port, two bytes, little-endian (k8s.io/kubelet/pkg/cri/streaming/portforward/websocket.go).

use axum::extract::ws::{Message, WebSocket};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use podlab_api::error::ApiError;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{Connection, Destination};
use crate::http::Call;

/// Ports of one request at most: two channels each, numbered in a byte.
const PORTS: usize = 127;
const BUFFER: usize = 32 * 1024;

/// The ports that the query names; none for a client that names them later (in SPDY headers).
///
/// # Errors
/// When one is no port, or there are too many.
pub(super) fn ports(call: &Call) -> Result<Vec<u16>, ApiError> {
    let named = call.query.all("ports").flat_map(|text| text.split(','));
    let ports: Option<Vec<u16>> = named.map(|text| text.parse().ok().filter(|port| *port > 0)).collect();
    match ports {
        Some(ports) if ports.len() <= PORTS => Ok(ports),
        Some(_) => Err(ApiError::BadRequest(format!("more than {PORTS} ports"))),
        None => Err(ApiError::BadRequest("query parameter \"ports\" is not a list of port numbers".to_owned())),
    }
}

type Sink = Arc<Mutex<SplitSink<WebSocket, Message>>>;

pub(super) async fn serve(destination: Destination, ports: Vec<u16>, socket: WebSocket) {
    let (sink, mut source) = socket.split();
    let sink = Arc::new(Mutex::new(sink));
    let mut writers: Vec<Option<WriteHalf<Connection>>> = Vec::new();
    // Ends with this function, and thereby with the client.
    let mut readers = JoinSet::new();
    for (index, port) in ports.into_iter().enumerate() {
        let data = u8::try_from(index * 2).unwrap_or(u8::MAX);
        let error = data + 1;
        for channel in [data, error] {
            if send(&sink, channel, &port.to_le_bytes()).await.is_err() {
                return;
            }
        }
        match destination.connect(port).await {
            Ok(connection) => {
                let (reader, writer) = tokio::io::split(connection);
                writers.push(Some(writer));
                readers.spawn(down(reader, sink.clone(), data));
            }
            Err(refused) => {
                writers.push(None);
                if send(&sink, error, refused.text().as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
    // When no port has anything more to say, it is over.
    while !readers.is_empty() {
        let message = tokio::select! {
            message = source.next() => message,
            _ = readers.join_next() => continue,
            () = destination.server.inner.stopping.cancelled() => None,
        };
        let bytes = match message {
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Close(_)) | Err(_)) | None => break,
        };
        let Some((channel, payload)) = bytes.split_first() else { continue };
        let Some(place) = writers.get_mut(usize::from(channel / 2)).filter(|_| channel % 2 == 0) else { continue };
        if let Some(writer) = place
            && (writer.write_all(payload).await.is_err() || writer.flush().await.is_err())
        {
            *place = None;
        }
    }
    let _ = sink.lock().await.send(Message::Close(None)).await;
}

async fn down(mut reader: ReadHalf<Connection>, sink: Sink, channel: u8) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        if send(&sink, channel, &buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn send(sink: &Sink, channel: u8, payload: &[u8]) -> Result<(), axum::Error> {
    let mut message = Vec::with_capacity(payload.len() + 1);
    message.push(channel);
    message.extend_from_slice(payload);
    sink.lock().await.send(Message::Binary(message.into())).await
}
