//! Numbers in sentences.

/// `1 point`, `2 points`.
pub(crate) fn count(number: u32, of: &str) -> String {
    match number {
        1 => format!("1 {of}"),
        number => format!("{number} {of}s"),
    }
}
