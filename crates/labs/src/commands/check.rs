//! `podlab check`

use std::io::Write;
use std::path::Path;

use k8s_openapi::api::core::v1::Namespace;
use podlab_client::Client;

use super::choose::{Asked, choose, shown};
use super::{Outcome, RunOptions, interrupted};
use crate::format::{Exercise, Library};
use crate::grade::{Grade, Graded};
use crate::runner::RunError;
use crate::words::count;
use crate::workspace::{Workspace, WorkspaceError};
use crate::{Cluster, Workbook, grade, yaml};

/// `podlab check [EXERCISE] [FILE]`: grades a learner's file, and in a workspace records the result.
///
/// # Errors
///
/// When the exercise does not exist or the file cannot be read. A cluster that does not answer is not an error: it is
/// [`Outcome::CouldNotCheck`].
pub async fn check(
    workbook: &Workbook,
    asked: Asked<'_>,
    file: Option<&Path>,
    cluster: &Cluster,
    options: RunOptions,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Outcome> {
    let library = Library::of(workbook)?;
    let chosen = choose(&library, asked)?;
    let varied = options.seed.map(|seed| chosen.exercise.varied(seed)).transpose()?.flatten();
    let exercise = varied.as_ref().unwrap_or(chosen.exercise);
    let own = chosen.answer(asked.here);
    let file = file.unwrap_or(&own);
    let answer = yaml::read(&asked.here.join(file)).map_err(|error| {
        let begin = match &chosen.workspace {
            Some(_) => format!("podlab reset {}", exercise.name),
            None => format!("cp {} {}", exercise.starter.display(), exercise.answer),
        };
        anyhow::anyhow!("{error}\nbegin with the starter: {begin}")
    })?;
    writeln!(out, "{}: checking {} …", exercise.title, file.display())?;
    out.flush()?;
    if let Err(error) = answers(cluster).await {
        // Once, and not for each check.
        writeln!(out, "could not check: {}", RunError::Api(error))?;
        return Ok(Outcome::CouldNotCheck);
    }
    let graded = grade::graded(exercise, file, &answer, cluster, interrupted()).await;
    let grade = tell(graded, options.colour, out).await?;
    let outcome = grade.outcome();
    // Another file than the workspace's own is a try, and no progress.
    if let Some(workspace) = chosen.workspace.filter(|_| file == own) {
        record(&workspace, exercise, &grade)?;
        let next = workspace.next(&library, Some(exercise))?;
        match (outcome, next) {
            (Outcome::CouldNotCheck, _) => {}
            (Outcome::Fail, _) => writeln!(out, "a hint: podlab hint {}", exercise.name)?,
            (Outcome::Pass, Some(next)) => {
                let task = shown(&workspace.folder(next).join("task.md"), asked.here);
                writeln!(out, "next: {}, {}: {}", next.title, count(next.minutes, "minute"), task.display())?;
            }
            (Outcome::Pass, None) => writeln!(out, "That was the last one: every exercise is passed.")?,
        }
    }
    Ok(outcome)
}

/// Tells a grade as soon as it is known, and then takes away what it made. Should that fail, all is told again: it is not a
/// pass any more.
pub(super) async fn tell(graded: Graded, colour: bool, out: &mut (dyn Write + Send)) -> anyhow::Result<Grade> {
    report(&graded.grade, colour, out)?;
    let known = graded.grade.results.len();
    let grade = graded.clean().await;
    if grade.results.len() > known {
        report(&grade, colour, out)?;
    }
    Ok(grade)
}

fn report(grade: &Grade, colour: bool, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let mut text = Vec::new();
    grade::report(grade, colour, &mut text)?;
    out.write_all(&text)?;
    Ok(out.flush()?)
}

/// Writes a result into the progress; what could not be checked is no result.
pub(super) fn record(workspace: &Workspace, exercise: &Exercise, grade: &Grade) -> Result<(), WorkspaceError> {
    let passed = match grade.outcome() {
        Outcome::CouldNotCheck => return Ok(()),
        outcome => outcome == Outcome::Pass,
    };
    workspace.change(|progress| progress.change(&exercise.name, |entry| entry.count(passed, grade.points())))
}

/// Whether the cluster can be asked for anything at all.
pub(super) async fn answers(cluster: &Cluster) -> Result<(), podlab_client::Error> {
    Client::from_kubeconfig(&cluster.kubeconfig)?.get::<Namespace>(None, "default").await.map(drop)
}
