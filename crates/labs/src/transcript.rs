//! What a command printed and how it ended.
//!
//! As text, which is what a snapshot holds:
//!
//! ```text
//! $ kubectl delete deployments/kuard
//! (standard output)
//! --- stderr
//! Error from server (NotFound): deployments.apps "kuard" not found
//! --- exit 1
//! ```
//!
//! The last two parts are there only when there was something to say.

use std::fmt;

use crate::normalise::normalise;

/// A command, its output and its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// What was run.
    pub command: String,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// The exit status; `None` when it was ended by us, as a `--watch` is.
    pub exit: Option<i32>,
}

const STDERR: &str = "--- stderr\n";
const EXIT: &str = "--- exit ";

impl Transcript {
    /// The same with everything that differs from run to run replaced.
    #[must_use]
    pub fn normalised(&self) -> Transcript {
        Transcript { stdout: normalise(&self.stdout), stderr: normalise(&self.stderr), ..self.clone() }
    }

    /// Reads what [`Display`](fmt::Display) wrote. `None` when the text does not begin with a command.
    pub fn parse(text: &str) -> Option<Transcript> {
        let rest = text.strip_prefix("$ ")?;
        // A command of several lines goes on as the shell would show it.
        let mut lines = rest.split_inclusive('\n');
        let mut command = lines.next()?.to_owned();
        let mut used = command.len();
        for line in lines {
            let Some(more) = line.strip_prefix("> ") else { break };
            command.push_str(more);
            used += line.len();
        }
        let rest = &rest[used..];
        let (rest, exit) = match rest.rfind(EXIT) {
            Some(at) if at == 0 || rest[..at].ends_with('\n') => {
                (&rest[..at], rest[at + EXIT.len()..].trim_end().parse().ok()?)
            }
            _ => (rest, 0),
        };
        let (stdout, stderr) = match rest.find(STDERR) {
            Some(at) if at == 0 || rest[..at].ends_with('\n') => (&rest[..at], &rest[at + STDERR.len()..]),
            _ => (rest, ""),
        };
        Some(Transcript {
            command: command.trim_end().to_owned(),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            exit: Some(exit),
        })
    }

    /// Standard output and error together, for looking something up in them.
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}", self.command.trim_end().replace('\n', "\n> "))?;
        write!(f, "{}", with_newline(&self.stdout))?;
        if !self.stderr.is_empty() {
            write!(f, "{STDERR}{}", with_newline(&self.stderr))?;
        }
        match self.exit {
            None | Some(0) => Ok(()),
            Some(status) => writeln!(f, "{EXIT}{status}"),
        }
    }
}

fn with_newline(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for (stdout, stderr, exit) in [
            ("", "", 0),
            ("pod/kuard created\n", "", 0),
            ("", "Error from server\n", 1),
            ("--- a\n+++ b\n", "Warning: x\n", 143),
        ] {
            for command in ["kubectl get pods", "kubectl get pods \\\n  -o wide"] {
                let transcript = Transcript {
                    command: command.to_owned(),
                    stdout: stdout.to_owned(),
                    stderr: stderr.to_owned(),
                    exit: Some(exit),
                };
                assert_eq!(Transcript::parse(&transcript.to_string()), Some(transcript));
            }
        }
    }

    #[test]
    fn other_text_is_no_transcript() {
        assert_eq!(Transcript::parse("kubectl get pods"), None);
    }
}
