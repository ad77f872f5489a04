//! What a check may recognise, and what is said of it.

use std::path::Path;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::check::Check;
use crate::condition::Expression;
use crate::yaml::{self, FileError};

/// A known wrong state: what it is, and what to say to someone who is in it. A check stops waiting as soon as one of its
/// diagnoses holds; one that may also hold of a state that heals by itself says that it is `patient`, and is looked at
/// when the time is over.
#[derive(Debug)]
pub struct Diagnosis {
    /// Its name; unique over all exercises.
    pub name: String,
    /// The check it explains the failure of.
    pub of: String,
    /// How it is recognised.
    pub when: Expression,
    /// It is recognised only when the time of the check is over.
    pub patient: bool,
    /// What it is.
    pub says: String,
    /// Where in the learner's file.
    pub at: Option<String>,
    /// One thing to try next.
    pub r#try: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDiagnosis {
    name: String,
    of: String,
    when: Expression,
    #[serde(default)]
    patient: bool,
    says: String,
    at: Option<String>,
    r#try: String,
}

/// Adds the diagnoses that are written there to `diagnoses`.
pub(super) fn diagnoses_of(
    raw: Vec<Spanned<RawDiagnosis>>,
    path: &Path,
    text: &str,
    checks: &[Check],
    diagnoses: &mut Vec<Diagnosis>,
) -> Result<(), FileError> {
    let wrong_at = |at: Location, title: &str, label: &str| yaml::invalid(path, text, at, title, label);
    for diagnosis in raw {
        let (at, RawDiagnosis { name, of, when, patient, says, at: place, r#try }) =
            (diagnosis.referenced, diagnosis.value);
        if !checks.iter().any(|check| check.name == of) {
            return Err(wrong_at(at, "a diagnosis of nothing", &format!("no check is called {of}")));
        }
        if diagnoses.iter().any(|earlier| earlier.name == name) {
            return Err(wrong_at(at, "a name is used twice", "an earlier diagnosis has this name"));
        }
        diagnoses.push(Diagnosis { name, of, when, patient, says, at: place, r#try });
    }
    Ok(())
}
