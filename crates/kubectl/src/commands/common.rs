//! What commands that change objects share: dry runs, who is said to have changed a field, what is told of it.

use clap::Args;
use http::Method;
use podlab_client::Path;
use serde_json::Value;

use crate::failure::{Failure, Outcome, fail};
use crate::print::object::{self, Printer};
use crate::print::say;
use crate::session::Session;

/// `--dry-run`, `-o` and what goes with them.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Writing {
    /// none, client (only show what would be sent) or server (only try it)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "unchanged", default_value = "none")]
    pub(crate) dry_run: String,
    /// json, yaml, name, a template
    #[arg(short, long)]
    pub(crate) output: Option<String>,
    /// The template of -o go-template, or its file
    #[arg(long)]
    template: Option<String>,
    /// With metadata.managedFields
    #[arg(long)]
    show_managed_fields: bool,
    /// Who is said to have changed the fields
    #[arg(long)]
    pub(crate) field_manager: Option<String>,
}

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DryRun {
    No,
    Client,
    Server,
}

impl DryRun {
    /// # Errors
    /// A word that is none of the three.
    pub(crate) fn parse(word: &str) -> Outcome<Self> {
        match word {
            "" | "none" | "false" => Ok(DryRun::No),
            "client" | "true" | "unchanged" => Ok(DryRun::Client),
            "server" => Ok(DryRun::Server),
            other => fail(format!("Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\".")),
        }
    }

    /// What ends each line of what was only tried.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            DryRun::No => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }
}

impl Writing {
    /// In this form, and otherwise as nothing was said.
    pub(crate) fn plain(output: Option<String>) -> Self {
        Writing { output, ..Writing::default() }
    }

    /// # Errors
    /// A word that is none of the three.
    pub(crate) fn dry(&self) -> Outcome<DryRun> {
        DryRun::parse(&self.dry_run)
    }

    /// How results are told.
    ///
    /// # Errors
    /// A form that is not known.
    pub(crate) fn teller(&self) -> Outcome<Teller> {
        let options = object::Options {
            template: self.template.clone(),
            managed_fields: self.show_managed_fields,
            ..object::Options::default()
        };
        let printer = match self.output.as_deref().filter(|output| !output.is_empty()) {
            Some(output) => Some(Printer::parse(output, &options)?),
            None => None,
        };
        Ok(Teller { printer, dry: self.dry()? })
    }

    /// The path with what the request is to know of all that.
    ///
    /// # Errors
    /// As [`Writing::dry`].
    pub(crate) fn on(&self, path: Path, manager: &str) -> Outcome<Path> {
        let path = path.query("fieldManager", self.field_manager.as_deref().unwrap_or(manager));
        Ok(if self.dry()? == DryRun::Server { path.query("dryRun", "All") } else { path })
    }
}

/// Tells what became of an object.
#[derive(Debug)]
pub(crate) struct Teller {
    printer: Option<Printer>,
    pub(crate) dry: DryRun,
}

impl Teller {
    /// `pod/kuard created`, or the object in the form that was asked for.
    ///
    /// # Errors
    /// A template that finds nothing.
    pub(crate) fn tell(&mut self, object: &Value, what: &str) -> Outcome {
        match &mut self.printer {
            Some(printer) => say(&printer.print(object)?),
            None => {
                let name = object::name(object);
                say(&format!("{name} {what}{}\n", self.dry.suffix()));
            }
        }
        Ok(())
    }
}

/// `--validate`
///
/// # Errors
/// A word that is none of its values.
pub(crate) fn validation(word: &str) -> Outcome<&'static str> {
    match word {
        "true" | "strict" => Ok("Strict"),
        "warn" => Ok("Warn"),
        "false" | "ignore" => Ok("Ignore"),
        other => fail(format!(
            "invalid - validate option \"{other}\"; must be one of: strict (or true), warn, ignore (or false)"
        )),
    }
}

impl Session {
    /// Makes an object, unless it is only tried by the client.
    ///
    /// # Errors
    /// The server's refusal.
    pub(crate) async fn make(&self, path: Path, object: &Value, dry: DryRun) -> Outcome<Value> {
        match dry {
            DryRun::Client => Ok(object.clone()),
            _ => self.send(Method::POST, &path, object).await,
        }
    }
}

/// Waits before asking again.
pub(crate) async fn pause(time: std::time::Duration) {
    podlab_client::sleeper::Sleeper::wall().sleep(time).await;
}

/// `5s`, `1m30s`, `100ms`, or a number of seconds.
///
/// # Errors
/// The words of Go's parser.
pub(crate) fn duration(text: &str) -> Outcome<std::time::Duration> {
    let invalid =
        || Failure::Text(format!("invalid argument \"{text}\" for duration: time: invalid duration \"{text}\""));
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if negative {
        // For ever, or nearly.
        return Ok(std::time::Duration::from_secs(7 * 24 * 3600));
    }
    if digits == "0" {
        return Ok(std::time::Duration::ZERO);
    }
    let mut total = 0.0;
    let mut rest = digits;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..end].parse().map_err(|_| invalid())?;
        rest = &rest[end..];
        let end = rest.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..end] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(invalid()),
            };
        rest = &rest[end..];
    }
    Ok(std::time::Duration::from_secs_f64(total))
}

#[test]
fn durations_are_read_as_gos() {
    for (text, milliseconds) in [("5s", 5000), ("1m30s", 90_000), ("100ms", 100), ("0", 0), ("1.5h", 5_400_000)] {
        assert_eq!(duration(text).unwrap().as_millis(), milliseconds, "{text}");
    }
    assert!(duration("5").is_err() && duration("x").is_err() && duration("").is_err());
}
