//! What the commands `podlab lab`, `podlab check` and `podlab book` do.
//!
//! Everything a learner reads is written to `out`; what is returned decides the exit status.

use std::io::Write;
use std::path::Path;

use k8s_openapi::api::core::v1::Namespace;
use podlab_client::Client;

pub use self::book::{book_build, book_preprocess, book_router, book_serve};
pub use self::lab::{lab_list, lab_run, lab_verify};
use crate::format::Library;
use crate::runner::RunError;
use crate::{Cluster, Workbook, grade, yaml};

mod book;
mod lab;

/// How `podlab lab run` behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Go on without waiting for Enter before each command.
    pub auto: bool,
    /// Colour what is written; the caller knows whether it is a terminal.
    pub colour: bool,
}

/// How an exercise, or a whole verification, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything that was checked holds.
    Pass,
    /// Something does not hold.
    Fail,
    /// The checks could not be made: no cluster, or the host refuses what they need. Never counts as passed.
    CouldNotCheck,
}

impl Outcome {
    /// The exit status of the command: 0, 1 or 2.
    pub fn exit_code(self) -> u8 {
        self as u8
    }
}

/// `podlab check EXERCISE [FILE]`: grades a learner's file; without one, the exercise's answer file in the current folder.
///
/// # Errors
///
/// When the exercise does not exist or the file cannot be read. A cluster that does not answer is not an error: it is
/// [`Outcome::CouldNotCheck`].
pub async fn check(
    workbook: &Workbook,
    exercise: &str,
    file: Option<&Path>,
    cluster: &Cluster,
    options: RunOptions,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Outcome> {
    let library = Library::load(&workbook.labs())?;
    let exercise = library.exercise(exercise)?;
    let file = file.unwrap_or_else(|| Path::new(&exercise.answer));
    let answer = yaml::read(file).map_err(|error| {
        anyhow::anyhow!("{error}\nbegin with the starter: cp {} {}", exercise.starter.display(), exercise.answer)
    })?;
    writeln!(out, "{}: checking {} …", exercise.title, file.display())?;
    out.flush()?;
    if let Err(error) = answers(cluster).await {
        // Once, and not for each check.
        writeln!(out, "could not check: {}", RunError::Api(error))?;
        return Ok(Outcome::CouldNotCheck);
    }
    let grade = grade::grade(exercise, file, &answer, cluster).await;
    let mut text = Vec::new();
    grade::report(&grade, options.colour, &mut text)?;
    out.write_all(&text)?;
    Ok(grade.outcome())
}

/// Whether the cluster can be asked for anything at all.
async fn answers(cluster: &Cluster) -> Result<(), podlab_client::Error> {
    Client::from_kubeconfig(&cluster.kubeconfig)?.get::<Namespace>(None, "default").await.map(drop)
}

/// Resolves at Ctrl-C, or when we are asked to end: whoever waits for it then undoes what was done.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
