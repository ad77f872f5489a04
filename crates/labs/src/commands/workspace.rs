//! `podlab init`, `hint`, `solution`, `reset` and `list`.

use std::io::Write;
use std::path::Path;

use similar::TextDiff;

use super::choose::{Asked, choose, shown};
use crate::format::{Exercise, Library};
use crate::paint::Paint;
use crate::words::count;
use crate::workspace::progress::{Solution, State};
use crate::workspace::{Made, Workspace};
use crate::{Workbook, yaml};

/// `podlab init DIR`: makes a workspace, or adds the exercises that have come since.
///
/// # Errors
///
/// When the folder holds something else, or cannot be written to.
pub fn init(workbook: &Workbook, root: &Path, here: &Path, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let library = Library::of(workbook)?;
    let Made { workspace, added, before } = Workspace::init(&here.join(root), &library)?;
    let what = match (before, added) {
        (false, _) => format!("{}, a folder each; README.md tells how to work.", count(added, "exercise")),
        (true, 0) => "nothing new; your answers are as they were.".to_owned(),
        (true, _) => format!("{}; your answers are as they were.", count(added, "new exercise")),
    };
    writeln!(out, "{}: {what}", root.display())?;
    if let Some(next) = workspace.next(&library, None)? {
        let task = shown(&workspace.folder(next).join("task.md"), workspace.root());
        writeln!(
            out,
            "\nBegin:\n  podlab start --detach     unless a cluster runs already\n  cd {}\n  cat {}     {}, {}\n  podlab watch              checks your answer at every save",
            root.display(),
            task.display(),
            next.title,
            count(next.minutes, "minute")
        )?;
    }
    Ok(())
}

/// The tier of a hint that nobody read yet, or the last one again.
pub(super) fn next_tier(read: u8) -> u8 {
    (read + 1).min(3)
}

/// `podlab hint [EXERCISE]`: the next of three hints, or the one of `tier`; a workspace remembers which were read.
///
/// # Errors
///
/// When the exercise does not exist, or the progress cannot be written.
pub fn hint(
    workbook: &Workbook,
    asked: Asked<'_>,
    tier: Option<u8>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let library = Library::of(workbook)?;
    let chosen = choose(&library, asked)?;
    let read = match &chosen.workspace {
        Some(workspace) => workspace.progress()?.of(&chosen.exercise.name).hints,
        None => 0,
    };
    let tier = tier.unwrap_or_else(|| next_tier(read));
    give_hint(chosen.exercise, tier, chosen.workspace.as_ref(), out)
}

/// Writes a hint, and remembers that it was read.
pub(super) fn give_hint(
    exercise: &Exercise,
    tier: u8,
    workspace: Option<&Workspace>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let (what, text) = match tier {
        1 => ("where to look", &exercise.hints.r#where),
        2 => ("which idea", &exercise.hints.concept),
        _ => ("which field", &exercise.hints.field),
    };
    writeln!(out, "{}, hint {tier} of 3, {what}:\n\n{}", exercise.name, text.trim())?;
    if let Some(workspace) = workspace {
        workspace.change(|progress| progress.change(&exercise.name, |entry| entry.hints = entry.hints.max(tier)))?;
    }
    Ok(())
}

/// `podlab solution [EXERCISE]`: the solutions, once the exercise is passed or given up, and how the learner's differs.
///
/// # Errors
///
/// When it is neither, or something cannot be read.
pub fn solution(
    workbook: &Workbook,
    asked: Asked<'_>,
    give_up: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let library = Library::of(workbook)?;
    let chosen = choose(&library, asked)?;
    let exercise = chosen.exercise;
    let passed = match &chosen.workspace {
        Some(workspace) => workspace.progress()?.of(&exercise.name).state == State::Passed,
        None => false,
    };
    if !passed && !give_up {
        anyhow::bail!(
            "{name} is not passed yet; the hints may be enough: podlab hint {name}\n\
             to see the solution all the same: podlab solution {name} --give-up",
            name = exercise.name
        );
    }
    for solution in &exercise.solutions {
        let name = solution.file_name().unwrap_or_default().to_string_lossy();
        writeln!(out, "# {}: {name}\n{}", exercise.name, yaml::read(solution)?)?;
    }
    if let (Ok(mine), Some(first)) =
        (yaml::read(&asked.here.join(chosen.answer(asked.here))), exercise.solutions.first())
    {
        let theirs = yaml::read(first)?;
        let diff = TextDiff::from_lines(&mine, &theirs).unified_diff().header("yours", "solution").to_string();
        if !diff.is_empty() {
            writeln!(out, "# How yours differs; what behaves the same is as good:\n{diff}")?;
        }
    }
    if let Some(workspace) = &chosen.workspace {
        let way = if passed { Solution::AfterPassing } else { Solution::GaveUp };
        workspace.change(|progress| {
            progress.change(&exercise.name, |entry| entry.solution = entry.solution.max(way));
        })?;
    }
    Ok(())
}

/// `podlab reset [EXERCISE]`: puts the starter back.
///
/// # Errors
///
/// When this is no workspace, or a file cannot be written.
pub fn reset(workbook: &Workbook, asked: Asked<'_>, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let library = Library::of(workbook)?;
    let chosen = choose(&library, asked)?;
    let Some(workspace) = &chosen.workspace else {
        anyhow::bail!(
            "this is no workspace, so there is nothing to reset\na workspace has a folder for each exercise: podlab init DIR"
        );
    };
    let aside = workspace.reset(chosen.exercise)?;
    writeln!(out, "{} is the starter again.", chosen.answer(asked.here).display())?;
    if let Some(aside) = aside {
        writeln!(out, "What you had is kept: {}", shown(&aside, asked.here).display())?;
    }
    Ok(())
}

/// `podlab list`: every exercise, and how far the workspace is.
///
/// # Errors
///
/// When this is no workspace, or the progress cannot be read.
pub fn list(workbook: &Workbook, here: &Path, colour: bool, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let library = Library::of(workbook)?;
    let Some(workspace) = Workspace::find(here) else {
        anyhow::bail!("this is no workspace; podlab init DIR makes one, podlab lab list shows all labs and exercises");
    };
    write_list(&library, &workspace, workspace.exercise_at(here, &library), Paint { colour }, out)
}

/// Writes the list; an arrow stands before `current`.
pub(super) fn write_list(
    library: &Library,
    workspace: &Workspace,
    current: Option<&Exercise>,
    paint: Paint,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let progress = workspace.progress()?;
    let width = library.exercises().iter().map(|exercise| exercise.name.len()).max().unwrap_or(0);
    let (mut passed, mut got, mut all) = (0, 0, 0);
    for exercise in library.exercises() {
        let entry = progress.of(&exercise.name);
        let points = exercise.points();
        let state = match entry.state {
            State::Passed => {
                passed += 1;
                got += points;
                paint.good("passed")
            }
            State::Tried => {
                got += entry.points.0.min(points);
                "tried ".to_owned()
            }
            State::Open => paint.dim("open  "),
        };
        let now = if entry.state == State::Passed { points } else { entry.points.0.min(points) };
        all += points;
        let mut remarks = String::new();
        if entry.hints > 0 {
            remarks.push_str(&format!("   hints read: {}", entry.hints));
        }
        if entry.solution == Solution::GaveUp {
            remarks.push_str("   solution seen before passing");
        }
        let arrow = if current.is_some_and(|current| current.name == exercise.name) { ">" } else { " " };
        writeln!(out, "{arrow} {:width$}  {state}  {now:2} of {points:2}  {}{remarks}", exercise.name, exercise.title)?;
    }
    writeln!(out, "\n{passed} of {} passed, {got} of {all} points", library.exercises().len())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_come_one_after_another_and_the_last_one_stays() {
        assert_eq!([0, 1, 2, 3].map(next_tier), [1, 2, 3, 3]);
    }
}
