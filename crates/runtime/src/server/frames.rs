//! The framing of exec and attach between the API server and the node.
//!
//! After `Upgrade: podlab-stream` both sides send frames: one byte of channel, four bytes of length (big-endian), the
//! payload. Closing one channel is a frame too, so that the end of standard input reaches a program while its output
//! still flows.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The name of the protocol in the `Upgrade` header.
pub const PROTOCOL: &str = "podlab-stream";

/// A longer frame is a broken peer.
pub const LONGEST_FRAME: usize = 64 * 1024;

const HEADER: usize = 5;

/// What a frame's payload belongs to. The numbers are those of Kubernetes' own `v5.channel.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Stdin,
    Stdout,
    Stderr,
    /// How it ended ([`End`]); the last frame.
    Status,
    /// New sizes of the client's terminal ([`Size`]).
    Resize,
    /// The payload is the number of the channel that ends.
    Close,
}

/// How a command ended, on [`Channel::Status`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum End {
    /// The command ran, and this is its exit code.
    Code { code: i32 },
    /// The command could not be run.
    Error { error: String },
}

/// The size of a terminal in characters, on [`Channel::Resize`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Size {
    pub width: u16,
    pub height: u16,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub channel: Channel,
    pub payload: Bytes,
}

impl Channel {
    fn number(self) -> u8 {
        match self {
            Self::Stdin => 0,
            Self::Stdout => 1,
            Self::Stderr => 2,
            Self::Status => 3,
            Self::Resize => 4,
            Self::Close => 255,
        }
    }

    /// The channel a number stands for.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Stdin, Self::Stdout, Self::Stderr, Self::Status, Self::Resize, Self::Close]
            .into_iter()
            .find(|channel| channel.number() == number)
    }
}

impl Frame {
    /// A frame that carries `payload` on `channel`.
    pub fn new(channel: Channel, payload: impl Into<Bytes>) -> Self {
        Self { channel, payload: payload.into() }
    }

    /// The frame that ends `channel`.
    pub fn close(channel: Channel) -> Self {
        Self::new(Channel::Close, vec![channel.number()])
    }

    /// The last frame: how the command ended.
    pub fn end(end: &End) -> Self {
        // Text and a number always have a JSON form.
        Self::new(Channel::Status, serde_json::to_vec(end).unwrap_or_default())
    }
}

/// Reads the next frame; `None` when the peer closed the connection between two frames.
///
/// # Errors
/// `InvalidData` for an unknown channel or a frame above [`LONGEST_FRAME`]; `UnexpectedEof` inside a frame.
pub async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut header = [0; HEADER];
    if from.read(&mut header[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut header[1..]).await?;
    let [number, length @ ..] = header;
    let channel = Channel::from_number(number)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("there is no channel {number}")))?;
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST_FRAME {
        let text = format!("a frame of {length} bytes, the longest is {LONGEST_FRAME}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut payload = vec![0; length];
    from.read_exact(&mut payload).await?;
    Ok(Some(Frame::new(channel, payload)))
}

/// Writes a frame in one piece.
///
/// # Errors
/// `InvalidInput` for a payload above [`LONGEST_FRAME`], and what the stream reports.
pub async fn write_frame(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    let length = u32::try_from(frame.payload.len())
        .ok()
        .filter(|length| *length as usize <= LONGEST_FRAME)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a frame is too long"))?;
    let mut bytes = BytesMut::with_capacity(HEADER + frame.payload.len());
    bytes.put_u8(frame.channel.number());
    bytes.put_u32(length);
    bytes.put_slice(&frame.payload);
    to.write_all(&bytes).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_out_as_they_went_in() {
        let sent = [
            Frame::new(Channel::Stdout, "hello"),
            Frame::close(Channel::Stdin),
            Frame::new(Channel::Resize, r#"{"Width":80,"Height":24}"#),
            Frame::end(&End::Code { code: 7 }),
            Frame::end(&End::Error { error: "no".to_owned() }),
        ];
        let mut wire = Vec::new();
        for frame in &sent {
            write_frame(&mut wire, frame).await.unwrap();
        }
        let mut rest = wire.as_slice();
        for frame in sent {
            assert_eq!(read_frame(&mut rest).await.unwrap(), Some(frame));
        }
        assert_eq!(read_frame(&mut rest).await.unwrap(), None);
        let size: Size = serde_json::from_str(r#"{"Width":80,"Height":24}"#).unwrap();
        assert_eq!(size, Size { width: 80, height: 24 });
    }

    #[tokio::test]
    async fn what_is_no_frame_is_an_error_and_not_memory() {
        let cases: [(&[u8], io::ErrorKind); 4] = [
            (&[9, 0, 0, 0, 0], io::ErrorKind::InvalidData),
            (&[1, 0xff, 0xff, 0xff, 0xff], io::ErrorKind::InvalidData),
            (&[1, 0, 0, 0, 3, b'x'], io::ErrorKind::UnexpectedEof),
            (&[1, 0], io::ErrorKind::UnexpectedEof),
        ];
        for (mut bytes, kind) in cases {
            assert_eq!(read_frame(&mut bytes).await.unwrap_err().kind(), kind, "{bytes:?}");
        }
        let long = Frame::new(Channel::Stdout, vec![0; LONGEST_FRAME + 1]);
        assert_eq!(write_frame(&mut Vec::new(), &long).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
