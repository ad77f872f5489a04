//! Results for people: every exercise, and the reason for every point that is missing.

use super::{Ended, ExerciseResult, Results};
use crate::paint::Paint;

/// The whole of it.
pub fn text(results: &Results, colour: bool) -> String {
    let mut out = format!("{}, seed {}\n", results.who, results.seed);
    for result in &results.exercises {
        out.push_str(&exercise(result, colour));
    }
    out.push_str(&format!("\n{}: {} of {} points\n", results.who, results.points.got, results.points.of));
    out
}

fn exercise(result: &ExerciseResult, colour: bool) -> String {
    let paint = Paint { colour };
    let ended = match result.ended {
        Ended::Passed => paint.good("passed"),
        Ended::Failed => paint.bad("not yet"),
        Ended::CouldNotCheck => "could not be checked".to_owned(),
        Ended::NotBegun => "not begun".to_owned(),
    };
    let mut out = format!("\n{}: {ended}, {} of {} points\n", result.exercise, result.points.got, result.points.of);
    if let Some(because) = &result.because {
        out.push_str(&format!("  {because}\n"));
    }
    for check in result.checks.iter().filter(|check| check.verdict != "passed") {
        let why = match (&check.feedback, &check.because) {
            (Some(feedback), _) => feedback.reason(),
            (None, Some(because)) if check.verdict == "skipped" => format!("skipped, because {because} did not pass"),
            (None, because) => format!("could not check: {}", because.as_deref().unwrap_or("no reason is known")),
        };
        out.push_str(&format!("  0 of {}  {}\n", check.points.of, check.title));
        for line in why.lines() {
            out.push_str(&format!("          {line}\n"));
        }
    }
    out
}
