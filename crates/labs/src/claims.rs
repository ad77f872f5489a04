//! `labs/claims.yaml`: what the texts say, whether it holds, and which step shows it.
//!
//! ```yaml
//! sources:
//!   kuar: "Kubernetes: Up and Running, chapter 5"
//! claims:
//!   - id: pod-is-atomic
//!     source: kuar
//!     says: All containers of a Pod run on the same machine          # in our own words
//!     status: holds                                                  # or: changed since, never held
//!     shown: kuard/get-wide                                          # LAB/STEP, or pending and the lab it waits for
//!   - id: run-makes-a-deployment
//!     source: kuar
//!     says: kubectl run makes a Deployment
//!     status: changed since
//!     since: "1.18 (2020): it makes a Pod"
//!     shown: kuard/delete-deployment
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::format::Library;
use crate::yaml::{self, FileError};

/// Everything the texts say that can be shown.
#[derive(Debug)]
pub struct Claims {
    /// The texts, by their short names.
    pub sources: BTreeMap<String, String>,
    /// The claims, in the order of the file.
    pub claims: Vec<Claim>,
}

/// One claim, command or manifest of a text.
#[derive(Debug)]
pub struct Claim {
    /// Its name; unique.
    pub id: String,
    /// The short name of the text.
    pub source: String,
    /// What it says, in our words.
    pub says: String,
    /// Whether it holds.
    pub status: Status,
    /// What shows it.
    pub shown: Shown,
}

/// Whether a claim holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Holds,
    /// It did; this is what changed, and when.
    ChangedSince(String),
    /// It did not; this is what holds instead.
    NeverHeld(String),
}

/// What shows a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A step of a lab.
    Step { lab: String, step: String },
    /// Nothing yet: it belongs to this lab, which is not there, or not complete.
    Pending(String),
}

/// The claims cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClaims {
    sources: BTreeMap<String, String>,
    claims: Vec<Spanned<RawClaim>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClaim {
    id: String,
    source: String,
    says: String,
    status: RawStatus,
    since: Option<String>,
    instead: Option<String>,
    shown: Option<String>,
    pending: Option<String>,
}

#[derive(Deserialize)]
enum RawStatus {
    #[serde(rename = "holds")]
    Holds,
    #[serde(rename = "changed since")]
    ChangedSince,
    #[serde(rename = "never held")]
    NeverHeld,
}

impl Claims {
    /// Reads `claims.yaml`.
    ///
    /// # Errors
    ///
    /// With the line of the mistake.
    pub fn load(path: &Path) -> Result<Claims, ClaimsError> {
        Ok(Claims::decode(path, &yaml::read(path)?)?)
    }

    fn decode(path: &Path, text: &str) -> Result<Claims, FileError> {
        let raw: RawClaims = yaml::decode(path, text)?;
        let mut ids = BTreeSet::new();
        let mut claims = Vec::with_capacity(raw.claims.len());
        for claim in raw.claims {
            let at = claim.referenced;
            let wrong = |label: &str| yaml::invalid(path, text, at, "this claim cannot be used", label);
            let claim = claim.value;
            if !ids.insert(claim.id.clone()) {
                return Err(wrong("an earlier claim has this id"));
            }
            if !raw.sources.contains_key(&claim.source) {
                return Err(wrong("its source is not among `sources`"));
            }
            claims.push(claim.meaning().map_err(|label| wrong(&label))?);
        }
        Ok(Claims { sources: raw.sources, claims })
    }

    /// The claims whose step does not exist, with what they name.
    pub fn dangling<'a>(&'a self, library: &'a Library) -> impl Iterator<Item = &'a Claim> {
        self.claims.iter().filter(|claim| match &claim.shown {
            Shown::Pending(_) => false,
            Shown::Step { lab, step } => library.lab(lab).ok().and_then(|lab| lab.position(step)).is_none(),
        })
    }

    /// The appendix: a table for each text, in Markdown.
    pub(crate) fn table(&self, library: &Library) -> String {
        let mut out = String::new();
        for (source, title) in &self.sources {
            out.push_str(&format!(
                "\n## {title}\n\n| what it says | does it hold? | see for yourself |\n|---|---|---|\n"
            ));
            for claim in self.claims.iter().filter(|claim| claim.source == *source) {
                let status = match &claim.status {
                    Status::Holds => "holds".to_owned(),
                    Status::ChangedSince(what) => format!("**changed since**: {what}"),
                    Status::NeverHeld(what) => format!("**never held**: {what}"),
                };
                let shown = match &claim.shown {
                    Shown::Pending(lab) => format!("*with the lab {lab}*"),
                    Shown::Step { lab, step } => match library.lab(lab) {
                        Ok(found) => format!("[{lab}: {step}]({}#step-{lab}-{step})", found.chapter),
                        Err(_) => format!("{lab}: {step}"),
                    },
                };
                out.push_str(&format!("| {} | {} | {} |\n", cell(&claim.says), cell(&status), shown));
            }
        }
        out
    }
}

/// Text in a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace('\n', " ")
}

impl RawClaim {
    fn meaning(self) -> Result<Claim, String> {
        let status = match (self.status, self.since, self.instead) {
            (RawStatus::Holds, None, None) => Status::Holds,
            (RawStatus::ChangedSince, Some(since), None) => Status::ChangedSince(since),
            (RawStatus::NeverHeld, None, Some(instead)) => Status::NeverHeld(instead),
            _ => {
                return Err(
                    "`changed since` needs `since`, `never held` needs `instead`, `holds` has neither".to_owned()
                );
            }
        };
        let shown = match (self.shown.as_deref().map(|shown| shown.split_once('/')), self.pending) {
            (Some(Some((lab, step))), None) => Shown::Step { lab: lab.to_owned(), step: step.to_owned() },
            (None, Some(lab)) => Shown::Pending(lab),
            _ => return Err("a claim has either `shown: LAB/STEP` or `pending: LAB`".to_owned()),
        };
        Ok(Claim { id: self.id, source: self.source, says: self.says, status, shown })
    }
}
