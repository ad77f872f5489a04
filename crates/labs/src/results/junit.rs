//! Results as JUnit XML, which build servers and editors show: an exercise is a suite, a check is a case.

use super::{Ended, ExerciseResult, Results};
use crate::words::markup;

/// The whole document.
pub fn junit(results: &Results) -> String {
    let suites: String = results.exercises.iter().map(suite).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"podlab: {}, seed {}\">\n{suites}</testsuites>\n",
        markup(&results.who),
        results.seed
    )
}

fn suite(result: &ExerciseResult) -> String {
    let count = |verdict: &str| result.checks.iter().filter(|check| check.verdict == verdict).count();
    let mut cases = String::new();
    for check in &result.checks {
        let because = markup(check.because.as_deref().unwrap_or_default());
        let body = match (check.verdict.as_str(), &check.feedback) {
            ("passed", _) => String::new(),
            ("failed", Some(feedback)) => format!(
                "<failure message=\"{}\">expected: {}\nobserved: {}\n{}</failure>",
                markup(&feedback.reason()),
                markup(&feedback.expected),
                markup(&feedback.observed),
                markup(&feedback.evidence.join("\n"))
            ),
            ("skipped", _) => format!("<skipped message=\"{because} did not pass\"/>"),
            (_, _) => format!("<error message=\"could not check: {because}\"/>"),
        };
        let (class, name) = (markup(&result.exercise), markup(&check.title));
        cases.push_str(&format!("    <testcase classname=\"{class}\" name=\"{name}\">{body}</testcase>\n"));
    }
    let (mut tests, mut failures) = (result.checks.len(), count("failed"));
    if result.ended == Ended::NotBegun {
        (tests, failures) = (1, 1);
        let class = markup(&result.exercise);
        cases = format!(
            "    <testcase classname=\"{class}\" name=\"begun\"><failure message=\"there is no answer yet\"/></testcase>\n"
        );
    }
    format!(
        "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{}\" errors=\"{}\">\n{cases}  </testsuite>\n",
        markup(&result.exercise),
        count("skipped"),
        count("could-not-check"),
    )
}
