//! One connection and its streams: a task reads frames and hands them out, another writes.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::codec::{Decoder, Encoder, Frame, HEAD, Head, Headers};

/// Streams open at a time.
const STREAMS: usize = 512;
/// Pieces of data that wait for the reader of a stream; then the connection waits.
const WAITING: usize = 16;
/// Frames that wait to be written; then their writers wait.
const OUTGOING: usize = 64;
/// How long a client may take to close after the last word.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes of data in one frame that this side writes.
const PIECE: usize = 32 * 1024;

/// The streams that a client opens, in order.
pub(in crate::streaming) struct Session {
    opened: mpsc::Receiver<Stream>,
    /// Keeps the connection while there is no stream.
    _out: mpsc::Sender<Outgoing>,
}

/// A stream in both directions.
pub(in crate::streaming) struct Stream {
    headers: Headers,
    pub(in crate::streaming) reader: Reader,
    pub(in crate::streaming) writer: Writer,
}

/// What the client sends on a stream.
pub(in crate::streaming) struct Reader(mpsc::Receiver<Bytes>);

/// What is sent to the client on a stream. Dropping it unfinished resets the stream.
pub(in crate::streaming) struct Writer {
    stream: u32,
    out: mpsc::Sender<Outgoing>,
    finished: bool,
}

enum Outgoing {
    Reply(u32),
    Data { stream: u32, bytes: Bytes, last: bool },
    Reset(u32),
    Pong(u32),
}

impl Session {
    /// Speaks SPDY on a connection until it ends; dropping the session and its streams ends it.
    pub(in crate::streaming) fn start<S>(stream: S, tasks: &TaskTracker) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (mut reader, writer) = tokio::io::split(stream);
        let (out, outgoing) = mpsc::channel(OUTGOING);
        let (open, opened) = mpsc::channel(STREAMS);
        let reading = Reading { decoder: Decoder::new(), streams: HashMap::new(), open, out: out.downgrade(), last: 0 };
        tasks.spawn(async move {
            // The writer lives on the senders that the session and its streams hold: when the last is gone, all has been
            // written. Reading does not keep the connection.
            tokio::select! {
                () = write_all(writer, outgoing) => {}
                ended = reading.run(&mut reader) => {
                    if let Err(error) = ended {
                        tracing::debug!("a SPDY connection ended: {error}");
                    }
                    return;
                }
            }
            // Closing with unread data would take from the client what it has not read yet: let it close first.
            let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut reader, &mut tokio::io::sink())).await;
        });
        Self { opened, _out: out }
    }

    /// The next stream; None when there will be no more.
    pub(in crate::streaming) async fn accept(&mut self) -> Option<Stream> {
        self.opened.recv().await
    }
}

impl Stream {
    /// A header of the frame that opened it; the name is in lower case.
    pub(in crate::streaming) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Reader {
    /// The next data; None at the end.
    pub(in crate::streaming) async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

impl Writer {
    /// # Errors
    /// When the connection has ended.
    pub(in crate::streaming) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE) {
            let bytes = Bytes::copy_from_slice(piece);
            self.send(Outgoing::Data { stream: self.stream, bytes, last: false }).await?;
        }
        Ok(())
    }

    /// Ends this direction.
    ///
    /// # Errors
    /// When the connection has ended.
    pub(in crate::streaming) async fn finish(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        self.send(Outgoing::Data { stream: self.stream, bytes: Bytes::new(), last: true }).await
    }

    async fn send(&self, frame: Outgoing) -> io::Result<()> {
        self.out.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: where there is no room, the connection is ending or stuck.
            let _ = self.out.try_send(Outgoing::Reset(self.stream));
        }
    }
}

struct Reading {
    decoder: Decoder,
    /// Where the data of open streams goes.
    streams: HashMap<u32, mpsc::Sender<Bytes>>,
    open: mpsc::Sender<Stream>,
    out: mpsc::WeakSender<Outgoing>,
    /// The highest stream so far; clients count up.
    last: u32,
}

impl Reading {
    async fn run<S: AsyncRead>(mut self, reader: &mut ReadHalf<S>) -> io::Result<()> {
        let broken = |error: super::codec::Error| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        loop {
            let mut head = [0; HEAD];
            match reader.read_exact(&mut head).await {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
            let head = Head::new(head).map_err(broken)?;
            let mut body = vec![0; head.length()];
            reader.read_exact(&mut body).await?;
            let frame = self.decoder.frame(&head, body).map_err(broken)?;
            self.handle(frame).await?;
        }
    }

    async fn handle(&mut self, frame: Frame) -> io::Result<()> {
        match frame {
            Frame::Open { stream, headers, last } => self.opened(stream, headers, last).await?,
            Frame::Data { stream, bytes, last } => {
                if let Some(sender) = self.streams.get(&stream)
                    && !bytes.is_empty()
                {
                    // Nobody reads it any more: the client will learn from the reset.
                    let _ = sender.send(bytes.into()).await;
                }
                if last {
                    self.streams.remove(&stream);
                }
            }
            Frame::Reset { stream } => {
                self.streams.remove(&stream);
            }
            Frame::Ping { id } => self.send(Outgoing::Pong(id)).await?,
            Frame::GoAway | Frame::Other => {}
        }
        Ok(())
    }

    async fn opened(&mut self, stream: u32, headers: Headers, last: bool) -> io::Result<()> {
        let fault = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
        if stream.is_multiple_of(2) || stream <= self.last {
            return Err(fault("a stream with a number that is not the client's to take"));
        }
        self.last = stream;
        self.streams.retain(|_, sender| !sender.is_closed());
        if self.streams.len() >= STREAMS {
            return self.send(Outgoing::Reset(stream)).await;
        }
        self.send(Outgoing::Reply(stream)).await?;
        let (sender, receiver) = mpsc::channel(WAITING);
        if !last {
            self.streams.insert(stream, sender);
        }
        let writer = Writer { stream, out: self.out()?, finished: false };
        let opened = Stream { headers, reader: Reader(receiver), writer };
        // Nobody takes streams any more: dropping it resets it.
        let _ = self.open.send(opened).await;
        Ok(())
    }

    async fn send(&self, frame: Outgoing) -> io::Result<()> {
        self.out()?.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn out(&self) -> io::Result<mpsc::Sender<Outgoing>> {
        self.out.upgrade().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

async fn write_all<S: AsyncWrite>(mut writer: WriteHalf<S>, mut outgoing: mpsc::Receiver<Outgoing>) {
    let mut encoder = Encoder::new();
    let mut last = 0;
    while let Some(frame) = outgoing.recv().await {
        let bytes = match frame {
            Outgoing::Reply(stream) => {
                last = stream;
                encoder.reply(stream)
            }
            Outgoing::Data { stream, bytes, last } => Encoder::data(stream, &bytes, last),
            Outgoing::Reset(stream) => Encoder::reset(stream),
            Outgoing::Pong(id) => Encoder::ping(id),
        };
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    // A clean end; who is gone already does not miss it.
    let _ = writer.write_all(&Encoder::go_away(last)).await;
    let _ = writer.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::{Client, decode};
    use super::*;

    async fn frame(client: &mut (impl AsyncRead + Unpin), decoder: &mut Decoder) -> Frame {
        let mut bytes = vec![0; HEAD];
        client.read_exact(&mut bytes).await.unwrap();
        let head = Head::new(bytes.clone().try_into().unwrap()).unwrap();
        let mut body = vec![0; head.length()];
        client.read_exact(&mut body).await.unwrap();
        bytes.extend(body);
        decode(decoder, &bytes).unwrap()
    }

    #[tokio::test]
    async fn a_stream_goes_both_ways_and_is_half_closed() {
        let (server, mut client) = tokio::io::duplex(1024);
        let mut session = Session::start(server, &TaskTracker::new());
        let (mut opener, mut decoder) = (Client::new(), Decoder::new());
        client.write_all(&opener.open(1, &[("streamtype", "data")], false)).await.unwrap();
        client.write_all(&Encoder::data(1, b"ping", true)).await.unwrap();
        let mut stream = session.accept().await.unwrap();
        assert_eq!(stream.header("streamtype"), "data");
        assert_eq!(stream.reader.next().await.unwrap(), "ping");
        assert!(stream.reader.next().await.is_none());
        stream.writer.write(b"pong").await.unwrap();
        stream.writer.finish().await.unwrap();
        assert_eq!(frame(&mut client, &mut decoder).await, Frame::Other);
        let pong = Frame::Data { stream: 1, bytes: b"pong".to_vec(), last: false };
        assert_eq!(frame(&mut client, &mut decoder).await, pong);
        let end = Frame::Data { stream: 1, bytes: Vec::new(), last: true };
        assert_eq!(frame(&mut client, &mut decoder).await, end);
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_is_reset_and_pings_come_back() {
        let (server, mut client) = tokio::io::duplex(1024);
        let mut session = Session::start(server, &TaskTracker::new());
        let (mut opener, mut decoder) = (Client::new(), Decoder::new());
        client.write_all(&opener.open(1, &[], true)).await.unwrap();
        drop(session.accept().await.unwrap());
        assert_eq!(frame(&mut client, &mut decoder).await, Frame::Other);
        assert_eq!(frame(&mut client, &mut decoder).await, Frame::Reset { stream: 1 });
        client.write_all(&Encoder::ping(9)).await.unwrap();
        assert_eq!(frame(&mut client, &mut decoder).await, Frame::Ping { id: 9 });
    }

    /// What is written to a client that never reads stays with the writer, but for a few frames.
    #[tokio::test]
    async fn a_client_that_never_reads_holds_its_writer_up() {
        let (server, mut client) = tokio::io::duplex(1024);
        let mut session = Session::start(server, &TaskTracker::new());
        client.write_all(&Client::new().open(1, &[], false)).await.unwrap();
        let mut stream = session.accept().await.unwrap();
        let mut written = 0;
        let flood = async {
            while stream.writer.write(&[b'x'; PIECE]).await.is_ok() {
                written += PIECE;
            }
        };
        // All else that could go on has had many turns.
        let turns = async {
            for _ in 0..10_000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = flood => panic!("the connection has ended"),
            () = turns => {}
        }
        assert!((PIECE..=(OUTGOING + 2) * PIECE).contains(&written), "{written}");
    }

    #[tokio::test]
    async fn a_broken_client_ends_the_session() {
        for bytes in [vec![0xff; 64], Client::new().open(2, &[], false)] {
            let (server, mut client) = tokio::io::duplex(1024);
            let mut session = Session::start(server, &TaskTracker::new());
            client.write_all(&bytes).await.unwrap();
            assert!(session.accept().await.is_none());
        }
    }
}
