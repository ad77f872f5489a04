//! YAML into a value, as Kubernetes reads it: YAML 1.1 scalars (`on` is true, `0644` is 420).

use serde_json::Value;

use super::{MAX_BODY_BYTES, MAX_VALUES};

/// Nesting at most. The parser calls itself for every level, and takes 25 KiB of stack for it in a debug build; a
/// manifest needs a dozen.
const MAX_DEPTH: usize = 32;

/// The options that manifests are read with everywhere.
///
/// The budgets are far above any manifest and far below what hurts: an alias bomb ends in an error at once.
#[must_use]
pub fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_VALUES,
            max_events: 250_000,
            max_aliases: 1_000,
            max_total_scalar_bytes: MAX_BODY_BYTES,
            max_documents: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 50_000,
        },
    }
}

/// All documents of a manifest; empty ones are left out.
///
/// # Errors
/// The parser's text, with line and column.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    if text.len() > MAX_BODY_BYTES {
        return Err(format!("limit is {MAX_BODY_BYTES}"));
    }
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// The one document of a request's body.
pub(super) fn parse(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|error| format!("yaml: {error}"))?;
    serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| format!("couldn't get version/kind; json parse error: yaml: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_read_as_yaml_1_1() {
        let value = parse(b"a: on\nb: 0644\nc: 0o644\nd: 12:30\ne: '8080'\nf: 8080\ng: ~\n").unwrap();
        assert_eq!(
            value,
            serde_json::json!({"a": true, "b": 420, "c": 420, "d": "12:30", "e": "8080", "f": 8080, "g": null})
        );
    }

    #[test]
    fn several_documents_skip_the_empty_ones() {
        assert_eq!(documents("---\na: 1\n---\n---\nb: 2\n").unwrap().len(), 2);
    }

    /// A thread of the server has 2 MiB of stack, and is somewhere in it already.
    #[test]
    fn nesting_ends_before_the_stack_does() {
        for (open, close) in [("- ", ""), ("{a: ", "}"), ("[", "]"), ("? ", "")] {
            let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let parse_small = move |text: String| {
                let small = std::thread::Builder::new().stack_size(1 << 20);
                small.spawn(move || parse(text.as_bytes()).map(drop)).unwrap().join().unwrap()
            };
            // A question mark is a map whose key is a map: refused for that.
            assert_eq!(parse_small(nested(MAX_DEPTH)).is_ok(), open != "? ", "{open}");
            for depth in [MAX_DEPTH + 1, 10_000] {
                assert!(parse_small(nested(depth)).is_err(), "{open}");
            }
        }
    }

    #[test]
    fn bombs_end_in_an_error() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..10 {
            let last = level - 1;
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{last}"); 9].join(",")));
        }
        assert!(parse(bomb.as_bytes()).is_err());
        assert!(parse("[".repeat(5000).as_bytes()).is_err());
        assert!(parse(b"a: 1\na: 2\n").is_err());
    }
}
