//! The frames that a node speaks for exec and attach: `u8 channel, u32 big-endian length, payload`.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(super) const STDIN: u8 = 0;
pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
pub(super) const STATUS: u8 = 3;
pub(super) const RESIZE: u8 = 4;
/// Closes the channel that its one byte of payload names.
pub(super) const CLOSE: u8 = 255;

/// Bytes of payload in a frame at most.
pub(super) const LARGEST: usize = 64 * 1024;

/// Reads a frame; None at the end of the stream.
pub(super) async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<Option<(u8, Vec<u8>)>> {
    let channel = match stream.read_u8().await {
        Ok(channel) => channel,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if length > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok(Some((channel, payload)))
}

/// Writes a payload, in as many frames as it takes.
pub(super) async fn write<W: AsyncWrite + Unpin>(stream: &mut W, channel: u8, payload: &[u8]) -> io::Result<()> {
    for part in payload.chunks(LARGEST) {
        stream.write_u8(channel).await?;
        stream.write_u32(u32::try_from(part.len()).unwrap_or(u32::MAX)).await?;
        stream.write_all(part).await?;
    }
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_back_as_they_went() {
        let mut bytes = Vec::new();
        write(&mut bytes, STDOUT, b"hello").await.unwrap();
        write(&mut bytes, STDERR, &vec![7; LARGEST + 1]).await.unwrap();
        let mut stream = bytes.as_slice();
        assert_eq!(read(&mut stream).await.unwrap(), Some((STDOUT, b"hello".to_vec())));
        assert_eq!(read(&mut stream).await.unwrap().unwrap().1.len(), LARGEST);
        assert_eq!(read(&mut stream).await.unwrap(), Some((STDERR, vec![7])));
        assert_eq!(read(&mut stream).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_frame_that_is_too_large_or_cut_off_is_an_error() {
        let mut large: &[u8] = &[1, 0, 1, 0, 1, 0];
        assert_eq!(read(&mut large).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mut short: &[u8] = &[1, 0, 0, 0, 9, 1];
        assert!(read(&mut short).await.is_err());
    }
}
