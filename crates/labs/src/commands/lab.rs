//! `podlab lab list`, `run`, `shell` and `verify`.

use std::ffi::OsStr;
use std::io::Write;

use anyhow::Context;

use similar::TextDiff;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::{Outcome, RunOptions, interrupted};
use crate::format::{Lab, Library, Step};
use crate::paint::Paint;
use crate::runner::{RunError, Runner, Shell, Stream};
use crate::{Cluster, Workbook, snapshot};

/// `podlab lab list`: the labs in order, with their minutes and exercises.
///
/// # Errors
///
/// When a lab cannot be read.
pub fn lab_list(workbook: &Workbook, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let library = Library::of(workbook)?;
    let width = library.labs().iter().map(|lab| lab.name.len()).max().unwrap_or(0);
    for lab in library.labs() {
        writeln!(out, "{:width$}   {:3} min   {}", lab.name, lab.minutes, lab.title)?;
        for exercise in library.exercises().iter().filter(|exercise| exercise.lab == lab.name) {
            let points = exercise.points();
            writeln!(
                out,
                "{:width$}   {:3} min   exercise {}, {points} points: {}",
                "", exercise.minutes, exercise.name, exercise.title
            )?;
        }
    }
    writeln!(out, "\npodlab lab run LAB goes through one; podlab check EXERCISE grades your file.")?;
    Ok(())
}

/// `podlab lab run LAB`: shows each command, waits for Enter on `input`, runs it and prints what it prints, live.
///
/// Whatever happens, Ctrl-C included, what the lab creates is deleted again.
///
/// # Errors
///
/// When the lab cannot be read or a command cannot be started.
pub async fn lab_run(
    workbook: &Workbook,
    lab: &str,
    cluster: &Cluster,
    options: RunOptions,
    input: &mut (dyn AsyncBufRead + Unpin + Send),
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Outcome> {
    let library = Library::of(workbook)?;
    let lab = library.lab(lab)?;
    let paint = Paint { colour: options.colour };
    let mut runner = Runner::new(lab.clone(), &library.folder(lab), cluster)?;
    writeln!(out, "{}\n{}", paint.bold(&lab.title), paint.dim(&format!("{} minutes", lab.minutes)))?;
    if let Err(error) = runner.clear().await {
        writeln!(out, "\n{}", paint.bad(&error.to_string()))?;
        return Ok(Outcome::CouldNotCheck);
    }
    let ended = tokio::select! {
        ended = walk(lab, &mut runner, options, paint, input, out) => Some(ended),
        () = interrupted() => None,
    };
    let cleaned = runner.clean().await;
    let outcome = match ended {
        Some(Ok(())) => {
            writeln!(out, "\n{}", paint.good("Done. The lab has removed what it made."))?;
            Outcome::Pass
        }
        Some(Err(Ended::Run(error))) => {
            writeln!(out, "\n{}", paint.bad(&error.to_string()))?;
            outcome_of(&error)
        }
        Some(Err(Ended::Write(error))) => return Err(error.into()),
        Some(Err(Ended::Quit)) | None => {
            writeln!(out, "\nStopped. The lab has removed what it made.")?;
            Outcome::CouldNotCheck
        }
    };
    cleaned?;
    Ok(outcome)
}

/// Why a walk through a lab ended early.
enum Ended {
    Run(RunError),
    Write(std::io::Error),
    /// The reader said so, or the input ended.
    Quit,
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Ended {
        Ended::Write(error)
    }
}

async fn walk(
    lab: &Lab,
    runner: &mut Runner,
    options: RunOptions,
    paint: Paint,
    input: &mut (dyn AsyncBufRead + Unpin + Send),
    out: &mut (dyn Write + Send),
) -> Result<(), Ended> {
    for (position, step) in lab.steps.iter().enumerate() {
        match step {
            Step::Note(text) => writeln!(out, "\n{}", text.trim())?,
            Step::Run(crate::format::Command { command, .. })
            | Step::Start(crate::format::Background { command, .. }) => {
                write!(out, "\n{}", paint.bold(&format!("$ {}", command.trim_end())))?;
                if !options.auto {
                    write!(out, "{}", paint.dim("   (Enter runs it, q stops)"))?;
                    out.flush()?;
                    let mut line = String::new();
                    let read = input.read_line(&mut line).await?;
                    if read == 0 || line.trim() == "q" {
                        return Err(Ended::Quit);
                    }
                } else {
                    writeln!(out)?;
                }
            }
            Step::Wait(wait) => {
                writeln!(out, "{}", paint.dim(&format!("  … until of {}: {}", wait.object, wait.until.source())))?;
            }
            Step::Stop(stop) => writeln!(out, "{}", paint.dim(&format!("  … ends {}", stop.name)))?,
        }
        out.flush()?;
        let mut failed = Ok(());
        let mut live = |_: Stream, bytes: &[u8]| {
            if failed.is_ok() {
                failed = out.write_all(bytes).and_then(|()| out.flush());
            }
        };
        runner.step(position, &mut live).await.map_err(Ended::Run)?;
        failed?;
    }
    Ok(())
}

/// `podlab lab shell LAB`: `shell` with the lab's files and environment. Returns its exit status.
///
/// # Errors
///
/// When the lab cannot be read, the cluster does not answer, or the shell cannot be started.
pub async fn lab_shell(
    workbook: &Workbook,
    lab: &str,
    cluster: &Cluster,
    shell: &OsStr,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    let library = Library::of(workbook)?;
    let lab = library.lab(lab)?;
    super::check::answers(cluster).await.map_err(RunError::Api)?;
    let place = Shell::new(cluster, &library.folder(lab))
        .map_err(|source| RunError::Files { lab: lab.name.clone(), source })?;
    writeln!(out, "{}: a copy of its files is the current folder, and goes with the shell. exit ends it.", lab.title)?;
    out.flush()?;
    let mut child = place.interactive(shell).spawn().with_context(|| format!("cannot start {}", shell.display()))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            // Ctrl-C is for the shell, which has got it too.
            () = interrupted() => {}
        }
    };
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// `podlab lab verify [LAB…]`: runs the labs (all, when none is named) and compares with their snapshots.
///
/// # Errors
///
/// When a lab cannot be read or a command cannot be started.
pub async fn lab_verify(
    workbook: &Workbook,
    labs: &[String],
    cluster: &Cluster,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Outcome> {
    let library = Library::of(workbook)?;
    let chosen = match labs {
        [] => library.labs().iter().collect(),
        names => names.iter().map(|name| library.lab(name)).collect::<Result<Vec<_>, _>>()?,
    };
    let mut worst = Outcome::Pass;
    for lab in chosen {
        write!(out, "{} … ", lab.name)?;
        out.flush()?;
        let mut runner = Runner::new(lab.clone(), &library.folder(lab), cluster)?;
        if let Err(error) = runner.clear().await {
            writeln!(out, "could not check\n{}", indented(&error.to_string()))?;
            worst = worst.max(Outcome::CouldNotCheck);
            continue;
        }
        let ended = tokio::select! {
            ended = compare(&library, lab, &mut runner) => Some(ended),
            () = interrupted() => None,
        };
        runner.clean().await?;
        let outcome = match ended {
            Some(Ok(differences)) if differences.is_empty() => {
                writeln!(out, "as recorded")?;
                Outcome::Pass
            }
            Some(Ok(differences)) => {
                writeln!(out, "differs\n{}", indented(&differences.join("\n")))?;
                Outcome::Fail
            }
            Some(Err(error)) => {
                writeln!(out, "failed\n{}", indented(&error.to_string()))?;
                error.downcast_ref::<RunError>().map_or(Outcome::Fail, outcome_of)
            }
            None => {
                writeln!(out, "stopped")?;
                return Ok(Outcome::CouldNotCheck);
            }
        };
        // A difference that was seen says more than a lab that could not be tried.
        worst = if worst == Outcome::Fail { worst } else { worst.max(outcome) };
    }
    Ok(worst)
}

async fn compare(library: &Library, lab: &Lab, runner: &mut Runner) -> anyhow::Result<Vec<String>> {
    let mut differences = Vec::new();
    for position in 0..lab.steps.len() {
        let Some(recorded) = runner.step(position, &mut |_: Stream, _: &[u8]| {}).await? else { continue };
        let now = recorded.transcript.normalised().to_string();
        match snapshot::read(&library.snapshot(lab, &recorded.name))? {
            None => differences.push(format!("{}: was never recorded", recorded.name)),
            Some(then) if then.to_string() != now => {
                let diff =
                    TextDiff::from_lines(&then.to_string(), &now).unified_diff().header("recorded", "now").to_string();
                differences.push(format!("{}:\n{diff}", recorded.name));
            }
            Some(_) => {}
        }
    }
    Ok(differences)
}

/// A cluster that does not answer, or is not free for the lab, says nothing about the lab.
fn outcome_of(error: &RunError) -> Outcome {
    match error {
        RunError::Api(_) | RunError::Missing(_) | RunError::InTheWay { .. } | RunError::Files { .. } => {
            Outcome::CouldNotCheck
        }
        RunError::Process { .. } | RunError::Wait(_) | RunError::Exit { .. } | RunError::Expect { .. } => Outcome::Fail,
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
