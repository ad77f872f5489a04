//! The rules for names, and the texts that explain them (k8s.io/apimachinery/pkg/util/validation/validation.go).
//!
//! Each function gives the problems it finds; none means the name is fine.

/// Bytes of a DNS subdomain at most.
const SUBDOMAIN_LENGTH: usize = 253;
/// Bytes of a DNS label, of a label's value, and of a qualified name's name part at most.
const LABEL_LENGTH: usize = 63;
/// Bytes of a port's name at most (IANA service names, RFC 6335).
const PORT_NAME_LENGTH: usize = 15;

/// A rule that names are checked by.
pub type Rule = fn(&str) -> Vec<String>;

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

fn pattern(rule: &str, regex: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{rule} (e.g. {}regex used for validation is '{regex}')", examples.join(" or "))
}

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.copied().is_some_and(lower_or_digit);
    ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|byte| lower_or_digit(*byte) || *byte == b'-')
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// `example.com`: the names of most objects.
#[must_use]
pub fn subdomain(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.len() > SUBDOMAIN_LENGTH {
        problems.push(too_long(SUBDOMAIN_LENGTH));
    }
    if !name.split('.').all(is_label) {
        problems.push(pattern(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character",
            r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    problems
}

/// `my-name`: namespaces, containers, volumes, hostnames.
#[must_use]
pub fn label(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.len() > LABEL_LENGTH {
        problems.push(too_long(LABEL_LENGTH));
    }
    if !is_label(name) {
        problems.push(pattern(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character",
            "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "123-abc"],
        ));
    }
    problems
}

/// `my-name`, and no digit first: Services, whose names become variables.
#[must_use]
pub fn label_1035(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.len() > LABEL_LENGTH {
        problems.push(too_long(LABEL_LENGTH));
    }
    if !is_label(name) || name.starts_with(|first: char| first.is_ascii_digit()) {
        problems.push(pattern(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    problems
}

/// A name that is a segment of a path and nothing else: events.
#[must_use]
pub fn path_segment(name: &str) -> Vec<String> {
    match name {
        "." | ".." => vec![format!("may not be '{name}'")],
        _ => ["/", "%"]
            .iter()
            .filter(|part| name.contains(**part))
            .map(|part| format!("may not contain '{part}'"))
            .collect(),
    }
}

const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                         alphanumeric character";
const QUALIFIED_REGEX: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_EXAMPLES: &[&str] = &["MyName", "my.name", "123-abc"];

/// `app`, `example.com/app`: the keys of labels and annotations.
#[must_use]
pub fn qualified_name(key: &str) -> Vec<String> {
    let parts: Vec<&str> = key.split('/').collect();
    let mut problems = Vec::new();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".to_owned());
            } else {
                problems.extend(subdomain(prefix).into_iter().map(|problem| format!("prefix part {problem}")));
            }
            name
        }
        _ => {
            let rule = pattern(&format!("a qualified name {QUALIFIED}"), QUALIFIED_REGEX, QUALIFIED_EXAMPLES);
            return vec![format!("{rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_LENGTH {
        problems.push(format!("name part {}", too_long(LABEL_LENGTH)));
    }
    if !is_name(name) {
        problems.push(pattern(&format!("name part {QUALIFIED}"), QUALIFIED_REGEX, QUALIFIED_EXAMPLES));
    }
    problems
}

/// The value of a label, which may be empty.
#[must_use]
pub fn label_value(value: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if value.len() > LABEL_LENGTH {
        problems.push(too_long(LABEL_LENGTH));
    }
    if !value.is_empty() && !is_name(value) {
        problems.push(pattern(
            &format!("a valid label must be an empty string or {}", QUALIFIED.trim_start_matches("must ")),
            &format!("({QUALIFIED_REGEX})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    problems
}

/// The name of a port of a container.
#[must_use]
pub fn port_name(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.len() > PORT_NAME_LENGTH {
        problems.push(too_long(PORT_NAME_LENGTH));
    }
    if !name.bytes().all(|byte| lower_or_digit(byte) || byte == b'-') {
        problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        problems.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        problems.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        problems.push("must not begin or end with a hyphen".to_owned());
    }
    problems
}

/// The number of a port.
#[must_use]
pub fn port_number(number: i64) -> Vec<String> {
    if (1..=65535).contains(&number) { Vec::new() } else { vec![range(1, 65535)] }
}

/// `must be between 1 and 65535, inclusive`.
#[must_use]
pub fn range(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

/// The name of an environment variable; since 1.32 anything printable but `=`.
#[must_use]
pub fn variable(name: &str) -> Vec<String> {
    if !name.is_empty() && name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()]
}

/// A key of a ConfigMap or Secret, which becomes a file's name.
#[must_use]
pub fn config_key(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if key.len() > SUBDOMAIN_LENGTH {
        problems.push(too_long(SUBDOMAIN_LENGTH));
    }
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        problems.push(pattern(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    } else if key == "." {
        problems.push("must not be '.'".to_owned());
    } else if key == ".." {
        problems.push("must not be '..'".to_owned());
    } else if key.starts_with("..") {
        problems.push("must not start with '..'".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden 311.
    #[test]
    fn the_texts_are_the_real_servers() {
        assert_eq!(
            subdomain("Bad_Name"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
              start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(
            label("Main"),
            ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
              and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
        );
    }

    #[test]
    fn names_follow_their_rules() {
        let accepted: [(Rule, &[&str]); 6] = [
            (subdomain, &["a", "a.b-c", "1st"]),
            (label, &["a", "1st", "a-b"]),
            (label_1035, &["a", "a-1"]),
            (qualified_name, &["app", "app.kubernetes.io/name", "A_b.c"]),
            (label_value, &["", "v1.2_3", "A"]),
            (port_name, &["http", "http-2", "8a"]),
        ];
        for (rule, names) in accepted {
            for name in names {
                assert_eq!(rule(name), Vec::<String>::new(), "{name}");
            }
        }
        let long = "a".repeat(64);
        let refused: [(Rule, &[&str]); 7] = [
            (subdomain, &["", "-a", "a.", "a..b", "A"]),
            (label, &["", "a.b", "a-", &long]),
            (label_1035, &["1a", "A"]),
            (qualified_name, &["", "/a", "a/b/c", "a b", "-a", "A_/b"]),
            (label_value, &["-", "a b", &long]),
            (port_name, &["", "8080", "a--b", "-a", "sixteencharacter"]),
            (config_key, &["", ".", "..", "..a", "a/b"]),
        ];
        for (rule, names) in refused {
            for name in names {
                assert!(!rule(name).is_empty(), "{name}");
            }
        }
    }
}
