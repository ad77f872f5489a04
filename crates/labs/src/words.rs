//! Numbers in sentences.

/// `1 point`, `2 points`.
pub(crate) fn count(number: u32, of: &str) -> String {
    match number {
        1 => format!("1 {of}"),
        number => format!("{number} {of}s"),
    }
}

/// The text without what would move a terminal's cursor or change its colours: what a learner's program prints can then
/// not pass for what we print.
pub(crate) fn visible(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

/// Text as HTML and XML show it; characters that XML cannot have are replaced.
pub(crate) fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_prints_cannot_move_the_cursor() {
        assert_eq!(visible("a\tb\n\x1b[2J\rpass\x07"), "a\tb\n\u{fffd}[2J\u{fffd}pass\u{fffd}");
        assert_eq!(markup("<a href=\"x\">&\0"), "&lt;a href=&quot;x&quot;&gt;&amp;\u{fffd}");
    }

    #[test]
    fn one_is_one() {
        assert_eq!((count(1, "point"), count(0, "point")), ("1 point".to_owned(), "0 points".to_owned()));
    }
}
