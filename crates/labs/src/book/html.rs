//! Small pieces of HTML.

use std::sync::LazyLock;

use regex::Regex;

use crate::normalise::{RULES, TABLE};
use crate::transcript::Transcript;
pub(super) use crate::words::markup as escape;

/// What the normalising rules leave behind, after escaping.
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant, and the tests use it")]
    Regex::new(r"&lt;(uid|hash|time|date|log-time|revision|pod-ip(?:-\d+)?|age|n|port)&gt;").unwrap()
});

/// Why a placeholder stands where a value would.
fn why(placeholder: &str) -> &'static str {
    let rule = match placeholder {
        "time" => "timestamp",
        "n" => "measured",
        address if address.starts_with("pod-ip") => "pod-address",
        same => same,
    };
    RULES.iter().find(|candidate| candidate.name == rule).map_or(TABLE.1, |rule| rule.why)
}

/// Output of a command; what differs from run to run is marked, with the reason as its title.
pub(super) fn output(text: &str) -> String {
    PLACEHOLDER
        .replace_all(&escape(text), |found: &regex::Captures<'_>| {
            format!("<var title=\"Yours differs: {}\">&lt;{}&gt;</var>", escape(why(&found[1])), &found[1])
        })
        .into_owned()
}

/// The console block of a lab's step. `transcript` is its snapshot, when it was recorded.
pub(super) fn step(lab: &str, step: &str, command: &str, transcript: Option<&Transcript>, runs: bool) -> String {
    let (lab, step) = (escape(lab), escape(step));
    let mut body = String::new();
    match transcript {
        None => body.push_str("<span class=\"remark\">This step has not been recorded yet.</span>\n"),
        Some(transcript) => {
            body.push_str(&output(&transcript.stdout));
            if !transcript.stderr.is_empty() {
                body.push_str(&format!("<span class=\"stderr\">{}</span>", output(&transcript.stderr)));
            }
            if let Some(status @ 1..) = transcript.exit {
                body.push_str(&format!("<span class=\"remark\">exit status {status}</span>\n"));
            }
        }
    }
    // A blank line ends an HTML block of Markdown, except inside `pre`: hence the separate pieces.
    let button = if runs { "<button type=\"button\" class=\"run\" hidden>Run</button>" } else { "" };
    let command = escape(command.trim_end()).replace('\n', "\n&gt; ");
    format!(
        "\n<div class=\"lab-step\" id=\"step-{lab}-{step}\" data-lab=\"{lab}\" data-step=\"{step}\">\n\n\
         <pre class=\"command\"><code class=\"nohighlight\"><span class=\"prompt\" aria-hidden=\"true\">$ </span>{command}</code></pre>\n\n\
         {button}\n\n\
         <pre class=\"output\" tabindex=\"0\" aria-label=\"Output\"><code class=\"nohighlight\">{body}</code></pre>\n\n\
         </div>\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_says_why() {
        assert_eq!(
            output("IP: <pod-ip-2> & <none>"),
            "IP: <var title=\"Yours differs: a Pod gets the next free address; different ones stay different\">\
             &lt;pod-ip-2&gt;</var> &amp; &lt;none&gt;"
        );
    }

    #[test]
    fn every_placeholder_names_its_rule() {
        for rule in &RULES {
            let (placeholder, _) = rule.name.split_once('-').unwrap_or((rule.name, ""));
            assert_ne!(why(placeholder).len(), 0);
        }
        for placeholder in ["uid", "hash", "time", "date", "log-time", "revision", "pod-ip", "age", "n", "port"] {
            assert_ne!(why(placeholder), TABLE.1, "{placeholder} has no rule");
        }
    }
}
