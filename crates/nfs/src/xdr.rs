//! How calls are written: *external data representation*, RFC 4506.
//!
//! Everything is a multiple of four bytes long, big-endian, and nothing says what it is: who reads has to know.

/// What arrived is not what the procedure takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed arguments")]
pub struct Malformed;

/// Reads from bytes that others sent. Never allocates: what has a length is a part of the bytes that arrived.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Bytes of a length that both sides know, and the padding up to a multiple of four.
    pub fn fixed(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest.get(padding(length)..).ok_or(Malformed)?;
        Ok(bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(u64::from_be_bytes(*bytes))
    }

    pub fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    /// Bytes that say their length, at most `limit`.
    pub fn opaque(&mut self, limit: usize) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed)?;
        if length > limit { Err(Malformed) } else { self.fixed(length) }
    }

    /// Something that may be absent.
    pub fn optional<T>(
        &mut self,
        value: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.bool()? { value(self).map(Some) } else { Ok(None) }
    }
}

/// Writes what a [`Decoder`] reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len() + padding(bytes.len()), 0);
        self
    }

    pub fn u32(&mut self, number: u32) -> &mut Self {
        self.fixed(&number.to_be_bytes())
    }

    pub fn u64(&mut self, number: u64) -> &mut Self {
        self.fixed(&number.to_be_bytes())
    }

    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.u32(u32::from(value))
    }

    /// Bytes, after their length. What we send is never near the limit of the format.
    pub fn opaque(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).fixed(bytes)
    }

    /// Something that another encoder wrote.
    pub(crate) fn append(&mut self, other: &Encoder) -> &mut Self {
        self.fixed(&other.bytes)
    }
}

fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_held_against_their_limit_and_against_what_there_is() {
        let mut encoder = Encoder::new();
        encoder.opaque(b"hello");
        let bytes = encoder.into_bytes();
        assert_eq!(bytes, *b"\0\0\0\x05hello\0\0\0");
        assert_eq!(Decoder::new(&bytes).opaque(5), Ok(&b"hello"[..]));
        assert_eq!(Decoder::new(&bytes).opaque(4), Err(Malformed));
        assert_eq!(Decoder::new(&bytes[..bytes.len() - 1]).opaque(5), Err(Malformed), "without its padding");
        assert_eq!(Decoder::new(b"\xff\xff\xff\xff").opaque(usize::MAX), Err(Malformed));
        assert_eq!(Decoder::new(b"\0\0\0\x02").bool(), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in any::<u32>(), long in any::<u64>(), text in any::<Vec<u8>>(), flag: bool) {
            let mut encoder = Encoder::new();
            encoder.u32(number).opaque(&text).u64(long).bool(flag).fixed(&text);
            let bytes = encoder.into_bytes();
            prop_assert_eq!(bytes.len() % 4, 0);
            let mut decoder = Decoder::new(&bytes);
            prop_assert_eq!(decoder.u32(), Ok(number));
            prop_assert_eq!(decoder.opaque(text.len()), Ok(&text[..]));
            prop_assert_eq!(decoder.u64(), Ok(long));
            prop_assert_eq!(decoder.bool(), Ok(flag));
            prop_assert_eq!(decoder.fixed(text.len()), Ok(&text[..]));
            prop_assert!(decoder.rest().is_empty());
        }
    }
}
