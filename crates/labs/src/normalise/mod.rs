//! Makes two transcripts of the same thing equal, and no more.
//!
//! There are twelve rules, [`RULES`]; a thirteenth is a reason to make the output itself the same each time. Whatever no
//! rule names must be equal to the letter: a reason, a count, a column, an event that is missing.

mod table;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// One rule: what differs from run to run, and why it may.
#[derive(Debug)]
pub struct Rule {
    /// What a test or a reader calls it.
    pub name: &'static str,
    /// Why two runs differ in it.
    pub why: &'static str,
    pattern: &'static str,
    replacement: &'static str,
}

/// The rules on text, in the order they are applied. The last of the twelve, `table`, is the layout: see
/// [`normalise`].
pub const RULES: [Rule; 11] = [
    Rule {
        name: "uid",
        why: "every object gets a random one",
        pattern: r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        replacement: "<uid>",
    },
    Rule {
        name: "hash",
        why: "container ids are random; a built-in image's digest changes with the programs in it",
        pattern: r"\b[0-9a-f]{64}\b",
        replacement: "<hash>",
    },
    Rule {
        name: "timestamp",
        why: "when an object was made, as the API writes it (RFC 3339)",
        pattern: r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
        replacement: "<time>",
    },
    Rule {
        name: "date",
        why: "the same, as `kubectl describe` and `date` write it",
        pattern: r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:, \d\d (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d (?:[+-]\d{4}|GMT)| (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d UTC \d{4})",
        replacement: "<date>",
    },
    Rule {
        name: "log-time",
        why: "when a program wrote a line of its log",
        pattern: r"\b(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\b|\d\d/(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/\d{4}:\d\d:\d\d:\d\d \+0000)",
        replacement: "<log-time>",
    },
    Rule {
        name: "revision",
        why: "the store counts every write, those of other objects too",
        pattern: r#"(resourceVersion"?: )"\d+""#,
        replacement: r#"$1"<revision>""#,
    },
    Rule {
        name: "pod-address",
        why: "a Pod gets the next free address; different ones stay different",
        pattern: r"\b10\.244\.\d{1,3}\.\d{1,3}\b",
        replacement: "<pod-ip>",
    },
    Rule {
        name: "suffix",
        why: "the server ends generated names at random",
        pattern: r"\b(kube-api-access-)[bcdfghjklmnpqrstvwxz2456789]{5}\b",
        replacement: "${1}xxxxx",
    },
    Rule {
        name: "age",
        why: "how long ago, where a table or a restart count says so (a count beside it stays)",
        pattern: r"\(((?:x\d+ over )?)(?:\d+[ydhms])+( ago)?\)",
        replacement: "($1<age>$2)",
    },
    Rule {
        name: "measured",
        why: "how long a pull took and how large the image was",
        pattern: r"in [\d.]+m?s \([\d.]+m?s including waiting\)\. Image size: \d+ bytes",
        replacement: "in <n>ms (<n>ms including waiting). Image size: <n> bytes",
    },
    Rule {
        name: "port",
        why: "the kernel picks the near end's port of a connection (32768 and up)",
        pattern: r"((?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|<pod-ip(?:-\d)?>|\[::1\]):|Handling connection for )(?:3[2-9]\d{3}|[4-6]\d{4})\b",
        replacement: "$1<port>",
    },
];

/// The twelfth rule, beside [`RULES`]: its name and reason.
pub const TABLE: (&str, &str) =
    ("table", "columns are as wide as their widest cell, so a table is laid out again after its cells changed");

static COMPILED: LazyLock<Vec<(&'static Rule, Regex)>> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "the patterns are constants, and a test compiles them")]
    RULES.iter().map(|rule| (rule, Regex::new(rule.pattern).unwrap())).collect()
});

static AGE: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant, and the tests use it")]
    Regex::new(r"^(?:\d+[ydhms])+").unwrap()
});

/// `text` with everything that may differ between two runs replaced by its name.
///
/// Tables are recognised by their header line, so that an age is one only in a column of ages.
pub fn normalise(text: &str) -> String {
    let mut addresses = Vec::new();
    let mut cell = |column: Option<&str>, text: &str| {
        let text = match column {
            Some("AGE" | "LAST SEEN" | "FIRST SEEN" | "Age") => AGE.replace(text, "<age>"),
            _ => Cow::Borrowed(text),
        };
        substitute(&text, &mut addresses)
    };
    table::rewrite(text, &mut cell)
}

fn substitute(text: &str, addresses: &mut Vec<String>) -> String {
    let mut text = text.to_owned();
    for (rule, pattern) in COMPILED.iter() {
        text = match rule.name {
            "pod-address" => {
                pattern.replace_all(&text, |found: &Captures<'_>| numbered(&found[0], addresses)).into_owned()
            }
            _ => pattern.replace_all(&text, rule.replacement).into_owned(),
        };
    }
    text
}

/// `<pod-ip>` for the first address of a transcript, `<pod-ip-2>` for the next different one.
fn numbered(address: &str, addresses: &mut Vec<String>) -> String {
    let position = addresses.iter().position(|known| known == address).unwrap_or_else(|| {
        addresses.push(address.to_owned());
        addresses.len() - 1
    });
    if position == 0 { "<pod-ip>".to_owned() } else { format!("<pod-ip-{}>", position + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_twelve_rules_with_different_names() {
        let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).chain([TABLE.0]).collect();
        assert_eq!(names.len(), 12);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 12);
    }

    #[test]
    fn what_differs_gets_its_name() {
        for (text, normal) in [
            ("uid: 39313a1d-b48a-42dd-8866-c95a31d835fd", "uid: <uid>"),
            (r#""startedAt": "2026-11-20T18:46:51Z","#, r#""startedAt": "<time>","#),
            ("Start Time:       Fri, 20 Nov 2026 18:46:53 +0000", "Start Time:       <date>"),
            ("Sat Nov 21 14:28:23 UTC 2026", "<date>"),
            ("- [21/Nov/2026:14:28:23 +0000] GET", "- [<log-time>] GET"),
            ("2026/11/20 18:46:53 Serving on HTTP on :8080", "<log-time> Serving on HTTP on :8080"),
            (r#"  resourceVersion: "373""#, r#"  resourceVersion: "<revision>""#),
            ("10.244.0.6 then 10.244.0.7 and 10.244.0.6", "<pod-ip> then <pod-ip-2> and <pod-ip>"),
            ("name: kube-api-access-s6b8s", "name: kube-api-access-xxxxx"),
            ("Forwarding from 127.0.0.1:37111 -> 8080", "Forwarding from 127.0.0.1:<port> -> 8080"),
            ("Handling connection for 38241", "Handling connection for <port>"),
            ("10.244.0.1:51234 GET /healthy", "<pod-ip>:<port> GET /healthy"),
        ] {
            assert_eq!(normalise(text), normal);
        }
    }

    #[test]
    fn what_does_not_differ_stays() {
        for text in ["for 300s", "10.96.0.1", "port 8080", "127.0.0.1:8080", "resourceVersion: none", "AGE", "1m ago"] {
            assert_eq!(normalise(text), text);
        }
    }

    #[test]
    fn ages_are_ages_only_in_their_column() {
        let young = "NAME    READY   STATUS    RESTARTS      AGE\nkuard   1/1     Running   1 (3s ago)    7s\n";
        let old = "NAME    READY   STATUS    RESTARTS        AGE\nkuard   1/1     Running   1 (2m13s ago)   3m5s\n";
        assert_eq!(normalise(young), normalise(old));
        let two = young.replace("1 (3s ago)", "2 (3s ago)");
        assert_ne!(normalise(young), normalise(&two));
        let named = "NAME   READY\n7s     1/1\n";
        assert_eq!(normalise(named), named);
    }

    #[test]
    fn counts_of_events_stay() {
        let once = "  Type    Reason   Age                From     Message\n  ----    ------   ----               ----     -------\n  Normal  Pulled   2s (x3 over 20s)   kubelet  there\n";
        let again = once.replace("x3", "x4");
        assert_ne!(normalise(once), normalise(&again));
        assert_eq!(normalise(once), normalise(&once.replace("2s (x3 over 20s)", "9s (x3 over 1m20s)")));
    }
}
