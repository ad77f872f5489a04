//! Frames and their header blocks, as bytes. Nothing here waits or keeps streams.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::dictionary;

/// Bytes of a frame behind its head at most; clients send 32 KiB at a time.
pub(super) const LARGEST: usize = 1 << 20;
/// Bytes of a header block once it is unpacked, and headers in it.
const HEADER_BYTES: usize = 64 * 1024;
const HEADERS: usize = 256;

/// Bytes of the head of a frame.
pub(super) const HEAD: usize = 8;
/// The last frame of a stream in its direction.
const FIN: u8 = 1;
const CONTROL: u8 = 0x80;
const VERSION: u16 = 3;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS_FRAME: u16 = 8;

/// Names (in lower case) and values.
pub(in crate::streaming) type Headers = Vec<(String, String)>;

/// What a peer may say that a server listens to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Open {
        stream: u32,
        headers: Headers,
        last: bool,
    },
    Data {
        stream: u32,
        bytes: Vec<u8>,
        last: bool,
    },
    Reset {
        stream: u32,
    },
    Ping {
        id: u32,
    },
    GoAway,
    /// Settings, windows, late headers: nothing here depends on them.
    Other,
}

/// What is no SPDY, or too much of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("a frame of {0} bytes")]
    TooLong(usize),
    #[error("a frame of version {0}")]
    Version(u16),
    #[error("a frame is shorter than what it says it holds")]
    Short,
    #[error("a header block cannot be unpacked")]
    Compression,
    #[error("a header block is too large")]
    HeadersTooLarge,
}

/// The head of a frame.
pub(super) struct Head([u8; HEAD]);

impl Head {
    /// # Errors
    /// When the frame is longer than this server reads.
    pub(super) fn new(bytes: [u8; HEAD]) -> Result<Self, Error> {
        let head = Self(bytes);
        if head.length() > LARGEST { Err(Error::TooLong(head.length())) } else { Ok(head) }
    }

    /// Bytes that follow.
    pub(super) fn length(&self) -> usize {
        let [.., a, b, c] = self.0;
        usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)
    }
}

/// Reads frames. Header blocks of one direction share one compression state, so they are unpacked in order, all of them.
pub(super) struct Decoder {
    inflate: Decompress,
    dictionary: Vec<u8>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { inflate: Decompress::new(true), dictionary: dictionary::bytes() }
    }

    /// The frame with this head and this body.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn frame(&mut self, head: &Head, body: Vec<u8>) -> Result<Frame, Error> {
        let [first, second, third, fourth, flags, ..] = head.0;
        let last = flags & FIN != 0;
        if first & CONTROL == 0 {
            let stream = u32::from_be_bytes([first, second, third, fourth]);
            return Ok(Frame::Data { stream, bytes: body, last });
        }
        let version = u16::from_be_bytes([first & !CONTROL, second]);
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let number = |at: usize| -> Result<u32, Error> {
            let bytes = body.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).ok_or(Error::Short)?;
            Ok(u32::from_be_bytes(bytes))
        };
        // The top bit of a stream's number is reserved.
        let stream = |at| number(at).map(|number| number & 0x7fff_ffff);
        Ok(match u16::from_be_bytes([third, fourth]) {
            SYN_STREAM => {
                let stream = stream(0)?;
                let headers = self.headers(body.get(10..).ok_or(Error::Short)?)?;
                Frame::Open { stream, headers, last }
            }
            SYN_REPLY | HEADERS_FRAME => {
                self.headers(body.get(4..).ok_or(Error::Short)?)?;
                Frame::Other
            }
            RST_STREAM => Frame::Reset { stream: stream(0)? },
            PING => Frame::Ping { id: number(0)? },
            GOAWAY => Frame::GoAway,
            _ => Frame::Other,
        })
    }

    fn headers(&mut self, packed: &[u8]) -> Result<Headers, Error> {
        let block = self.unpack(packed)?;
        let mut rest = block.as_slice();
        let count = take_number(&mut rest)?;
        if count > HEADERS {
            return Err(Error::HeadersTooLarge);
        }
        let mut headers = Headers::with_capacity(count);
        for _ in 0..count {
            let name = take_text(&mut rest)?.to_ascii_lowercase();
            headers.push((name, take_text(&mut rest)?));
        }
        Ok(headers)
    }

    fn unpack(&mut self, mut packed: &[u8]) -> Result<Vec<u8>, Error> {
        let mut block = Vec::with_capacity(1024);
        loop {
            let before = self.inflate.total_in();
            match self.inflate.decompress_vec(packed, &mut block, FlushDecompress::Sync) {
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.inflate.set_dictionary(&self.dictionary).map_err(|_| Error::Compression)?;
                }
                Err(_) => return Err(Error::Compression),
            }
            let read = usize::try_from(self.inflate.total_in() - before).unwrap_or(usize::MAX);
            packed = packed.get(read..).ok_or(Error::Compression)?;
            if block.len() > HEADER_BYTES {
                return Err(Error::HeadersTooLarge);
            }
            let full = block.len() == block.capacity();
            if packed.is_empty() && !full {
                return Ok(block);
            }
            if full {
                block.reserve(4096);
            } else if read == 0 {
                // Nothing goes on although there is room: the rest is no compressed data.
                return Err(Error::Compression);
            }
        }
    }
}

fn take_number(rest: &mut &[u8]) -> Result<usize, Error> {
    let (number, after) = rest.split_first_chunk::<4>().ok_or(Error::Short)?;
    *rest = after;
    usize::try_from(u32::from_be_bytes(*number)).map_err(|_| Error::Short)
}

fn take_text(rest: &mut &[u8]) -> Result<String, Error> {
    let length = take_number(rest)?;
    let (text, after) = rest.split_at_checked(length).ok_or(Error::Short)?;
    *rest = after;
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// Writes frames.
pub(super) struct Encoder {
    deflate: Compress,
}

impl Encoder {
    pub(super) fn new() -> Self {
        let mut deflate = Compress::new(Compression::fast(), true);
        // A new compressor takes a dictionary of this size.
        let _ = deflate.set_dictionary(&dictionary::bytes());
        Self { deflate }
    }

    /// Accepts a stream.
    pub(super) fn reply(&mut self, stream: u32) -> Vec<u8> {
        let mut body = stream.to_be_bytes().to_vec();
        body.extend_from_slice(&self.pack(&0_u32.to_be_bytes()));
        control(SYN_REPLY, 0, &body)
    }

    fn pack(&mut self, block: &[u8]) -> Vec<u8> {
        let mut packed = Vec::with_capacity(block.len() + 64);
        let start = self.deflate.total_in();
        loop {
            let done = usize::try_from(self.deflate.total_in() - start).unwrap_or(usize::MAX);
            let rest = block.get(done..).unwrap_or_default();
            let status = self.deflate.compress_vec(rest, &mut packed, FlushCompress::Sync);
            if !matches!(status, Ok(Status::Ok)) || packed.len() < packed.capacity() {
                return packed;
            }
            packed.reserve(4096);
        }
    }

    /// Data of a stream, one frame or more; with `last`, the direction ends.
    pub(super) fn data(stream: u32, bytes: &[u8], last: bool) -> Vec<u8> {
        let mut frame = Vec::with_capacity(HEAD + bytes.len());
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.push(if last { FIN } else { 0 });
        frame.extend_from_slice(&length(bytes.len()));
        frame.extend_from_slice(bytes);
        frame
    }

    /// Ends a stream in both directions; the code is `CANCEL`.
    pub(super) fn reset(stream: u32) -> Vec<u8> {
        const CANCEL: u32 = 5;
        control(RST_STREAM, 0, &[stream.to_be_bytes(), CANCEL.to_be_bytes()].concat())
    }

    pub(super) fn ping(id: u32) -> Vec<u8> {
        control(PING, 0, &id.to_be_bytes())
    }

    /// No more streams will be taken; those up to `last` were.
    pub(super) fn go_away(last: u32) -> Vec<u8> {
        control(GOAWAY, 0, &[last.to_be_bytes(), 0_u32.to_be_bytes()].concat())
    }
}

fn control(kind: u16, flags: u8, body: &[u8]) -> Vec<u8> {
    let [version_high, version_low] = VERSION.to_be_bytes();
    let [kind_high, kind_low] = kind.to_be_bytes();
    let mut frame = vec![CONTROL | version_high, version_low, kind_high, kind_low, flags];
    frame.extend_from_slice(&length(body.len()));
    frame.extend_from_slice(body);
    frame
}

/// A length in three bytes. What is written here is far below 16 MiB.
fn length(bytes: usize) -> [u8; 3] {
    let [_, high, middle, low] = u32::try_from(bytes).unwrap_or(0x00ff_ffff).to_be_bytes();
    [high, middle, low]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a client sends to open a stream.
    pub(in crate::streaming::spdy) struct Client(Encoder);

    impl Client {
        pub(in crate::streaming::spdy) fn new() -> Self {
            Self(Encoder::new())
        }

        pub(in crate::streaming::spdy) fn open(
            &mut self,
            stream: u32,
            headers: &[(&str, &str)],
            last: bool,
        ) -> Vec<u8> {
            let mut block = u32::try_from(headers.len()).unwrap().to_be_bytes().to_vec();
            for text in headers.iter().flat_map(|(name, value)| [name, value]) {
                block.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
                block.extend_from_slice(text.as_bytes());
            }
            let mut body = [stream.to_be_bytes().as_slice(), &[0; 6]].concat();
            body.extend_from_slice(&self.0.pack(&block));
            control(SYN_STREAM, u8::from(last), &body)
        }
    }

    pub(in crate::streaming::spdy) fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Result<Frame, Error> {
        let (head, body) = bytes.split_first_chunk::<HEAD>().ok_or(Error::Short)?;
        let head = Head::new(*head)?;
        decoder.frame(&head, body.get(..head.length()).ok_or(Error::Short)?.to_vec())
    }

    #[test]
    fn streams_are_opened_with_headers_that_share_their_compression() {
        let (mut client, mut decoder) = (Client::new(), Decoder::new());
        for (stream, kind) in [(1, "error"), (3, "data"), (5, "error")] {
            let headers = [("streamtype", kind), ("port", "8080"), ("requestid", "0")];
            let frame = decode(&mut decoder, &client.open(stream, &headers, kind == "error")).unwrap();
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            assert_eq!(frame, Frame::Open { stream, headers, last: kind == "error" });
        }
    }

    #[test]
    fn long_header_blocks_pass_and_endless_ones_do_not() {
        let (mut client, mut decoder) = (Client::new(), Decoder::new());
        let long: String = (0..20_000).map(|n: u32| char::from(b'a' + u8::try_from(n * n % 26).unwrap())).collect();
        let frame = decode(&mut decoder, &client.open(1, &[("x", &long)], false)).unwrap();
        assert!(matches!(frame, Frame::Open { headers, .. } if headers[0].1 == long));
        let bomb = "a".repeat(10 << 20);
        let packed = client.open(3, &[("x", &bomb)], false);
        assert!(packed.len() < LARGEST, "{}", packed.len());
        assert_eq!(decode(&mut decoder, &packed).unwrap_err(), Error::HeadersTooLarge);
    }

    #[test]
    fn other_frames_are_read_and_written() {
        let mut decoder = Decoder::new();
        let data = decode(&mut decoder, &Encoder::data(3, b"hello", true)).unwrap();
        assert_eq!(data, Frame::Data { stream: 3, bytes: b"hello".to_vec(), last: true });
        assert_eq!(decode(&mut decoder, &Encoder::ping(7)).unwrap(), Frame::Ping { id: 7 });
        assert_eq!(decode(&mut decoder, &Encoder::reset(9)).unwrap(), Frame::Reset { stream: 9 });
        assert_eq!(decode(&mut decoder, &Encoder::go_away(9)).unwrap(), Frame::GoAway);
        let reply = Encoder::new().reply(5);
        assert_eq!(decode(&mut decoder, &reply).unwrap(), Frame::Other);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut decoder = Decoder::new();
        assert_eq!(decode(&mut decoder, &[0, 0, 0, 1, 0, 0xff, 0xff, 0xff]), Err(Error::TooLong(0x00ff_ffff)));
        assert_eq!(decode(&mut decoder, &[0x80, 2, 0, 1, 0, 0, 0, 0]), Err(Error::Version(2)));
        assert_eq!(decode(&mut decoder, &[0x80, 3, 0, 1, 0, 0, 0, 2, 0, 0]), Err(Error::Short));
        let garbage = control(SYN_STREAM, 0, &[7; 40]);
        assert_eq!(decode(&mut decoder, &garbage), Err(Error::Compression));
    }
}
