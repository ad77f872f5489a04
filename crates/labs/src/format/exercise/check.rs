//! What an exercise checks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use std::path::Path;

use crate::condition::Expression;
use crate::format::Span;
use crate::yaml::{self, FileError};

/// One thing that is checked.
#[derive(Debug)]
pub struct Check {
    /// Names it in results and in `after`.
    pub name: String,
    /// What holds when it passes, as a sentence.
    pub title: String,
    /// What it is worth.
    pub points: u32,
    /// The checks that must pass first, else this one is skipped.
    pub after: Vec<String>,
    /// Variables of its shell commands: expressions that give a text or a number.
    pub with: BTreeMap<String, Expression>,
    /// A command that is run once, before anything is observed: a fault, say.
    pub first: Option<String>,
    /// What is observed.
    pub observe: Observe,
    /// How long to wait for it on a quick machine. On one where `kubectl apply` is slow, so many times longer.
    pub within: Duration,
    /// What should have been seen.
    pub expected: String,
    /// What was seen: an expression that gives a text.
    pub observed: Option<Expression>,
    /// What else to show of the live objects, beside the events: an expression that gives a text or a list of them.
    pub evidence: Option<Expression>,
    /// Where in the learner's file it comes from: `spec.containers[name=kuard].ports`.
    pub at: Option<String>,
    /// One thing to try next.
    pub r#try: String,
    /// It stands in a pack that learners do not have; what it looks for is not told.
    pub hidden: bool,
}

impl Check {
    /// Whether the status its command ends with is a part of what it observes.
    pub(super) fn looks_at_the_end(&self) -> bool {
        match &self.observe {
            Observe::Run(run) => {
                run.exit != 0 || run.until.as_ref().is_some_and(|until| until.source().contains("run.exit"))
            }
            Observe::Accepted | Observe::Until(_) | Observe::Http(_) => false,
        }
    }
}

/// What a check observes.
#[derive(Debug)]
pub enum Observe {
    /// The API server accepts the file.
    Accepted,
    /// A condition on `pods` and `events` comes true.
    Until(Expression),
    /// A Pod answers a GET as it should.
    Http(Http),
    /// A command ends and prints as it should.
    Run(Run),
}

/// A command whose end and output are observed.
#[derive(Debug)]
pub struct Run {
    /// What a shell runs; its kubectl works in the exercise's namespace.
    pub command: String,
    /// What it must print.
    pub says: Option<String>,
    /// The status it must end with.
    pub exit: i32,
    /// What must hold of it; then status and text are not looked at.
    pub until: Option<Expression>,
}

/// A GET to a Pod, sent through the API server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// An expression for the name of the Pod.
    pub pod: Expression,
    /// The port: the name that a container gives it, as a Service would look it up, or a number.
    pub port: String,
    /// The path, beginning with a slash.
    pub path: String,
    /// The status it must answer with.
    #[serde(default = "ok")]
    pub status: u16,
    /// What the body must contain.
    #[serde(default)]
    pub says: Option<String>,
}

fn ok() -> u16 {
    200
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCheck {
    name: String,
    title: String,
    points: u32,
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    accepted: bool,
    until: Option<Expression>,
    http: Option<Http>,
    #[serde(default)]
    with: BTreeMap<String, Expression>,
    first: Option<String>,
    run: Option<String>,
    says: Option<String>,
    exit: Option<i32>,
    within: Option<Span>,
    expected: String,
    observed: Option<Expression>,
    evidence: Option<Expression>,
    at: Option<String>,
    r#try: String,
}

/// How long a check waits when it does not say.
const WITHIN: Duration = Duration::from_secs(30);

/// Adds the checks that are written there to `checks`.
pub(super) fn checks_of(
    raw: Vec<Spanned<RawCheck>>,
    path: &Path,
    text: &str,
    checks: &mut Vec<Check>,
) -> Result<(), FileError> {
    let wrong_at = |at: Location, title: &str, label: &str| yaml::invalid(path, text, at, title, label);
    for check in raw {
        let at = check.referenced;
        let check = check_of(check.value).map_err(|label| wrong_at(at, "this check cannot be used", &label))?;
        let unknown = check.after.iter().find(|after| !checks.iter().any(|earlier| earlier.name == **after));
        if let Some(unknown) = unknown {
            let label = format!("no check before this one is called {unknown}");
            return Err(wrong_at(at, "this check depends on nothing", &label));
        }
        if checks.iter().any(|earlier| earlier.name == check.name) {
            return Err(wrong_at(at, "a name is used twice", "an earlier check has this name"));
        }
        checks.push(check);
    }
    Ok(())
}

fn check_of(raw: RawCheck) -> Result<Check, String> {
    if raw.run.is_none() && (raw.says.is_some() || raw.exit.is_some()) {
        return Err("`says` and `exit` are about a command: they need `run`".to_owned());
    }
    if let Some(name) = raw.with.keys().find(|name| !is_variable(name)) {
        return Err(format!("the variable {name:?}: use capitals, digits and _"));
    }
    let observe = match (raw.accepted, raw.until, raw.http, raw.run) {
        (true, None, None, None) => Observe::Accepted,
        (false, Some(condition), None, None) => Observe::Until(condition),
        (false, None, Some(http), None) if http.path.starts_with('/') => Observe::Http(http),
        (false, None, Some(_), None) => return Err("the path of `http` begins with a slash".to_owned()),
        (false, until, None, Some(command)) => {
            if until.is_some() && (raw.says.is_some() || raw.exit.is_some()) {
                return Err("a command is judged by `until`, or by `says` and `exit`".to_owned());
            }
            Observe::Run(Run { command, says: raw.says, exit: raw.exit.unwrap_or(0), until })
        }
        _ => return Err("a check has one of `accepted: true`, `until`, `http` and `run`".to_owned()),
    };
    Ok(Check {
        name: raw.name,
        title: raw.title,
        points: raw.points,
        after: raw.after,
        with: raw.with,
        first: raw.first,
        observe,
        within: raw.within.map_or(WITHIN, |span| span.0),
        expected: raw.expected,
        observed: raw.observed,
        evidence: raw.evidence,
        at: raw.at,
        r#try: raw.r#try,
        hidden: false,
    })
}

/// What may be the name of a variable. PATH and its like are the shell's own.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && !["PATH", "KUBECONFIG", "HOME", "NAMESPACE"].contains(&name)
}
