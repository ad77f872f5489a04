//! The difference of two Pod specs, as the refusal of an update shows it.

use serde_json::Value;

/// The difference from `old` to `new`, as lines.
pub(super) fn spec(old: &Value, new: &Value) -> String {
    let mut lines = String::from("  core.PodSpec{\n");
    let empty = serde_json::Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
        if old.get(key) != new.get(key) {
            for (sign, value) in [('-', old.get(key)), ('+', new.get(key))] {
                if let Some(value) = value {
                    lines.push_str(&format!("{sign} \t{key}: {value},\n"));
                }
            }
        }
    }
    lines.push_str("  }\n");
    lines
}
