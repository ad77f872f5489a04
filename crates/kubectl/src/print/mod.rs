//! The forms in which objects are shown.

pub(crate) mod custom_columns;
pub(crate) mod go_template;
pub(crate) mod json;
pub(crate) mod jsonpath;
pub(crate) mod object;
pub(crate) mod table;
pub(crate) mod tabs;
pub(crate) mod yaml;

use std::io::Write;

/// Writes to standard output; whoever stopped reading (`| head`) has seen enough.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// A line on standard output.
pub(crate) fn say_line(text: &str) {
    say(&format!("{text}\n"));
}

/// A line on standard error; nobody can be told that it failed.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A line on standard error, with the line feed that it has or has not.
pub(crate) fn complain_raw(text: &str) {
    let _ = write!(std::io::stderr().lock(), "{text}");
}

/// Text in Go's `%q`.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            control if control.is_control() => quoted.push_str(&format!("\\x{:02x}", control as u32)),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
