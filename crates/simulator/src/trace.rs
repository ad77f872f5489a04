//! What happened, a line each. Two runs are the same when their traces are, byte for byte.

use std::fmt::Write as _;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// Lines are always hashed; they are kept when somebody wants to read them.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Sha256,
    line: String,
    kept: Option<String>,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Trace { hash: Sha256::new(), line: String::new(), kept: keep.then(String::new) }
    }

    pub(crate) fn line(&mut self, at: Duration, what: std::fmt::Arguments<'_>) {
        self.line.clear();
        // Writing to a String cannot fail.
        let _ = writeln!(self.line, "{:>12}.{:06} {what}", at.as_secs(), at.subsec_micros());
        self.hash.update(self.line.as_bytes());
        if let Some(kept) = &mut self.kept {
            kept.push_str(&self.line);
        }
    }

    /// The digest of all lines, in hexadecimal digits, and the lines that were kept.
    pub(crate) fn end(self) -> (String, Option<String>) {
        let digest = self.hash.finalize();
        (digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect(), self.kept)
    }
}
