//! What `podlab grade` writes: the results of one learner's workspace.
//!
//! As JSON it is an object with these members; `schema` is `podlab.results/1`. A later version of Podlab adds members, and
//! takes another number when one goes or changes its meaning; who reads it ignores those they do not know.
//!
//! | member | is |
//! |---|---|
//! | `who` | whose: the name of the folder, or what `--who` says |
//! | `seed` | what the varied values came from; the same seed gives the same grading |
//! | `points` | `got` and `of`, over all exercises |
//! | `exercises` | a list, in the order of the labs |
//! | `exercises[].ended` | `passed`, `failed`, `could-not-check` or `not-begun` (missing, or still the starter: no points) |
//! | `exercises[].because` | why an answer that is there was not taken: a link, say |
//! | `exercises[].hints`, `.solution` | from the learner's progress file, which the learner can edit: the highest tier that was read; `unseen`, `after-passing` or `gave-up` |
//! | `exercises[].checks[].verdict` | `passed`, `failed`, `skipped` or `could-not-check` |
//! | `exercises[].checks[].because` | the check that did not pass, of a skipped one; the reason, of one that could not be made |
//! | `exercises[].checks[].feedback` | of a failed one: `diagnosis` (a name, or null), `says`, `expected`, `observed`, `evidence`, `next`, `section` |
//! | `exercises[].checks[].hidden` | whether it stands in a pack that learners do not have |

mod csv;
mod html;
mod junit;
mod text;

use serde::{Deserialize, Serialize};

pub use self::csv::csv;
pub use self::html::html;
pub use self::junit::junit;
pub use self::text::text;
use crate::commands::Outcome;
use crate::format::Exercise;
use crate::grade::{Grade, Verdict};
use crate::workspace::progress::Entry;

/// The value of [`Results::schema`].
pub const SCHEMA: &str = "podlab.results/1";

/// The results of one workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: String,
    /// Whose they are.
    pub who: String,
    /// What the varied values came from.
    pub seed: u32,
    /// Over all exercises.
    pub points: Points,
    /// In the order of the labs.
    pub exercises: Vec<ExerciseResult>,
}

/// Points, and how many there were to be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the struct says it")]
pub struct Points {
    pub got: u32,
    pub of: u32,
}

/// The result of one exercise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the module says it")]
pub struct ExerciseResult {
    pub exercise: String,
    pub lab: String,
    pub title: String,
    pub ended: Ended,
    pub points: Points,
    pub hints: u8,
    pub solution: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    pub checks: Vec<CheckResult>,
}

/// How an exercise ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Ended {
    Passed,
    Failed,
    CouldNotCheck,
    NotBegun,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the module says it")]
pub struct CheckResult {
    pub check: String,
    pub title: String,
    pub verdict: String,
    pub points: Points,
    #[serde(default)]
    pub hidden: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Feedback>,
}

/// What a learner is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the module says it")]
pub struct Feedback {
    pub diagnosis: Option<String>,
    pub says: Option<String>,
    pub expected: String,
    pub observed: String,
    pub evidence: Vec<String>,
    pub next: String,
    pub section: String,
}

impl Ended {
    /// The word in files.
    pub fn word(self) -> &'static str {
        match self {
            Ended::Passed => "passed",
            Ended::Failed => "failed",
            Ended::CouldNotCheck => "could-not-check",
            Ended::NotBegun => "not-begun",
        }
    }
}

impl Results {
    /// The results of these exercises.
    pub fn new(who: String, seed: u32, exercises: Vec<ExerciseResult>) -> Results {
        let sum = |value: fn(&Points) -> u32| exercises.iter().map(|result| value(&result.points)).sum();
        let points = Points { got: sum(|points| points.got), of: sum(|points| points.of) };
        Results { schema: SCHEMA.to_owned(), who, seed, points, exercises }
    }

    /// The verdict on the whole: everything passed, or something did not, or something could not be checked.
    pub fn outcome(&self) -> Outcome {
        let any = |ended: Ended| self.exercises.iter().any(|result| result.ended == ended);
        if any(Ended::Failed) || any(Ended::NotBegun) {
            Outcome::Fail
        } else if any(Ended::CouldNotCheck) {
            Outcome::CouldNotCheck
        } else {
            Outcome::Pass
        }
    }
}

impl ExerciseResult {
    /// An exercise that was not begun.
    pub fn not_begun(exercise: &Exercise, progress: Entry, because: Option<String>) -> ExerciseResult {
        ExerciseResult {
            exercise: exercise.name.clone(),
            lab: exercise.lab.clone(),
            title: exercise.title.clone(),
            ended: Ended::NotBegun,
            points: Points { got: 0, of: exercise.points() },
            hints: progress.hints,
            solution: progress.solution.word().to_owned(),
            because,
            checks: Vec::new(),
        }
    }

    /// One that was graded.
    pub fn graded(exercise: &Exercise, progress: Entry, grade: &Grade) -> ExerciseResult {
        let (got, of) = grade.points();
        let ended = match grade.outcome() {
            Outcome::Pass => Ended::Passed,
            Outcome::Fail => Ended::Failed,
            Outcome::CouldNotCheck => Ended::CouldNotCheck,
        };
        let hidden = |name: &str| exercise.checks.iter().any(|check| check.name == name && check.hidden);
        let checks = grade.results.iter().map(|result| CheckResult::of(result, hidden(&result.name))).collect();
        let points = Points { got, of };
        ExerciseResult { ended, points, checks, ..ExerciseResult::not_begun(exercise, progress, None) }
    }

    /// The first check that failed.
    pub fn first_failure(&self) -> Option<&CheckResult> {
        self.checks.iter().find(|check| check.verdict == "failed")
    }
}

impl CheckResult {
    fn of(result: &crate::grade::CheckResult, hidden: bool) -> CheckResult {
        let (verdict, because, feedback) = match &result.verdict {
            Verdict::Passed => ("passed", None, None),
            Verdict::Failed(feedback) => ("failed", None, Some(Feedback::of(feedback))),
            Verdict::Skipped { because } => ("skipped", Some(because.clone()), None),
            Verdict::CouldNotCheck { reason } => ("could-not-check", Some(reason.clone()), None),
        };
        CheckResult {
            check: result.name.clone(),
            title: result.title.clone(),
            verdict: verdict.to_owned(),
            points: Points { got: if verdict == "passed" { result.points } else { 0 }, of: result.points },
            hidden,
            because,
            feedback,
        }
    }
}

impl Feedback {
    fn of(feedback: &crate::grade::Feedback) -> Feedback {
        let (diagnosis, says) = feedback.diagnosis.clone().unzip();
        Feedback {
            diagnosis,
            says,
            expected: feedback.expected.clone(),
            observed: feedback.observed.clone(),
            evidence: feedback.evidence.clone(),
            next: feedback.next.clone(),
            section: feedback.section.clone(),
        }
    }

    /// In one sentence: what it is, or what was expected and seen.
    pub fn reason(&self) -> String {
        match &self.says {
            Some(says) => says.clone(),
            None => format!("expected {}; observed {}", self.expected, self.observed),
        }
    }
}

/// Results for tests of what they are written as.
#[cfg(test)]
fn example() -> Results {
    let check = |check: &str, verdict: &str, got, of| CheckResult {
        check: check.to_owned(),
        title: format!("The Pod is {check}"),
        verdict: verdict.to_owned(),
        points: Points { got, of },
        hidden: false,
        because: (verdict == "skipped" || verdict == "could-not-check").then(|| "ready".to_owned()),
        feedback: (verdict == "failed").then(|| Feedback {
            diagnosis: Some("label-missing".to_owned()),
            says: Some("The Pod has no labels <at all>.".to_owned()),
            expected: "a label".to_owned(),
            observed: "none & nothing".to_owned(),
            evidence: vec!["+0s  Normal  Scheduled".to_owned()],
            next: "Add \"labels\".".to_owned(),
            section: "your-first-pod.md#labels".to_owned(),
        }),
    };
    let exercise = |name: &str, ended, points, checks| ExerciseResult {
        exercise: name.to_owned(),
        lab: "kuard".to_owned(),
        title: format!("Exercise {name}"),
        ended,
        points,
        hints: 2,
        solution: "unseen".to_owned(),
        because: None,
        checks,
    };
    let exercises = vec![
        exercise("first-pod", Ended::Passed, Points { got: 2, of: 2 }, vec![check("there", "passed", 2, 2)]),
        exercise(
            "kuard-ports",
            Ended::Failed,
            Points { got: 1, of: 4 },
            vec![check("there", "passed", 1, 1), check("labelled", "failed", 0, 2), check("found", "skipped", 0, 1)],
        ),
        exercise(
            "limits",
            Ended::CouldNotCheck,
            Points { got: 0, of: 1 },
            vec![check("held", "could-not-check", 0, 1)],
        ),
        exercise("volumes", Ended::NotBegun, Points { got: 0, of: 3 }, Vec::new()),
    ];
    Results::new("=ada, \"the first\"".to_owned(), 7, exercises)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read_and_unknown_members_do_no_harm() {
        let results = example();
        let mut json = serde_json::to_value(&results).unwrap();
        assert_eq!(json["schema"], "podlab.results/1");
        assert_eq!(json["points"], serde_json::json!({"got": 3, "of": 10}));
        assert_eq!(json["exercises"][3]["ended"], "not-begun");
        json["exercises"][0]["of-a-later-version"] = true.into();
        assert_eq!(serde_json::from_value::<Results>(json).unwrap(), results);
    }

    #[test]
    fn the_worst_that_is_known_decides() {
        let mut results = example();
        assert_eq!(results.outcome(), Outcome::Fail);
        results.exercises.retain(|result| result.ended != Ended::Failed);
        assert_eq!(results.outcome(), Outcome::Fail, "what was not begun is not passed");
        results.exercises.retain(|result| result.ended != Ended::NotBegun);
        assert_eq!(results.outcome(), Outcome::CouldNotCheck);
        results.exercises.retain(|result| result.ended != Ended::CouldNotCheck);
        assert_eq!(results.outcome(), Outcome::Pass);
    }

    #[test]
    fn the_texts() {
        insta::assert_snapshot!("text", text(&example(), false));
        insta::assert_snapshot!("junit", junit(&example()));
        let mut second = example();
        second.who = "grace".to_owned();
        insta::assert_snapshot!("class_csv", csv(&[example(), second.clone()]));
        insta::assert_snapshot!("class_html", html(&[example(), second]));
    }
}
