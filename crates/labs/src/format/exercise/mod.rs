//! `exercises/NAME/exercise.yaml`.
//!
//! ```yaml
//! title: A door with a name
//! kind: build                          # or fix, predict, find, decide
//! minutes: 10
//! needs: []                      # as in lab.yaml
//! answer: kuard-ports.yaml             # what the learner's file is called
//! starter: starter.yaml
//! solutions: [solution.yaml]
//! section: your-first-pod.md#labels    # where the book explains it
//! hints: {where: …, concept: …, field: …}
//! checks:
//!   - name: ready
//!     title: The Pod becomes ready
//!     points: 1
//!     after: [accepted]                # earlier checks without which this one means nothing
//!     until: pods.exists(p, …)         # what is observed: see [`Observe`]
//!     within: 20s
//!     expected: a Pod that is Ready
//!     observed: pods.map(p, p.status.phase)[0]
//!     evidence: pods.map(p, …)         # lines that show it
//!     at: spec.containers              # where in the learner's file
//!     try: Look at kubectl describe pod …
//! diagnoses:                           # states that the check recognises
//!   - name: label-among-annotations
//!     of: labelled
//!     when: pods.exists(p, has(p.metadata.annotations) && …)
//!     patient: false                   # true: only when the check's time is over, for it may heal
//!     says: …
//!     at: metadata.annotations
//!     try: …
//! wrong:                               # answers that the API accepts, and what they are told
//!   - {file: wrong/annotation.yaml, diagnosis: label-among-annotations}
//! ```
//!
//! Beside it lies `task.md`, which the book shows.
//!
//! `objectives: [1, 3]` says which objectives of its lab it practises, and `varies` what differs from grading to grading:
//! see [`super::varied`]. A wrong answer that is only wrong then names a seed: `{file: …, diagnosis: …, seed: 1}`.
//!
//! What the learner writes depends on the kind. For `fix` and `build` it is a manifest, which is applied. For `predict`,
//! `find` and `decide` it is a list of *facts*, a YAML mapping such as `phase: Running`, which is held against what the
//! exercise's own `setup` does: the cluster computes the right answer, it stands nowhere.
//!
//! ```yaml
//! setup: setup.yaml                    # applied before the answer; the learner sees it
//! files: [one.yaml, two.yaml]          # what the commands find in their folder beside the answer; the learner sees them
//! sees: [service, endpoints]           # kinds that expressions see beside Pods and Events, as `services`, `endpoints`
//! checks:
//!   - name: survives
//!     with: {POD: 'pods[0].metadata.name'}             # variables of the shell commands; NAMESPACE is always there
//!     first: kubectl exec $POD -- kill 1               # a fault, or another disturbance, before anything is observed
//!     run: kubectl exec $POD -- cat /data/kept         # observe a command, again and again until it is as it should be
//!     says: still here
//!     exit: 0
//! ```
//!
//! A check observes one thing: `accepted: true`, `until`, `http` or `run`. `accepted` means that kubectl could apply the
//! file; of facts, that there is one for every key of the starter. A `run` is judged by `exit` and `says`, or by an
//! `until` of its own, such as `run.out.contains(string(before.size()))`.
//!
//! Where facts are asked for, everything that is looked at is the exercise's own, so nothing in it can fail by what the
//! learner wrote, and a command there *answers*: it prints what is so (`test -e /data/egg && echo kept || echo gone`),
//! and ends with 0. When it fails, or says nothing, when a `first` fails, or a check of no points (which is about the
//! stage, and not about the answer), then that could not be checked, and is not held against the learner.
//!
//! Expressions see
//!
//! - `pods` and `events`, lists of the exercise's namespace, oldest first, and what `sees` adds;
//! - `before`: the Pods as they were before the check's `first`;
//! - `answer`: the learner's facts (null when the answer is a manifest);
//! - `http` (`{status, body, error}`: one of status and error is null) in a check that makes a request;
//! - `run` (`{exit, out}`) in a check that runs a command. Two outputs, one text.

mod check;
mod diagnosis;
mod hints;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use check::{Check, Http, Observe, Run};
use check::{RawCheck, checks_of, is_variable};
pub use diagnosis::Diagnosis;
use diagnosis::{RawDiagnosis, diagnoses_of};
pub use hints::Hints;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::varied::{Values, Varies};
use crate::api;
use crate::needs::Need;
use crate::yaml::{self, FileError};

/// An exercise: a task, and checks of what the learner's Pods do.
#[derive(Debug)]
pub struct Exercise {
    /// The name of its folder; unique over all labs.
    pub name: String,
    /// The lab it belongs to.
    pub lab: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The heading a learner sees.
    pub title: String,
    /// What the learner does in it.
    pub kind: Kind,
    /// How long a learner needs, in minutes.
    pub minutes: u32,
    /// What the host or the cluster must have.
    pub needs: Vec<Need>,
    /// What the learner's file is called.
    pub answer: String,
    /// What the learner begins with.
    pub starter: PathBuf,
    /// What is there before the answer: a manifest of the exercise's own.
    pub setup: Option<PathBuf>,
    /// What else lies in the folder of its commands.
    pub files: Vec<PathBuf>,
    /// The kinds that expressions see beside Pods and Events.
    pub sees: Vec<api::Kind>,
    /// Answers that pass.
    pub solutions: Vec<PathBuf>,
    /// Answers that are accepted, run, and do not do what was asked.
    pub wrong: Vec<WrongAnswer>,
    /// The place in the book that explains it: `chapter.md#heading`.
    pub section: String,
    /// Three tiers of help.
    pub hints: Hints,
    /// What is checked, in an order in which every check comes after those it depends on.
    pub checks: Vec<Check>,
    /// States that checks recognise.
    pub diagnoses: Vec<Diagnosis>,
    /// The objectives of its lab that it practises, from 1.
    pub objectives: Vec<usize>,
    /// What differs from grading to grading.
    pub varies: Varies,
    /// The values of those variables.
    pub values: Values,
    /// The files its hidden checks come from.
    hidden: Vec<PathBuf>,
}

/// What the learner does in an exercise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Repair a manifest.
    Fix,
    /// Write one from a description.
    Build,
    /// Say beforehand what will happen.
    Predict,
    /// Find a fact in a live system.
    Find,
    /// Choose, and say why.
    Decide,
}

impl Kind {
    /// Whether the answer is a list of facts, and not a manifest.
    pub fn asks_for_facts(self) -> bool {
        match self {
            Kind::Fix | Kind::Build => false,
            Kind::Predict | Kind::Find | Kind::Decide => true,
        }
    }
}

/// A wrong answer, and the diagnosis it must get.
#[derive(Debug)]
pub struct WrongAnswer {
    /// The answer.
    pub file: PathBuf,
    /// The name of a [`Diagnosis`].
    pub diagnosis: String,
    /// It is wrong with the values of this seed, and may pass with those that the learner sees.
    pub seed: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExercise {
    title: String,
    kind: Kind,
    minutes: u32,
    #[serde(default)]
    needs: Vec<Need>,
    answer: String,
    starter: Spanned<String>,
    setup: Option<Spanned<String>>,
    #[serde(default)]
    files: Vec<Spanned<String>>,
    #[serde(default)]
    sees: Vec<api::Kind>,
    solutions: Vec<Spanned<String>>,
    section: String,
    hints: Hints,
    checks: Vec<Spanned<RawCheck>>,
    diagnoses: Vec<Spanned<RawDiagnosis>>,
    wrong: Spanned<Vec<Spanned<RawWrong>>>,
    #[serde(default)]
    objectives: Vec<usize>,
    #[serde(default)]
    varies: Varies,
}

/// Of an exercise only what differs, which the rest may name.
#[derive(Deserialize)]
struct Varying {
    #[serde(default)]
    varies: Varies,
}

/// `hidden/EXERCISE.yaml` of a pack.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHidden {
    checks: Vec<Spanned<RawCheck>>,
    #[serde(default)]
    diagnoses: Vec<Spanned<RawDiagnosis>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWrong {
    file: String,
    diagnosis: String,
    seed: Option<u32>,
}

impl Exercise {
    /// Reads the exercise in `folder`.
    ///
    /// # Errors
    ///
    /// When a file is missing or says something that cannot be; with the line.
    pub fn load(name: &str, lab: &str, folder: &Path) -> Result<Exercise, FileError> {
        load(name, lab, folder, None)
    }

    /// The exercise with the values that a grading with `seed` uses; `None` when nothing varies.
    ///
    /// # Errors
    ///
    /// When a file cannot be used any more, or not with these values.
    pub fn varied(&self, seed: u32) -> Result<Option<Exercise>, FileError> {
        if self.varies.is_empty() {
            return Ok(None);
        }
        let mut varied = load(&self.name, &self.lab, &self.folder, Some(seed))?;
        for file in &self.hidden {
            varied.hide(file)?;
        }
        Ok(Some(varied))
    }

    /// Adds the hidden checks in `path`.
    pub(super) fn hide(&mut self, path: &Path) -> Result<(), FileError> {
        let text = self.read(path)?;
        let raw: RawHidden = yaml::decode(path, &text)?;
        let shown = self.checks.len();
        checks_of(raw.checks, path, &text, &mut self.checks)?;
        for check in &mut self.checks[shown..] {
            check.hidden = true;
        }
        diagnoses_of(raw.diagnoses, path, &text, &self.checks, &mut self.diagnoses)?;
        self.hidden.push(path.to_owned());
        Ok(())
    }

    /// Reads one of its files, with the values in their places.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&self, file: &Path) -> Result<String, FileError> {
        yaml::read(file).map(|text| self.values.fill(&text))
    }

    /// All points together.
    pub fn points(&self) -> u32 {
        self.checks.iter().map(|check| check.points).sum()
    }

    /// The diagnoses of a check.
    pub fn diagnoses_of<'a>(&'a self, check: &'a Check) -> impl Iterator<Item = &'a Diagnosis> {
        self.diagnoses.iter().filter(move |diagnosis| diagnosis.of == check.name)
    }
}

fn load(name: &str, lab: &str, folder: &Path, seed: Option<u32>) -> Result<Exercise, FileError> {
    let path = folder.join("exercise.yaml");
    let text = yaml::read(&path)?;
    yaml::read(&folder.join("task.md"))?;
    // Decoded strictly below; before that it only has to be YAML.
    let varies = yaml::decode::<Varying>(&path, &text)?.varies;
    for (variable, range) in &varies {
        let fault = if is_variable(variable) { range.fault() } else { Some("use capitals, digits and _") };
        if let Some(fault) = fault {
            let message = format!("the variable {variable:?}: {fault}");
            return Err(FileError::Decode { path, message });
        }
    }
    let values = match seed {
        Some(seed) => Values::drawn(&varies, name, seed),
        None => Values::shown(&varies),
    };
    decode(name, lab, folder, &path, &values.fill(&text), values)
}

fn decode(
    name: &str,
    lab: &str,
    folder: &Path,
    path: &Path,
    text: &str,
    values: Values,
) -> Result<Exercise, FileError> {
    let raw: RawExercise = yaml::decode(path, text)?;
    let wrong_at = |at: Location, title: &str, label: &str| yaml::invalid(path, text, at, title, label);
    let file = |file: &str, at: Location| match folder.join(file) {
        found if found.is_file() => Ok(found),
        _ => Err(wrong_at(at, "a file is missing", "there is no such file beside exercise.yaml")),
    };
    let (mut checks, mut diagnoses) = (Vec::with_capacity(raw.checks.len()), Vec::with_capacity(raw.diagnoses.len()));
    checks_of(raw.checks, path, text, &mut checks)?;
    diagnoses_of(raw.diagnoses, path, text, &checks, &mut diagnoses)?;
    if raw.kind.asks_for_facts()
        && let Some(check) = checks.iter().find(|check| check.looks_at_the_end())
    {
        let message = format!("the check {}: the command of a question prints its answer and ends with 0", check.name);
        return Err(FileError::Decode { path: path.to_owned(), message });
    }

    if raw.wrong.value.len() < 2 {
        let label = "catalogue at least two answers that run and are wrong";
        return Err(wrong_at(raw.wrong.referenced, "too few wrong answers", label));
    }
    let mut wrong = Vec::with_capacity(raw.wrong.value.len());
    let mut shown = BTreeSet::new();
    for answer in raw.wrong.value {
        let at = answer.referenced;
        if !diagnoses.iter().any(|diagnosis| diagnosis.name == answer.value.diagnosis) {
            return Err(wrong_at(at, "a wrong answer without its diagnosis", "no diagnosis has this name"));
        }
        if !shown.insert(answer.value.diagnosis.clone()) {
            return Err(wrong_at(at, "two wrong answers, one diagnosis", "an earlier answer is told the same"));
        }
        let RawWrong { file: name, diagnosis, seed } = answer.value;
        wrong.push(WrongAnswer { file: file(&name, at)?, diagnosis, seed });
    }

    let files = |files: &[Spanned<String>]| {
        files.iter().map(|found| file(&found.value, found.referenced)).collect::<Result<Vec<PathBuf>, FileError>>()
    };
    Ok(Exercise {
        name: name.to_owned(),
        lab: lab.to_owned(),
        folder: folder.to_owned(),
        title: raw.title,
        kind: raw.kind,
        minutes: raw.minutes,
        needs: raw.needs,
        answer: raw.answer,
        starter: file(&raw.starter.value, raw.starter.referenced)?,
        setup: raw.setup.map(|setup| file(&setup.value, setup.referenced)).transpose()?,
        sees: raw.sees,
        files: files(&raw.files)?,
        solutions: files(&raw.solutions)?,
        wrong,
        section: raw.section,
        hints: raw.hints,
        checks,
        diagnoses,
        objectives: raw.objectives,
        varies: raw.varies,
        values,
        hidden: Vec::new(),
    })
}
