//! The answers of an exercise, graded on a cluster: solutions pass, the starter fails, and each wrong answer gets its own
//! diagnosis.

use std::path::Path;

use super::Finding;
use crate::Cluster;
use crate::commands::Outcome;
use crate::format::{Exercise, WrongAnswer};
use crate::grade::{self, Grade};
use crate::yaml::FileError;

/// The seed with which solutions are tried when something varies, beside the values that learners see.
const SEED: u32 = 1;

/// One of the answers that lie beside an exercise.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// It passes, with what learners see or with the values of a seed.
    Solution(&'a Path, Option<u32>),
    /// It fails.
    Starter(&'a Path),
    /// It fails with its diagnosis.
    Wrong(&'a WrongAnswer),
}

/// All answers of an exercise.
pub fn answers(exercise: &Exercise) -> impl Iterator<Item = Answer<'_>> {
    let varied = (!exercise.varies.is_empty()).then_some(Some(SEED));
    let solutions = exercise.solutions.iter();
    let solutions =
        solutions.flat_map(move |file| std::iter::once(None).chain(varied).map(|seed| Answer::Solution(file, seed)));
    let wrong = exercise.wrong.iter().map(Answer::Wrong);
    solutions.chain([Answer::Starter(&exercise.starter)]).chain(wrong)
}

impl<'a> Answer<'a> {
    /// Its file.
    pub fn file(&self) -> &'a Path {
        match self {
            Answer::Solution(file, _) | Answer::Starter(file) => file,
            Answer::Wrong(wrong) => &wrong.file,
        }
    }

    fn seed(&self) -> Option<u32> {
        match self {
            Answer::Solution(_, seed) => *seed,
            Answer::Starter(_) => None,
            Answer::Wrong(wrong) => wrong.seed,
        }
    }

    /// Grades it.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub async fn grade(
        &self,
        exercise: &Exercise,
        cluster: &Cluster,
        stop: impl Future<Output = ()>,
    ) -> Result<Grade, FileError> {
        let varied = self.seed().map(|seed| exercise.varied(seed)).transpose()?.flatten();
        let text = match self {
            // What a learner begins with has the values in it.
            Answer::Starter(file) => exercise.read(file)?,
            _ => crate::yaml::read(self.file())?,
        };
        let exercise = varied.as_ref().unwrap_or(exercise);
        Ok(grade::grade(exercise, Path::new(&exercise.answer), &text, cluster, stop).await)
    }

    /// What is wrong with its grade, given as it reads for a learner.
    pub fn judge(&self, exercise: &Exercise, grade: &Grade, report: &str) -> Option<Finding> {
        let (got, all) = grade.points();
        let seed = self.seed().map(|seed| format!(", with seed {seed}")).unwrap_or_default();
        let wrong = match self {
            Answer::Solution(..) if grade.outcome() != Outcome::Pass || got != all => {
                "a solution does not pass".to_owned()
            }
            Answer::Starter(_) if grade.outcome() != Outcome::Fail => "the starter does not fail".to_owned(),
            Answer::Wrong(WrongAnswer { diagnosis, .. }) => {
                let diagnoses: Vec<&str> = grade.diagnoses().collect();
                if grade.outcome() == Outcome::Fail && diagnoses == [diagnosis.as_str()] {
                    return None;
                }
                format!("a wrong answer is not told {diagnosis:?}")
            }
            Answer::Solution(..) | Answer::Starter(_) => return None,
        };
        let what = format!("{wrong}{seed}: {}\n{report}", self.file().display());
        Some(Finding { place: exercise.name.clone(), what })
    }
}
