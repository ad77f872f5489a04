//! The results of a class as CSV (RFC 4180): a row for each learner and exercise.

use super::Results;

const HEAD: [&str; 11] =
    ["who", "exercise", "ended", "got", "of", "hints", "solution", "first failure", "diagnosis", "reason", "seed"];

/// The whole table.
pub fn csv(class: &[Results]) -> String {
    let mut out = row(HEAD.map(str::to_owned));
    for results in class {
        for result in &results.exercises {
            let failure = result.first_failure();
            let feedback = failure.and_then(|check| check.feedback.as_ref());
            out.push_str(&row([
                results.who.clone(),
                result.exercise.clone(),
                result.ended.word().to_owned(),
                result.points.got.to_string(),
                result.points.of.to_string(),
                result.hints.to_string(),
                result.solution.clone(),
                failure.map(|check| check.check.clone()).unwrap_or_default(),
                feedback.and_then(|feedback| feedback.diagnosis.clone()).unwrap_or_default(),
                feedback.map(super::Feedback::reason).unwrap_or_default(),
                results.seed.to_string(),
            ]));
        }
    }
    out
}

fn row(fields: [String; 11]) -> String {
    fields.map(|field| quoted(&field)).join(",") + "\r\n"
}

/// Quoted where it must be. What a spreadsheet would take for a formula gets an apostrophe in front.
fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if formula { format!("'{field}") } else { field.to_owned() };
    if field.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}
