//! Grades a learner's file by what its Pods do.
//!
//! The file is applied to a fresh namespace; the checks look at what comes of it, through the API only, so a grade on a
//! borrowed cluster is the same grade. How the file is spelt is never looked at: any manifest that behaves passes.

mod changes;
mod command;
mod evidence;
mod facts;
mod http;
mod locate;
mod namespace;
mod report;
mod run;

pub use locate::{Found, Manifest};
pub use report::{report, verdict};
pub use run::{Graded, grade, graded, unchecked};

use crate::commands::Outcome;

/// The result of grading one file.
#[derive(Debug)]
pub struct Grade {
    /// The exercise.
    pub exercise: String,
    /// A result for every check, in order.
    pub results: Vec<CheckResult>,
}

/// The result of one check.
#[derive(Debug)]
pub struct CheckResult {
    /// The check's name.
    pub name: String,
    /// What holds when it passes.
    pub title: String,
    /// What it is worth.
    pub points: u32,
    /// How it ended.
    pub verdict: Verdict,
}

/// How a check ended.
#[derive(Debug)]
pub enum Verdict {
    /// What it looks for is so.
    Passed,
    /// It is not, and this is what to tell the learner.
    Failed(Box<Feedback>),
    /// It would mean nothing, for another check did not pass.
    Skipped {
        /// The name of that check.
        because: String,
    },
    /// It could not be made; that is neither passed nor failed.
    CouldNotCheck {
        /// Why not.
        reason: String,
    },
}

/// What a learner is told about a check that failed. It always has the same shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// The name of the state that was recognised, and what it is.
    pub diagnosis: Option<(String, String)>,
    /// What should have been seen.
    pub expected: String,
    /// What was seen.
    pub observed: String,
    /// Events, oldest first, with times relative to the first.
    pub evidence: Vec<String>,
    /// The lines of the learner's file that it comes from.
    pub location: Option<String>,
    /// One thing to try next.
    pub next: String,
    /// Where the book explains it.
    pub section: String,
}

impl Grade {
    /// The points of the checks that passed, and all points.
    pub fn points(&self) -> (u32, u32) {
        let passed = self.results.iter().filter(|result| matches!(result.verdict, Verdict::Passed));
        (passed.map(|result| result.points).sum(), self.results.iter().map(|result| result.points).sum())
    }

    /// The verdict on the file. A check that failed decides; else one that could not be made.
    pub fn outcome(&self) -> Outcome {
        let any = |is: fn(&Verdict) -> bool| self.results.iter().any(|result| is(&result.verdict));
        if any(|verdict| matches!(verdict, Verdict::Failed(_))) {
            Outcome::Fail
        } else if any(|verdict| !matches!(verdict, Verdict::Passed)) {
            Outcome::CouldNotCheck
        } else {
            Outcome::Pass
        }
    }

    /// The names of the diagnoses that were made.
    pub fn diagnoses(&self) -> impl Iterator<Item = &str> {
        self.results.iter().filter_map(|result| match &result.verdict {
            Verdict::Failed(feedback) => feedback.diagnosis.as_ref().map(|(name, _)| name.as_str()),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grade(verdicts: Vec<Verdict>) -> Grade {
        let result = |verdict| CheckResult { name: "a".into(), title: "b".into(), points: 2, verdict };
        Grade { exercise: "e".into(), results: verdicts.into_iter().map(result).collect() }
    }

    fn failed() -> Verdict {
        Verdict::Failed(Box::new(Feedback {
            diagnosis: None,
            expected: String::new(),
            observed: String::new(),
            evidence: Vec::new(),
            location: None,
            next: String::new(),
            section: String::new(),
        }))
    }

    #[test]
    fn could_not_check_is_not_passed_and_not_failed() {
        let unchecked = || Verdict::CouldNotCheck { reason: "no cluster".into() };
        let skipped = || Verdict::Skipped { because: "a".into() };
        assert_eq!(grade(vec![Verdict::Passed, Verdict::Passed]).outcome(), Outcome::Pass);
        assert_eq!(grade(vec![Verdict::Passed, unchecked(), skipped()]).outcome(), Outcome::CouldNotCheck);
        assert_eq!(grade(vec![unchecked(), failed()]).outcome(), Outcome::Fail);
        assert_eq!(grade(vec![failed(), skipped()]).outcome(), Outcome::Fail);
        assert_eq!(grade(vec![Verdict::Passed, unchecked()]).points(), (2, 4));
    }
}
