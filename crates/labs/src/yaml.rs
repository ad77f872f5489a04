//! Reading the YAML files of a lab: strictly, and so that a mistake is shown in its line.

use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::de::DeserializeOwned;
use serde_saphyr::Location;

/// The largest file of a lab that is read, in bytes; a lab of the book has some ten thousand.
pub const MAX_FILE: u64 = 1 << 20;

/// A file of a lab that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is larger than [`MAX_FILE`].
    #[error("{} is {size} bytes long; a file of a lab may have {MAX_FILE}", path.display())]
    TooLarge { path: PathBuf, size: u64 },
    /// The file is not YAML, or not what the format allows; the text shows where.
    #[error("{}: {message}", path.display())]
    Decode { path: PathBuf, message: String },
    /// The file is well formed, and says something that cannot be; the text shows where.
    #[error("{message}")]
    Invalid { path: PathBuf, message: String },
}

/// Reads a text file, with a limit.
///
/// # Errors
///
/// [`FileError::Read`] or [`FileError::TooLarge`].
pub fn read(path: &Path) -> Result<String, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE {
        return Err(FileError::TooLarge { path: path.to_owned(), size });
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// Decodes `text`; unknown fields and repeated keys are errors, and every error carries the line.
///
/// # Errors
///
/// [`FileError::Decode`].
pub fn decode<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, FileError> {
    serde_saphyr::from_str(text)
        .map_err(|error| FileError::Decode { path: path.to_owned(), message: error.to_string().trim_end().to_owned() })
}

/// An error about the value at `location`, drawn as the compiler draws its own.
pub fn invalid(path: &Path, text: &str, location: Location, title: &str, label: &str) -> FileError {
    FileError::Invalid { path: path.to_owned(), message: snippet(path, text, location, title, label) }
}

/// A line of a file with a remark under the value at `location`.
pub fn snippet(path: &Path, text: &str, location: Location, title: &str, label: &str) -> String {
    let shown = path.display().to_string();
    let span = byte_span(text, location);
    let source = Snippet::source(text).path(shown.as_str()).annotation(AnnotationKind::Primary.span(span).label(label));
    Renderer::plain().render(&[Level::ERROR.primary_title(title).element(source)])
}

/// The same without a title, for a report that says around it what it is about.
pub fn excerpt(path: &Path, text: &str, location: Location, label: &str) -> String {
    let shown = path.display().to_string();
    let span = byte_span(text, location);
    let source = Snippet::source(text).path(shown.as_str()).annotation(AnnotationKind::Primary.span(span).label(label));
    Renderer::plain().render(&[Group::with_level(Level::NOTE).element(source)])
}

/// The bytes of the value at `location`, cut at the end of its first line.
pub fn byte_span(text: &str, location: Location) -> std::ops::Range<usize> {
    let span = location.span();
    let start = span
        .byte_offset()
        .and_then(|offset| usize::try_from(offset).ok())
        .unwrap_or_else(|| line_start(text, location.line()))
        .min(text.len());
    let length = span.byte_len().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.find('\n').unwrap_or(rest.len());
    let whole = rest.get(..length.min(rest.len())).unwrap_or_default();
    // A mapping's span reaches to the next key: its first line says enough.
    let end = if whole.contains('\n') || whole.is_empty() { line } else { whole.len() };
    start..(start + end.max(1)).min(text.len())
}

fn line_start(text: &str, line: u64) -> usize {
    let lines = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    text.split_inclusive('\n').take(lines).map(str::len).sum()
}
