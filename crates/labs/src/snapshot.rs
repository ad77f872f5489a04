//! The recorded transcripts: `labs/NAME/snapshots/STEP.snap`, in the format of the `insta` crate.
//!
//! The tests write and review them with `insta`; here they are only read, by the book and by `podlab lab verify`.

use std::path::Path;

use crate::transcript::Transcript;
use crate::yaml::{self, FileError};

/// The transcript in the snapshot at `path`; `None` when there is no such file.
///
/// # Errors
///
/// When it cannot be read, or is not a snapshot of a transcript.
pub fn read(path: &Path) -> Result<Option<Transcript>, FileError> {
    if !path.exists() {
        return Ok(None);
    }
    let text = yaml::read(path)?;
    let transcript = contents(&text).and_then(Transcript::parse);
    let wrong = || FileError::Decode { path: path.to_owned(), message: "this is no snapshot of a command".to_owned() };
    transcript.map(Some).ok_or_else(wrong)
}

/// What follows the metadata, which stands between two lines of three dashes.
fn contents(text: &str) -> Option<&str> {
    let metadata = text.strip_prefix("---\n")?;
    metadata.split_once("\n---\n").map(|(_, contents)| contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_metadata_and_a_transcript() {
        let text = "---\nsource: labs.rs\n---\n$ true\n--- exit 1\n";
        let transcript = contents(text).and_then(Transcript::parse).unwrap();
        assert_eq!((transcript.command.as_str(), transcript.exit), ("true", Some(1)));
        assert_eq!(contents("$ true\n"), None);
    }
}
