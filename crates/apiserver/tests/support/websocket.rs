//! A small WebSocket client (RFC 6455): binary messages with a channel in front, no fragments.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub struct Client(UnixStream);

impl Client {
    pub async fn connect(socket: &Path, path: &str) -> Self {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        Self(stream)
    }

    /// A message; clients mask theirs, here with zeros.
    pub async fn send(&mut self, channel: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len() + 1).unwrap();
        assert!(length < 126);
        let mut frame = vec![0x82, 0x80 | length, 0, 0, 0, 0, channel];
        frame.extend_from_slice(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next message: its channel and the rest; None when the server closes.
    pub async fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let message = tokio::time::timeout(Duration::from_secs(30), self.frame()).await;
        let (operation, payload) = message.expect("the server says nothing");
        if operation != 2 {
            return None;
        }
        let (channel, rest) = payload.split_first().unwrap();
        Some((*channel, rest.to_vec()))
    }

    /// Takes the next frame, which is a ping without words, and answers it.
    pub async fn answer_ping(&mut self) {
        assert_eq!(self.frame().await, (9, Vec::new()));
        self.0.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.unwrap();
    }

    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let operation = self.0.read_u8().await.unwrap() & 0x0f;
        let length = match self.0.read_u8().await.unwrap() {
            126 => usize::from(self.0.read_u16().await.unwrap()),
            127 => usize::try_from(self.0.read_u64().await.unwrap()).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.unwrap();
        (operation, payload)
    }
}
