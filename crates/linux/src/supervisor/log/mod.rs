//! A container's log: what it writes, line by line, in the format that log readers of Kubernetes know.
//!
//! `2026-11-20T19:18:35.012345678Z stdout F the line`. A line that is longer than the buffer, or not ended yet when the
//! container ends, comes in parts: `P` for all but the last (kubernetes/design-proposals-archive,
//! node/kubelet-cri-logging.md).

mod last_words;
pub mod rotate;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::error::{During, Refusal};

/// The longest part of a line, and so the memory that a stream without line ends costs.
const PART_LIMIT: usize = 16 * 1024;

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Cuts a stream into lines.
#[derive(Debug)]
pub(super) struct Lines {
    stream: Stream,
    begun: Vec<u8>,
}

impl Lines {
    pub(super) fn of(stream: Stream) -> Self {
        Self { stream, begun: Vec::new() }
    }

    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// Takes what was read and appends to `entries` what is complete.
    pub(super) fn push(&mut self, mut bytes: &[u8], time: &str, entries: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let room = PART_LIMIT - self.begun.len();
            let next = &bytes[..room.min(bytes.len())];
            // Most parts of a long line have no end, and the library's answer to this question is the fast one.
            let line_end = if next.contains(&b'\n') { next.iter().position(|byte| *byte == b'\n') } else { None };
            match line_end {
                Some(end) => {
                    self.begun.extend_from_slice(&bytes[..end]);
                    self.emit(b'F', time, entries);
                    bytes = &bytes[end + 1..];
                }
                None => {
                    let (part, rest) = bytes.split_at(next.len());
                    self.begun.extend_from_slice(part);
                    if self.begun.len() == PART_LIMIT {
                        self.emit(b'P', time, entries);
                    }
                    bytes = rest;
                }
            }
        }
    }

    /// The stream has ended: appends the line that has not.
    pub(super) fn finish(&mut self, time: &str, entries: &mut Vec<u8>) {
        if !self.begun.is_empty() {
            self.emit(b'P', time, entries);
        }
    }

    fn emit(&mut self, tag: u8, time: &str, entries: &mut Vec<u8>) {
        entries.extend_from_slice(time.as_bytes());
        entries.push(b' ');
        entries.extend_from_slice(self.stream.name().as_bytes());
        entries.extend_from_slice(&[b' ', tag, b' ']);
        entries.append(&mut self.begun);
        entries.push(b'\n');
    }
}

/// The file. It is opened before the container runs; what others do to its path later changes nothing until it is full.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    path: PathBuf,
    size: u64,
}

impl Log {
    pub(super) fn create(path: &Path) -> Result<Self, Refusal> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).during("create directory", directory.display())?;
        }
        let file = rotate::open(path).during("create log", path.display())?;
        let size = file.metadata().during("examine log", path.display())?.len();
        Ok(Self { file, path: path.to_owned(), size })
    }

    /// Writes what was read from a stream.
    pub(super) fn write(&mut self, lines: &mut Lines, bytes: &[u8]) {
        let mut entries = Vec::with_capacity(bytes.len() + 64);
        lines.push(bytes, &clock::rfc3339(clock::now()), &mut entries);
        self.append(&entries);
    }

    /// Writes what a stream leaves at its end.
    pub(super) fn finish(&mut self, lines: &mut Lines) {
        let mut entries = Vec::new();
        lines.finish(&clock::rfc3339(clock::now()), &mut entries);
        self.append(&entries);
    }

    /// The end of the log.
    pub(super) fn last_words(&self) -> String {
        last_words::read(&self.file).unwrap_or_default()
    }

    /// A full disk loses lines; it does not stop the container.
    fn append(&mut self, entries: &[u8]) {
        if self.size + entries.len() as u64 > rotate::MAX_SIZE
            && let Ok(file) = rotate::rotate(&self.path)
        {
            self.file = file;
            self.size = 0;
        }
        self.size += entries.len() as u64;
        let _ = self.file.write_all(entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(chunks: &[&[u8]]) -> String {
        let (mut lines, mut entries) = (Lines::of(Stream::Stderr), Vec::new());
        for chunk in chunks {
            lines.push(chunk, "T", &mut entries);
        }
        lines.finish("T", &mut entries);
        String::from_utf8(entries).unwrap()
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let whole = "T stderr F one\nT stderr F \nT stderr F two\n";
        assert_eq!(entries(&[b"one\n\ntwo\n"]), whole);
        assert_eq!(entries(&[b"o", b"ne", b"\n", b"\nt", b"wo\n"]), whole);
        assert_eq!(entries(&[b"no end"]), "T stderr P no end\n");
        assert_eq!(entries(&[]), "");
    }

    #[test]
    fn a_line_of_just_the_limit_and_one_more() {
        let full = vec![b'x'; PART_LIMIT];
        let text = String::from_utf8(full.clone()).unwrap();
        assert_eq!(entries(&[&full, b"\n"]), format!("T stderr P {text}\nT stderr F \n"));
        assert_eq!(entries(&[&full, b"y\n"]), format!("T stderr P {text}\nT stderr F y\n"));
    }

    proptest::proptest! {
        // Long lines are the point, and slow to make up: fewer of them.
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]
        #[test]
        fn nothing_is_lost_and_nothing_is_kept_too_long(
            chunks in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..40_000), 0..4)
        ) {
            // Few different bytes, so that line ends are frequent in one run and absent in another.
            let chunks: Vec<Vec<u8>> = chunks.into_iter()
                .map(|chunk| chunk.into_iter().map(|byte| if byte == 0 { b'\n' } else { byte + b'a' }).collect())
                .collect();
            let (mut lines, mut entries) = (Lines::of(Stream::Stdout), Vec::new());
            for chunk in &chunks {
                lines.push(chunk, "T", &mut entries);
                proptest::prop_assert!(lines.begun.len() < PART_LIMIT);
            }
            lines.finish("T", &mut entries);
            let mut read_back = Vec::new();
            for entry in entries.split_inclusive(|byte| *byte == b'\n') {
                let entry = entry.strip_prefix(b"T stdout ").unwrap();
                let body = &entry[2..entry.len() - 1];
                read_back.extend_from_slice(body);
                if entry[0] == b'F' {
                    read_back.push(b'\n');
                }
            }
            proptest::prop_assert_eq!(read_back, chunks.concat());
        }
    }
}
