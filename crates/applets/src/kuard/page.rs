//! The frame of every page: heading, navigation, content; one style sheet, one script, nothing from outside.

use std::fmt::Display;

use axum::response::Html;

use super::Kuard;

/// The pages in the order of the navigation: path and title.
const PAGES: [(&str, &str); 9] = [
    ("/", "Request Details"),
    ("/-/env", "Server Env"),
    ("/-/mem", "Memory"),
    ("/-/liveness", "Liveness Probe"),
    ("/-/readiness", "Readiness Probe"),
    ("/-/dns", "DNS Query"),
    ("/-/keygen", "KeyGen Workload"),
    ("/-/memq", "MemQ Server"),
    ("/fs/", "File system browser"),
];

const STYLE: &str = include_str!("style.css");

/// Fetches the page again every two seconds and puts the new content in place of the old, unless the reader is
/// typing in it or has turned the script's help off by not running scripts at all.
const SCRIPT: &str = include_str!("live.js");

/// Whether a page shows something that changes by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Liveness {
    Still,
    Live,
}

/// Text made safe to stand between tags and in quoted attributes.
pub(super) fn escape(text: impl Display) -> String {
    let mut safe = String::new();
    for character in text.to_string().chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A page: `title` must be one of the navigation's, `content` is HTML.
pub(super) fn render(kuard: &Kuard, prefix: &str, title: &str, liveness: Liveness, content: &str) -> Html<String> {
    let navigation: String = PAGES
        .iter()
        .map(|(path, name)| {
            let current = if *name == title { " aria-current=\"page\"" } else { "" };
            format!("<li><a href=\"{prefix}{path}\"{current}>{name}</a></li>\n")
        })
        .collect();
    let script = if liveness == Liveness::Live { format!("<script>{SCRIPT}</script>") } else { String::new() };
    Html(format!(
        "<!DOCTYPE html>\n<html lang=\"en\" style=\"--version: {colour}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} - KUAR Demo</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<a class=\"skip\" href=\"#content\">Skip to the content</a>\n\
         <header><p class=\"brand\">KUAR <span>Demo</span></p>\n\
         <p class=\"facts\"><span>host <strong>{hostname}</strong></span> \
         <span>version <strong class=\"version\">{version}</strong></span></p></header>\n\
         <div class=\"frame\">\n<nav aria-label=\"Pages\"><ul>\n{navigation}</ul></nav>\n\
         <main id=\"content\" tabindex=\"-1\"><h1>{title}</h1>\n{content}\n</main>\n</div>\n\
         <footer><strong>This server shows its environment and its files, secrets included, to everyone who can reach \
         it.</strong> A stand-in for the demo application of <cite>Kubernetes: Up and Running</cite>.</footer>\n\
         {script}</body>\n</html>\n",
        colour = colour(&kuard.version),
        version = escape(&kuard.version),
        hostname = escape(&kuard.hostname),
    ))
}

/// A table of names and values.
pub(super) fn facts<N: Display, V: Display>(caption: &str, rows: impl IntoIterator<Item = (N, V)>) -> String {
    let rows: String = rows
        .into_iter()
        .map(|(name, value)| {
            format!("<tr><th scope=\"row\">{}</th><td><code>{}</code></td></tr>\n", escape(name), escape(value))
        })
        .collect();
    format!("<table>\n<caption>{}</caption>\n{rows}</table>\n", escape(caption))
}

/// `500.0 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// The prefix that a request's path came in under, for the links of its page.
pub(super) fn prefix_of(path: &str) -> &'static str {
    super::PREFIXES
        .into_iter()
        .filter(|prefix| !prefix.is_empty())
        .find(|prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')))
        .unwrap_or("")
}

/// A colour a version, so that two versions behind one Service are told apart at a glance. All are dark enough for
/// white text to be read on them (a contrast of at least 4.5 to 1).
fn colour(version: &str) -> &'static str {
    const OTHERS: [&str; 4] = ["#0f766e", "#9a3412", "#be185d", "#475569"];
    let name = version.rsplit('-').next().unwrap_or(version);
    match name {
        "blue" | "1" => "#1d4ed8",
        "green" | "2" => "#15803d",
        "purple" | "3" => "#7e22ce",
        other => OTHERS[other.bytes().map(usize::from).sum::<usize>() % OTHERS.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_cannot_become_markup() {
        assert_eq!(escape("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
    }

    #[test]
    fn links_stay_under_the_prefix_of_the_request() {
        assert_eq!(prefix_of("/a/-/env"), "/a");
        assert_eq!(prefix_of("/-/env"), "");
        assert_eq!(prefix_of("/about"), "");
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(bytes(5), "5 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(500 << 20), "500.0 MiB");
    }

    #[test]
    fn the_versions_of_the_text_have_their_colours() {
        assert_eq!(colour("blue"), colour("1"));
        assert_ne!(colour("blue"), colour("green"));
        assert_eq!(colour("v0.10.0-purple"), colour("purple"));
    }
}
