//! Port-forward over SPDY streams: two a connection, one for its bytes and one to say what went wrong.

use std::collections::HashMap;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;

use super::Destination;
use crate::streaming::spdy::{Session, Stream};

/// Connections of which only one stream has come so far.
const HALVES: usize = 256;
const BUFFER: usize = 32 * 1024;

/// Forwards connections until the client ends the session.
pub(super) async fn serve<S>(destination: Destination, connection: S)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut session = Session::start(connection, &destination.server.inner.tasks);
    // Ends all connections with the session.
    let mut connections = JoinSet::new();
    let mut halves: HashMap<String, Half> = HashMap::new();
    loop {
        let stream = tokio::select! {
            stream = session.accept() => stream,
            () = destination.server.inner.stopping.cancelled() => None,
        };
        let Some(stream) = stream else { return };
        while connections.try_join_next().is_some() {}
        let request = stream.header("requestid").to_owned();
        let half = halves.remove(&request).unwrap_or_default();
        match half.with(stream) {
            Ok((error, data)) => {
                connections.spawn(forward(destination.clone(), error, data));
            }
            Err(half) => {
                if halves.len() < HALVES {
                    halves.insert(request, half);
                }
            }
        }
    }
}

/// The streams of a connection as they come.
#[derive(Default)]
struct Half {
    error: Option<Stream>,
    data: Option<Stream>,
}

impl Half {
    /// Both streams, when this one was missing.
    fn with(mut self, stream: Stream) -> Result<(Stream, Stream), Self> {
        match stream.header("streamtype") {
            "error" => self.error = Some(stream),
            "data" => self.data = Some(stream),
            // Dropped, and thereby reset.
            _ => {}
        }
        match (self.error, self.data) {
            (Some(error), Some(data)) => Ok((error, data)),
            (error, data) => Err(Self { error, data }),
        }
    }
}

/// Forwards one connection.
async fn forward(destination: Destination, mut error: Stream, mut data: Stream) {
    let port = data.header("port").parse::<u16>().ok().filter(|port| *port > 0);
    let connected = match port {
        Some(port) => destination.connect(port).await.map_err(|error| error.text().to_owned()),
        None => Err(format!("{:?} is not a port", data.header("port"))),
    };
    match connected {
        Ok(connection) => pump(&mut data, connection).await,
        Err(text) => {
            // The client prints it, and ends.
            let _ = error.writer.write(text.as_bytes()).await;
        }
    }
    let _ = data.writer.finish().await;
    let _ = error.writer.finish().await;
}

/// Passes bytes both ways; each direction ends by itself.
async fn pump(data: &mut Stream, connection: impl AsyncRead + AsyncWrite) {
    let (mut from_pod, mut to_pod) = tokio::io::split(connection);
    let Stream { reader, writer, .. } = data;
    let up = async {
        while let Some(bytes) = reader.next().await {
            if to_pod.write_all(&bytes).await.is_err() || to_pod.flush().await.is_err() {
                return;
            }
        }
        // The Pod's side learns that there is no more, and may still answer.
        let _ = to_pod.shutdown().await;
        std::future::pending::<()>().await;
    };
    let down = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            match from_pod.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    if writer.write(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    // When the Pod has said all, the connection is over.
    tokio::select! {
        () = down => {}
        () = up => {}
    }
}
