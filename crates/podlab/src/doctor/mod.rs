//! `podlab doctor`: what this machine allows, found by trying it.
//!
//! Versions and settings are not read where doing the thing can answer: a kernel that has user namespaces may refuse
//! them to this user, in this container. What needs namespaces of its own is tried in a process of its own
//! ([`trials`]); the rest here ([`checks`]).

mod checks;
mod trials;

use std::fmt;
use std::path::Path;

use podlab_labs::Workbook;
use podlab_labs::format::Library;
use podlab_labs::needs::Need;
use serde::Serialize;

pub(crate) use trials::{ROLE, main};

use crate::directory::StateDirectory;

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    /// What: stable, for programs.
    pub(crate) item: &'static str,
    pub(crate) verdict: Verdict,
    /// What was seen.
    pub(crate) detail: String,
    /// What in the labs does not work, or could not be checked, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) touches: Option<&'static str>,
    #[serde(skip)]
    pub(crate) need: Option<Need>,
    /// The labs and exercises that say they need it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) labs: Vec<String>,
    /// The one line that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Verdict {
    Works,
    /// Some labs report `could not check`.
    DoesNot,
    /// Nothing works without it.
    Needed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Works => "works",
            Self::DoesNot => "does not",
            Self::Needed => "missing",
        })
    }
}

/// An outcome on the way to a [`Finding`]: what was seen, or why it does not work.
type Seen = Result<String, String>;

/// What is at stake in an item, and how to mend it.
struct Item {
    name: &'static str,
    /// Whether nothing works without it.
    needed: bool,
    touches: &'static str,
    /// What labs call it in their `needs`.
    need: Option<Need>,
    remedy: &'static str,
}

impl Item {
    fn finding(&self, seen: Seen) -> Finding {
        let Self { name: item, needed, touches, remedy, need } = *self;
        match seen {
            Ok(detail) => {
                Finding { item, verdict: Verdict::Works, detail, touches: None, need, labs: Vec::new(), remedy: None }
            }
            Err(detail) => Finding {
                item,
                verdict: if needed { Verdict::Needed } else { Verdict::DoesNot },
                detail,
                touches: Some(touches),
                need,
                labs: Vec::new(),
                remedy: (!remedy.is_empty()).then(|| remedy.to_owned()),
            },
        }
    }
}

/// Tries everything. With a workbook, what does not work names the labs that say they need it.
///
/// # Errors
///
/// When the workbook cannot be read.
pub(crate) fn examine(directory: &StateDirectory, workbook: Option<&Workbook>) -> anyhow::Result<Vec<Finding>> {
    let mut findings = trials::all();
    findings.extend(checks::all(directory));
    if let Some(workbook) = workbook {
        let library = Library::load(&workbook.labs())?;
        for finding in findings.iter_mut().filter(|finding| finding.verdict != Verdict::Works) {
            let touched = |needs: &[Need], folder: &Path| match finding.need {
                Some(need) => needs.contains(&need),
                None => finding.item == checks::BUSYBOX && mentions(folder, "busybox"),
            };
            let labs = library.labs().iter().filter(|lab| touched(&lab.needs, &library.folder(lab)));
            let exercises = library.exercises().iter().filter(|exercise| touched(&exercise.needs, &exercise.folder));
            let exercises = exercises.map(|exercise| exercise.name.clone());
            finding.labs = labs.map(|lab| lab.name.clone()).chain(exercises).collect();
        }
    }
    Ok(findings)
}

/// Whether a manifest that lies in the folder has the word. What cannot be read has not.
fn mentions(folder: &Path, word: &str) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut manifests =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "json"));
    manifests.any(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(word)))
}

/// Tries one thing that a lab needs, or says why it does not work: what the lab runner goes by.
pub(crate) fn has(need: Need) -> Result<(), String> {
    let mut findings = trials::of(need);
    findings.extend(checks::of(need));
    let refused = findings.into_iter().find(|finding| finding.verdict != Verdict::Works);
    refused.map_or(Ok(()), |finding| Err(format!("{}: {}", finding.item, finding.detail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labs_that_use_the_small_images_are_known() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let library = Library::load(&Workbook::at(root).labs()).unwrap();
        let using = |name: &str| mentions(&library.folder(library.lab(name).unwrap()), "busybox");
        assert!(using("volumes") && !using("webserver"));
    }

    #[test]
    fn a_refusal_says_what_it_touches_and_how_it_is_mended() {
        let item = Item { name: "x", needed: false, touches: "limits", need: None, remedy: "try harder" };
        let finding = item.finding(Err("no".into()));
        assert_eq!((finding.verdict, finding.touches), (Verdict::DoesNot, Some("limits")));
        assert_eq!(finding.remedy.as_deref(), Some("try harder"));
        let finding = item.finding(Ok("yes".into()));
        assert_eq!((finding.verdict, finding.touches, finding.remedy), (Verdict::Works, None, None));
    }
}
