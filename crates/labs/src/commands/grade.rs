//! `podlab grade`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;

use super::{Outcome, check, interrupted};
use crate::format::{Exercise, Library};
use crate::results::{self, ExerciseResult, Results};
use crate::runner::RunError;
use crate::workspace::Workspace;
use crate::workspace::progress::{Entry, Progress};
use crate::workspace::submission::submitted;
use crate::{Cluster, Workbook, grade, yaml};

/// The exercises that are graded at the same time: most of a grading is waiting.
const AT_ONCE: usize = 4;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultFormat {
    /// For people.
    Text,
    /// [`results`].
    Json,
    /// JUnit XML.
    Junit,
}

/// What `podlab grade` is told.
#[derive(Clone, Debug)]
pub struct GradeOptions {
    /// Whose workspace it is [default: the name of its folder].
    pub who: Option<String>,
    /// What the varied values come from [default: any].
    pub seed: Option<u32>,
    /// How results are written.
    pub format: ResultFormat,
    /// Colour what is written.
    pub colour: bool,
}

/// `podlab grade DIR`: grades every exercise of a workspace. Of the folder only the answers and the progress are read.
///
/// # Errors
///
/// When the folder holds no exercise at all, or the labs cannot be read.
pub async fn grade_workspace(
    workbook: &Workbook,
    root: &Path,
    cluster: &Cluster,
    options: &GradeOptions,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Outcome> {
    let library = Library::of(workbook)?;
    let root = std::path::absolute(root)?;
    let root = Workspace::find(&root).map_or(root, |workspace| workspace.root().to_owned());
    if !library.exercises().iter().any(|exercise| root.join(&exercise.name).is_dir()) {
        anyhow::bail!("{} has no folder of any exercise; podlab init DIR makes a workspace", root.display());
    }
    let seed = options.seed.unwrap_or_else(any_seed);
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
    let who = options.who.clone().or(name).unwrap_or_default();
    let reachable = check::answers(cluster).await.map_err(|error| RunError::Api(error).to_string());
    let grading =
        Grading { root: &root, progress: progress(&root), cluster, seed, reachable, stopped: AtomicBool::new(false) };
    let graded = library.exercises().iter().map(|exercise| grading.exercise(exercise));
    let exercises: Vec<anyhow::Result<ExerciseResult>> =
        futures_util::stream::iter(graded).buffered(AT_ONCE).collect().await;
    let exercises = exercises.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let results = Results::new(who, seed, exercises);
    let text = match options.format {
        ResultFormat::Text => results::text(&results, options.colour),
        ResultFormat::Json => serde_json::to_string_pretty(&results)? + "\n",
        ResultFormat::Junit => results::junit(&results),
    };
    out.write_all(text.as_bytes())?;
    Ok(results.outcome())
}

fn any_seed() -> u32 {
    let [a, b, c, d, ..] = *uuid::Uuid::new_v4().as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The learner's own record. It decides nothing, so one that cannot be read is as good as none.
fn progress(root: &Path) -> Progress {
    let file = root.join("progress.txt");
    let linked = file.symlink_metadata().map_or(true, |about| !about.is_file());
    if linked {
        return Progress::default();
    }
    yaml::read(&file).ok().and_then(|text| Progress::parse(&text).ok()).unwrap_or_default()
}

struct Grading<'a> {
    root: &'a Path,
    progress: Progress,
    cluster: &'a Cluster,
    seed: u32,
    /// Why the cluster cannot be asked.
    reachable: Result<(), String>,
    stopped: AtomicBool,
}

impl Grading<'_> {
    async fn exercise(&self, exercise: &Exercise) -> anyhow::Result<ExerciseResult> {
        let entry = self.progress.of(&exercise.name);
        let answer = match submitted(self.root, exercise) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(ExerciseResult::not_begun(exercise, entry, None)),
            Err(reason) => return Ok(ExerciseResult::not_begun(exercise, entry, Some(reason))),
        };
        if exercise.read(&exercise.starter)?.trim() == answer.trim() {
            return Ok(ExerciseResult::not_begun(exercise, entry, None));
        }
        Ok(match exercise.varied(self.seed)? {
            Some(varied) => self.answer(&varied, entry, &answer).await,
            None => self.answer(exercise, entry, &answer).await,
        })
    }

    async fn answer(&self, exercise: &Exercise, entry: Entry, answer: &str) -> ExerciseResult {
        let unchecked = |reason: &str| ExerciseResult::graded(exercise, entry, &grade::unchecked(exercise, reason));
        if let Err(reason) = &self.reachable {
            return unchecked(reason);
        }
        if self.stopped.load(Ordering::Relaxed) {
            return unchecked("the grading was interrupted");
        }
        let stop = async {
            interrupted().await;
            self.stopped.store(true, Ordering::Relaxed);
        };
        let path = PathBuf::from(&exercise.name).join(&exercise.answer);
        let grade = grade::grade(exercise, &path, answer, self.cluster, stop).await;
        ExerciseResult::graded(exercise, entry, &grade)
    }
}
