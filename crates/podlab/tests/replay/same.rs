//! When two answers are the same: ids, ages, addresses and times are replaced by their names, nothing else.

use std::sync::LazyLock;

use podlab_labs::normalise::normalise;
use regex::Regex;

use crate::golden::Answer;
use crate::known::{SET_UP, UNORDERED};

/// Beside the rules of the labs ([`podlab_labs::normalise::RULES`]): what only these transcripts show.
const RULES: [(&str, &str); 21] = [
    // Ids.
    (r"\bcni-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<netns>"),
    (r#"("resourceVersion":\s?)"\d+""#, r#"$1"<revision>""#),
    (r#"("continue": )"[^"]+""#, r#"$1"<token>""#),
    (r"\b((?:net|ipc|uts|pid|mnt):)\[\d+\]", "$1[<namespace>]"),
    (r"\b(gen|web-[0-9a-f]{8,10})-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "$1-<suffix>"),
    (r"\S*/(LIVE|MERGED)-\d+/", "<folder>/$1-<n>/"),
    (r"\b([a-z0-9-]+)\.[0-9a-f]{16}\b", "$1.<n>"),
    (r"\b(web|pod-template-hash=|pod-template-hash: )-?[0-9a-f]{8,10}\b", "$1-<hash>"),
    (r#"(?m)^etag: "[0-9A-F]+""#, "etag: <hash>"),
    (r"hash=[0-9A-F]{128}", "hash=<hash>"),
    (r"X509SHA256=[0-9a-f<>hash]+", "X509SHA256=<hash>"),
    // Addresses.
    (r"https://127\.0\.0\.1:(?:6443|<port>|\d{5})", "https://<server>"),
    (r"127\.0\.0\.1:(?:6443|<port>|\d{5})", "<server>"),
    // Times.
    (
        r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d UTC \d{4}",
        "<date>",
    ),
    (r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d\b", "<date>"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000", "<time>"),
    (r"\.\.\d{4}(?:_\d\d){5}\.\d+", "..<time>"),
    (r"\bE\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ (\w+\.go):\d+\]", "E<time> $1]"),
    (r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\]", "[<time>]"),
    (r"\b\d+ <date> \.\.data", "<n> <date> ..data"),
    (r"(?m)^(real|user|sys)\t\d+m[\d.]+s$", "$1 <time>"),
];

static COMPILED: LazyLock<Vec<(Regex, &str)>> =
    LazyLock::new(|| RULES.iter().map(|(pattern, name)| (Regex::new(pattern).expect(pattern), *name)).collect());

static DIFFERENT: LazyLock<Vec<Regex>> =
    LazyLock::new(|| SET_UP.iter().map(|known| Regex::new(known.pattern).expect(known.pattern)).collect());

/// An answer to the question of this transcript as it is compared.
pub(crate) fn comparable(golden: &str, answer: &Answer) -> String {
    let mut text = answer.to_string().replace("\r\n", "\n");
    for (known, pattern) in SET_UP.iter().zip(DIFFERENT.iter()) {
        if known.goldens.is_empty() || known.goldens.iter().any(|prefix| golden.starts_with(prefix)) {
            text = pattern.replace_all(&text, known.replacement).into_owned();
        }
    }
    // The labs' rule for tables wants its headings, so it goes before ours.
    let mut text = normalise(&text);
    for (pattern, name) in COMPILED.iter() {
        text = pattern.replace_all(&text, *name).into_owned();
    }
    if text.starts_with("HTTP/2 ") {
        text = http(&text, unordered(golden));
    } else if unordered(golden) {
        text = sorted(&text);
    }
    text.trim_end().to_owned()
}

fn unordered(golden: &str) -> bool {
    UNORDERED.iter().any(|(known, _)| *known == golden)
}

fn sorted(text: &str) -> String {
    if let Some((description, events)) = text.split_once("\nEvents:\n") {
        return format!("{description}\nEvents:\n{}", sorted(events));
    }
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// The head of an answer has no order; in its body the fields of an object may have none.
fn http(text: &str, unordered: bool) -> String {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    // How long it is, is said or left to the end of the stream, as the library at hand does it.
    let head: Vec<&str> = head.lines().filter(|line| !line.starts_with("content-length")).collect();
    let head = sorted(&head.join("\n"));
    let values: Option<Vec<serde_json::Value>> =
        serde_json::Deserializer::from_str(body).into_iter().collect::<Result<_, _>>().ok().filter(|_| unordered);
    match values {
        Some(values) => {
            let body: Vec<String> = values.iter().map(|value| format!("{value:#}")).collect();
            format!("{head}\n\n{}", body.join("\n"))
        }
        None => format!("{head}\n\n{body}"),
    }
}

#[test]
fn ids_addresses_and_times_are_names_and_the_rest_stays() {
    let told = |text: &str| comparable("", &Answer { stdout: text.into(), ..Answer::default() });
    for (text, expected) in [
        ("Fri Nov 20 18:47:01 UTC 2026\n", "<date>"),
        (
            "drwxr-xr-x 2 root root 100 Nov 20 18:46 ..2026_11_20_18_46_53.1280827377",
            "drwxr-xr-x 2 root root 100 <date> ..<time>",
        ),
        ("net:[4026532180]", "net:[<namespace>]"),
        ("pod/gen-v6pvz created", "pod/gen-<suffix> created"),
        ("running at https://127.0.0.1:6443", "running at https://<server>"),
        ("running at https://127.0.0.1:41234", "running at https://<server>"),
        ("x2 over 3s, web-server, Exit Code: 143", "x2 over 3s, web-server, Exit Code: 143"),
    ] {
        assert_eq!(told(text), expected);
    }
}
