//! JSON as Go's encoding/json indents it.

use serde::Serialize;
use serde_json::Value;

/// With four blanks a level, as `-o json`.
pub(crate) fn four(value: &Value) -> String {
    indented(value, b"    ")
}

/// In one line.
pub(crate) fn compact(value: &Value) -> String {
    escaped(&value.to_string())
}

fn indented(value: &Value, indent: &[u8]) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // A value has only keys that are text, and memory does not refuse.
    let _ = value.serialize(&mut serializer);
    escaped(&String::from_utf8_lossy(&bytes))
}

/// Go escapes what a browser could take for markup.
fn escaped(text: &str) -> String {
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 16), |mut escaped, character| {
        match character {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
        escaped
    })
}
