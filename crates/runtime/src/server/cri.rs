//! The log format between a node's parts: one line a record, `TIME STREAM TAG MESSAGE`.
//!
//! The tag is `F` for a whole line, `P` for a piece of one that was longer than the writer's buffer
//! (kubernetes/design-proposals-archive, node/kubelet-cri-logging.md).

use std::io::{self, Read, Seek, SeekFrom};

use jiff::Timestamp;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// As it stands in the file, with nanoseconds: it is printed with `--timestamps`.
    pub time: &'a str,
    /// `stdout` or `stderr`.
    pub stream: &'a str,
    /// The line goes on in the next record of the same stream.
    pub partial: bool,
    pub message: &'a [u8],
}

impl<'a> Record<'a> {
    /// Parses a line without its line feed. `None` for what is no record.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(fields.next()?).ok()?;
        let stream =
            std::str::from_utf8(fields.next()?).ok().filter(|stream| matches!(*stream, "stdout" | "stderr"))?;
        // More flags may follow the first, separated by colons.
        let partial = match fields.next()?.split(|byte| *byte == b':').next()? {
            b"P" => true,
            b"F" => false,
            _ => return None,
        };
        Some(Self { time, stream, partial, message: fields.next()? })
    }

    /// When the record was written.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}

/// Where the last `lines` records of a log begin. Reads backwards in blocks, however long the log is.
///
/// # Errors
/// What reading and seeking report.
pub fn tail_offset(log: &mut (impl Read + Seek), lines: u64) -> io::Result<u64> {
    const BLOCK: u64 = 4096;
    let end = log.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(end);
    }
    let mut found = 0;
    let mut upper = end;
    let mut buffer = Vec::new();
    while upper > 0 {
        let lower = upper.saturating_sub(BLOCK);
        log.seek(SeekFrom::Start(lower))?;
        buffer.clear();
        log.by_ref().take(upper - lower).read_to_end(&mut buffer)?;
        for (position, _) in buffer.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = lower + position as u64 + 1;
            // The feed that ends the last record begins no further one.
            if after == end {
                continue;
            }
            found += 1;
            if found == lines {
                return Ok(after);
            }
        }
        upper = lower;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_record_has_four_fields_and_the_message_keeps_its_spaces() {
        let record = Record::parse(b"2026-11-20T18:46:53.790794602Z stdout F  two  spaces ").unwrap();
        assert_eq!(record.message, b" two  spaces ");
        assert!(!record.partial);
        assert_eq!(record.timestamp().unwrap().to_string(), "2026-11-20T18:46:53.790794602Z");
        assert!(Record::parse(b"2026-11-20T18:46:53Z stderr P:x y").unwrap().partial);
        assert_eq!(Record::parse(b"t stdout F ").unwrap().message, b"");
        for broken in [&b""[..], b"t stdout F", b"t stdin F x", b"t stdout X y", b"\xff stdout F x"] {
            assert_eq!(Record::parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn the_tail_begins_after_the_right_line_feed() {
        let text: String = (0..2000).map(|number| format!("line {number}\n")).collect();
        for wanted in [0, 1, 2, 700, 1999, 2000, 5000] {
            let offset = tail_offset(&mut Cursor::new(&text), wanted).unwrap();
            let tail = &text[usize::try_from(offset).unwrap()..];
            assert_eq!(tail.lines().count() as u64, wanted.min(2000), "{wanted}");
        }
        assert_eq!(tail_offset(&mut Cursor::new("one\ntwo"), 1).unwrap(), 4, "a last line without a feed counts");
        assert_eq!(tail_offset(&mut Cursor::new(""), 3).unwrap(), 0);
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line: Vec<u8>) {
            let _ = Record::parse(&line);
        }
    }
}
