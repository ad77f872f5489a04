//! Why a command failed, and the words kubectl has for it (k8s.io/kubectl/pkg/cmd/util/helpers.go).

use std::fmt::Write;

use podlab_api::json::{at, list, text};
use serde_json::Value;

/// What a command ends with.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// A failed command.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The server's Status.
    Status(Box<Value>),
    /// Nobody listens at this host and port.
    Refused(String),
    /// No answer, for another reason.
    Unreachable(String),
    /// Told as `error: …`.
    Text(String),
    /// Told as it is.
    Raw(String),
    /// All of them, a line each.
    Many(Vec<Failure>),
    /// Told already; only the status is left.
    Exit(u8),
}

/// `error: …` out of a text.
pub(crate) fn fail<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Failure::Text(text.into()))
}

impl Failure {
    /// The server's machine-readable reason.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Failure::Status(status) => text(status, &["reason"]),
            _ => "",
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.reason() == "NotFound"
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    /// The bare message, to be put into another.
    pub(crate) fn message(&self) -> String {
        match self {
            Failure::Status(status) => text(status, &["message"]).to_owned(),
            Failure::Text(text) | Failure::Raw(text) | Failure::Unreachable(text) => text.clone(),
            other => other.text(),
        }
    }

    /// Says which file the object came from: `error when creating "pod.yaml": …`.
    #[must_use]
    pub(crate) fn when(self, doing: &str, source: &str) -> Self {
        if source.is_empty() {
            return self;
        }
        match self {
            Failure::Status(mut status) => {
                status["message"] = format!("error when {doing} \"{source}\": {}", text(&status, &["message"])).into();
                Failure::Status(status)
            }
            Failure::Text(text) => Failure::Text(format!("error when {doing} \"{source}\": {text}")),
            other => other,
        }
    }

    /// What is printed on standard error.
    pub(crate) fn text(&self) -> String {
        match self {
            Failure::Status(status) => told(status),
            Failure::Refused(host) => {
                format!("The connection to the server {host} was refused - did you specify the right host or port?")
            }
            Failure::Unreachable(why) => format!("Unable to connect to the server: {why}"),
            Failure::Text(text) if text.starts_with("error: ") => text.clone(),
            Failure::Text(text) => format!("error: {text}"),
            Failure::Raw(text) => text.clone(),
            Failure::Many(all) => {
                all.iter().map(|one| one.text().trim_end_matches('\n').to_owned()).collect::<Vec<_>>().join("\n")
            }
            Failure::Exit(_) => String::new(),
        }
    }
}

/// All failures as one: none is success, one stands for itself.
pub(crate) fn together(mut failures: Vec<Failure>) -> Outcome {
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.remove(0)),
        _ => Err(Failure::Many(failures)),
    }
}

fn told(status: &Value) -> String {
    let (reason, message) = (text(status, &["reason"]), text(status, &["message"]));
    match reason {
        "Invalid" => invalid(status, message),
        "" => format!("Error from server: {message}"),
        "Unauthorized" => format!("error: You must be logged in to the server ({message})"),
        _ => format!("Error from server ({reason}): {message}"),
    }
}

fn invalid(status: &Value, message: &str) -> String {
    let details = at(status, &["details"]);
    let (kind, name) = (text(details, &["kind"]), text(details, &["name"]));
    let mut told = "The request is invalid".to_owned();
    let mut causes: Vec<String> = Vec::new();
    for cause in list(details, &["causes"]) {
        let cause = format!("{}: {}", text(cause, &["field"]), text(cause, &["message"]));
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    if !kind.is_empty() || !name.is_empty() {
        told = format!("The {kind} \"{name}\" is invalid");
    } else if !message.is_empty() && causes.is_empty() {
        let _ = write!(told, ": {message}");
    }
    match causes.as_slice() {
        [] => told,
        // A cause that ends its line gets an empty one behind it.
        [one] => format!("{told}: {one}\n"),
        many => many.iter().fold(format!("{told}: "), |told, cause| format!("{told}\n* {cause}")),
    }
}
