//! The results of a class as one page, without scripts: who is how far, and what holds the class up.

use std::collections::BTreeMap;

use super::{Ended, ExerciseResult, Results};
use crate::words::markup;

const STYLE: &str = "\
body{font-family:system-ui,sans-serif;margin:2rem;max-width:100%}table{border-collapse:collapse;margin:1rem 0}\
th,td{border:1px solid #767676;padding:.3rem .6rem;text-align:left;vertical-align:top}caption{text-align:left;font-weight:bold}\
.passed{background:#dff3e0}.failed{background:#fbe3e0}.could-not-check{background:#fdf3d0}small{display:block}";

/// The whole page.
pub fn html(class: &[Results]) -> String {
    let exercises = exercises(class);
    let heads: String = exercises.iter().map(|name| format!("<th scope=\"col\">{}</th>", markup(name))).collect();
    let mut rows = String::new();
    for results in class {
        rows.push_str(&format!("<tr><th scope=\"row\">{}</th>", markup(&results.who)));
        for name in &exercises {
            let found = results.exercises.iter().find(|result| result.exercise == *name);
            rows.push_str(&found.map_or_else(|| "<td></td>".to_owned(), cell));
        }
        rows.push_str(&format!("<td>{} of {}</td></tr>\n", results.points.got, results.points.of));
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Class report</title><style>{STYLE}</style></head>\n\
         <body><h1>Class report</h1>\n\
         <table><caption>Who is how far</caption>\n<thead><tr><th scope=\"col\">who</th>{heads}<th scope=\"col\">points</th></tr></thead>\n\
         <tbody>\n{rows}</tbody></table>\n\
         <table><caption>What holds the class up</caption>\n<thead><tr><th scope=\"col\">exercise</th><th scope=\"col\">first failure</th>\
         <th scope=\"col\">diagnosis</th><th scope=\"col\">how many</th><th scope=\"col\">who</th></tr></thead>\n\
         <tbody>\n{}</tbody></table>\n</body></html>\n",
        stuck(class)
    )
}

/// The exercises of all results, in the order of the first that has them.
fn exercises(class: &[Results]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for result in class.iter().flat_map(|results| &results.exercises) {
        if !names.contains(&result.exercise.as_str()) {
            names.push(&result.exercise);
        }
    }
    names
}

fn cell(result: &ExerciseResult) -> String {
    let mut remarks = String::new();
    if let Some(check) = result.first_failure() {
        let diagnosis = check.feedback.as_ref().and_then(|feedback| feedback.diagnosis.as_deref());
        remarks.push_str(&format!("<small>{}</small>", markup(diagnosis.unwrap_or(&check.check))));
    }
    if result.hints > 0 {
        remarks.push_str(&format!("<small>hint {}</small>", result.hints));
    }
    if result.solution == "gave-up" {
        remarks.push_str("<small>solution seen</small>");
    }
    let (word, points) = (result.ended.word(), result.points);
    // The word says what the colour says.
    format!("<td class=\"{word}\">{word}, {} of {}{remarks}</td>", points.got, points.of)
}

/// First failures, those of the most learners first.
fn stuck(class: &[Results]) -> String {
    let mut stuck: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for results in class {
        for result in results.exercises.iter().filter(|result| result.ended == Ended::Failed) {
            let Some(check) = result.first_failure() else { continue };
            let diagnosis = check.feedback.as_ref().and_then(|feedback| feedback.diagnosis.as_deref());
            let key = (result.exercise.as_str(), check.check.as_str(), diagnosis.unwrap_or_default());
            stuck.entry(key).or_default().push(&results.who);
        }
    }
    let mut stuck: Vec<_> = stuck.into_iter().collect();
    stuck.sort_by_key(|(_, who)| std::cmp::Reverse(who.len()));
    let row = |((exercise, check, diagnosis), who): ((&str, &str, &str), Vec<&str>)| {
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            markup(exercise),
            markup(check),
            markup(diagnosis),
            who.len(),
            markup(&who.join(", "))
        )
    };
    stuck.into_iter().map(row).collect()
}
