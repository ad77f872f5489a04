//! A grade in words, for a terminal, a plain file and a screen reader alike.

use std::io::{self, Write};

use super::{Feedback, Grade, Verdict};
use crate::paint::Paint;

/// Writes a grade. Colour only repeats what the words say.
///
/// # Errors
///
/// When `out` cannot be written to.
pub fn report(grade: &Grade, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint { colour };
    for result in &grade.results {
        let points =
            |got: u32| if result.points == 0 { String::new() } else { format!("  ({got} of {})", result.points) };
        match &result.verdict {
            Verdict::Passed => writeln!(out, "{}  {}{}", paint.good("pass"), result.title, points(result.points))?,
            Verdict::Failed(feedback) => {
                writeln!(out, "\n{}  {}{}", paint.bad("FAIL"), paint.bold(&result.title), points(0))?;
                tell(feedback, paint, out)?;
            }
            Verdict::Skipped { because } => {
                writeln!(
                    out,
                    "{}  {}{}: skipped, because {because} did not pass",
                    paint.dim("skip"),
                    result.title,
                    points(0)
                )?;
            }
            Verdict::CouldNotCheck { reason } => {
                writeln!(out, "{}  {}{}: could not check: {reason}", paint.bold("????"), result.title, points(0))?;
            }
        }
    }
    writeln!(out)?;
    verdict(grade, colour, out)
}

/// Writes the last line alone: how it ended, and the points.
///
/// # Errors
///
/// When `out` cannot be written to.
pub fn verdict(grade: &Grade, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint { colour };
    let (got, all) = grade.points();
    let verdict = match grade.outcome() {
        crate::commands::Outcome::Pass => paint.good("passed"),
        crate::commands::Outcome::Fail => paint.bad("not yet"),
        crate::commands::Outcome::CouldNotCheck => "could not be checked; this is not a pass".to_owned(),
    };
    writeln!(out, "{}: {verdict}, {got} of {all} points", grade.exercise)
}

fn tell(feedback: &Feedback, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let mut part = |name: &str, text: &str| -> io::Result<()> {
        for (number, line) in text.lines().enumerate() {
            let name = if number == 0 { format!("{name:9}") } else { " ".repeat(9) };
            writeln!(out, "      {} {line}", paint.dim(&name))?;
        }
        Ok(())
    };
    part("expected", &feedback.expected)?;
    part("observed", &feedback.observed)?;
    if !feedback.evidence.is_empty() {
        part("evidence", &feedback.evidence.join("\n"))?;
    }
    if let Some((name, says)) = &feedback.diagnosis {
        part("diagnosis", &format!("{name}: {says}"))?;
    }
    if let Some(location) = &feedback.location {
        part("where", location)?;
    }
    part("try", &feedback.next)?;
    part("read", &feedback.section.replace(".md", ".html"))?;
    writeln!(out)
}
