//! Changes of seeds, where no engine knows what they lead to: the same ones every time.

/// A small generator of numbers (xorshift64*): what it gives depends on nothing but where it began.
pub struct Random(u64);

impl Random {
    /// Every seed gives other numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`, 0 when that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or_default().checked_rem(limit).unwrap_or_default()
    }
}

/// Pieces that mean something to one decoder or another.
const PIECES: &[&[u8]] = &[
    b"null",
    b"{}",
    b"[]",
    b"\"\"",
    b"-1",
    b"1e309",
    b"99999999999999999999",
    b"\xff",
    b"\0",
    b"\\",
    b"\"",
    b"\n",
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"<<",
    b"$patch",
    b"delete",
    b"replace",
    b"$retainKeys",
    b"$setElementOrder/",
    b"..",
    b"/",
    b"~1",
    b"%2e",
    b"=",
    b"!",
    b",",
    b"(",
    b")",
    b" in ",
    b"Ki",
    b"m",
    b"\r\n",
    b"\xff\xff\xff\xff",
    b"\x80\x03\0\x01",
];

/// A seed with one to eight changes.
#[must_use]
pub fn mutate(seed: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        let end = (at + 1 + random.below(16)).min(bytes.len());
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < end => drop(bytes.drain(at..end)),
            2 if at < end => {
                let piece = bytes[at..end].repeat(1 + random.below(20));
                bytes.splice(at..at, piece);
            }
            3 => bytes.truncate(at),
            4 => {
                let other = &others[random.below(others.len())];
                let start = random.below(other.len() + 1);
                bytes.splice(at.., other[start..].iter().copied());
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}
