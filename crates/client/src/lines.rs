//! Lines out of a body that arrives in pieces.

use bytes::{Bytes, BytesMut};

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// Up to here the buffer is known to have no line feed, so that a long line is searched once.
    searched: usize,
}

impl Lines {
    /// Adds what arrived.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next whole line, without its line feed; empty lines are skipped.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        loop {
            let Some(offset) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let mut line = self.buffer.split_to(self.searched + offset + 1);
            self.searched = 0;
            line.truncate(line.len() - 1);
            if !line.trim_ascii().is_empty() {
                return Some(line.freeze());
            }
        }
    }

    /// How much of an unfinished line has arrived.
    pub(crate) fn pending(&self) -> usize {
        self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same_lines() {
        let text = b"one\n\ntwo\nthree";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for piece in [&text[..cut], &text[cut..]] {
                lines.push(piece);
                seen.extend(std::iter::from_fn(|| lines.next()));
            }
            assert_eq!(seen, ["one", "two"], "cut at {cut}");
            assert_eq!(lines.pending(), 5);
        }
    }
}
