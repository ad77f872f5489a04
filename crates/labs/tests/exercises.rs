//! Every exercise on a real cluster: its solutions pass, its starter fails, each wrong answer gets its own diagnosis, and
//! what a learner reads about each is a snapshot.

#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use insta::assert_snapshot;
use podlab_labs::commands::Outcome;
use podlab_labs::format::{Exercise, Library};
use podlab_labs::grade::{self, Grade, Verdict};
use podlab_labs::needs::Need;
use podlab_labs::normalise::normalise;
use podlab_labs::pack::trial::{self, Answer};
use podlab_labs::{Cluster, Workbook};
use podlab_testkit::Kubectl;

fn library() -> Library {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    Library::load(&Workbook::at(root).labs()).unwrap()
}

/// The report a learner reads, as it is on every run. Which events have been told by then differs, and so does how often
/// something was restarted that is restarted again and again.
fn text(grade: &Grade) -> String {
    let mut out = Vec::new();
    grade::report(grade, false, &mut out).unwrap();
    let event = regex::Regex::new(r"(?m)^ +(?:evidence  )?\+\d+s  (?:Normal|Warning)  .*\n(?: {16} *\S.*\n)*").unwrap();
    let restarts = regex::Regex::new("restarted [1-9][0-9]* times").unwrap();
    let out = String::from_utf8(out).unwrap();
    normalise(&restarts.replace_all(&event.replace_all(&out, ""), "restarted <n> times"))
}

/// The answers that are graded at the same time: most of a grading is waiting.
const AT_ONCE: usize = 6;

/// Grades everything there is about the exercises of a lab, on a cluster of the lab's own: the solutions with the real
/// kubectl, what is wrong with the built-in one.
fn exercises_of(lab: &str) {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let library = library();
    let lab = library.lab(lab).unwrap();
    let exercises: Vec<_> = library.exercises().iter().filter(|exercise| exercise.lab == lab.name).collect();
    let several = exercises.iter().any(|exercise| exercise.needs.contains(&Need::Nodes));
    let builder = podlab_testkit::Cluster::builder();
    let running = if several { builder.argument("--nodes").argument("3") } else { builder }.start();
    let cluster = Cluster::new(running.kubeconfig()).with_dir(running.directory());
    let cluster = Cluster { kubectl: podlab_labs::Kubectl::Program(kubectl.program().to_owned()), ..cluster };
    // What a learner reads is the same with the kubectl that is built in, which takes a quarter of the processor time.
    let built_in = Cluster { kubectl: podlab_labs::Kubectl::Program(podlab_testkit::podlab()), ..cluster.clone() };
    let exercises = exercises.into_iter();
    let answers = exercises.flat_map(|exercise| trial::answers(exercise).map(move |answer| (exercise, answer)));
    let grades = answers.map(|(exercise, answer)| {
        let real = matches!(answer, Answer::Solution(..)) || asks_for_more(exercise);
        let cluster = if real { &cluster } else { &built_in };
        async move {
            let grade = answer.grade(exercise, cluster, std::future::pending()).await.unwrap();
            (exercise, answer, grade)
        }
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let grades = futures_util::stream::iter(grades).buffer_unordered(AT_ONCE).collect();
    let grades: Vec<_> = runtime.block_on(grades);
    running.stop();
    // Everything that is wrong at once: a cluster takes longer than reading.
    let judge =
        |(exercise, answer, grade): &(&Exercise, Answer<'_>, Grade)| answer.judge(exercise, grade, &text(grade));
    let wrong: Vec<String> = grades.iter().filter_map(judge).map(|finding| finding.to_string()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (exercise, answer, grade) in &grades {
        if let Some(snapshot) = snapshot(answer) {
            settings(exercise.folder.clone()).bind(|| assert_snapshot!(snapshot, text(grade)));
        }
    }
}

/// Whether its checks use a command that is not built in.
fn asks_for_more(exercise: &Exercise) -> bool {
    exercise
        .checks
        .iter()
        .filter_map(|check| check.first.as_deref())
        .any(|first| ["kubectl replace", "kubectl set"].iter().any(|command| first.contains(command)))
}

/// What the report about an answer is called; a solution needs none.
fn snapshot<'a>(answer: &Answer<'a>) -> Option<&'a str> {
    match answer {
        Answer::Solution(..) => None,
        Answer::Starter(_) => Some("starter"),
        Answer::Wrong(wrong) => Some(&wrong.diagnosis),
    }
}

fn settings(folder: PathBuf) -> insta::Settings {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(folder.join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn kuard() {
    exercises_of("kuard");
}

#[test]
fn manifest() {
    exercises_of("manifest");
}

#[test]
fn webserver() {
    exercises_of("webserver");
}

#[test]
fn access() {
    exercises_of("access");
}

#[test]
fn sidecar() {
    exercises_of("sidecar");
}

#[test]
fn emptydir() {
    exercises_of("emptydir");
}

#[test]
fn git_sync() {
    exercises_of("git-sync");
}

#[test]
fn health() {
    exercises_of("health");
}

#[test]
fn lifecycle() {
    exercises_of("lifecycle");
}

#[test]
fn volumes() {
    exercises_of("volumes");
}

#[test]
fn nfs() {
    exercises_of("nfs");
}

#[test]
fn patterns() {
    exercises_of("patterns");
}

#[test]
fn resources() {
    exercises_of("resources");
}

#[test]
fn namespaces() {
    exercises_of("namespaces");
}

#[test]
fn what_is_a_pod() {
    exercises_of("what-is-a-pod");
}

#[test]
fn thinking_with_pods() {
    exercises_of("thinking-with-pods");
}

#[test]
fn scheduling() {
    exercises_of("scheduling");
}

#[test]
fn capstone() {
    exercises_of("capstone");
}

/// A lab without its test would have exercises whose solutions nobody tried.
#[test]
fn the_exercises_of_every_lab_have_a_test() {
    let source = include_str!("exercises.rs");
    for lab in library().labs() {
        assert!(source.contains(&format!("    exercises_of(\"{}\");", lab.name)), "no test runs those of {}", lab.name);
    }
}

/// Without a cluster there is no verdict, and above all no pass.
#[tokio::test]
async fn without_a_cluster_nothing_can_be_checked() {
    let library = library();
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::new(folder.path().join("kubeconfig"));
    for exercise in library.exercises() {
        let answer = trial::answers(exercise).next().unwrap();
        let grade = answer.grade(exercise, &cluster, std::future::pending()).await.unwrap();
        assert_eq!(grade.outcome(), Outcome::CouldNotCheck);
        assert_eq!(grade.points().0, 0);
        assert_eq!(grade.outcome().exit_code(), 2);
        assert!(text(&grade).contains("could not be checked; this is not a pass"), "{}", text(&grade));
    }
}

/// A question about a cluster that does not do what it is asked: each check but the last has its own reason.
const UNANSWERED: &str = r"
title: A question
kind: predict
minutes: 1
answer: said.yaml
starter: starter.yaml
solutions: [starter.yaml]
section: your-first-pod.md#explain
hints: {where: a, concept: b, field: c}
checks:
  - {name: stage, title: The stage, points: 0, until: pods.size() == 1, within: 0s, expected: a Pod, try: a}
  - {name: fault, title: A fault, points: 1, first: echo no fault >&2; false, until: 'true', expected: a, try: a}
  - {name: exec, title: An exec, points: 1, run: kubectl exec nobody -- true, until: run.out == answer.said, within: 0s, expected: a, try: a}
  - {name: silent, title: Silence, points: 1, run: 'true', until: run.out == answer.said, within: 0s, expected: a, try: a}
  - {name: said, title: An answer, points: 1, run: echo kept, until: run.out.trim() == answer.said, within: 0s, expected: a, try: a}
diagnoses:
  - {name: one, of: said, when: 'false', says: a, try: a}
  - {name: two, of: said, when: 'false', says: a, try: a}
wrong: [{file: starter.yaml, diagnosis: one}, {file: starter.yaml, diagnosis: two}]
";

/// An exercise that looks at its own objects only: what fails there is not held against the learner.
#[tokio::test]
async fn a_question_that_the_cluster_did_not_answer_is_neither_passed_nor_failed() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [("exercise.yaml", UNANSWERED), ("task.md", "?"), ("starter.yaml", "said: lost\n")] {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let exercise = Exercise::load("question", "kuard", folder.path()).unwrap();
    let running = podlab_testkit::Cluster::start();
    let cluster = Cluster::new(running.kubeconfig());
    let cluster = Cluster { kubectl: podlab_labs::Kubectl::Program(kubectl.program().to_owned()), ..cluster };
    let grade = |answer| grade::grade(&exercise, Path::new("said.yaml"), answer, &cluster, std::future::pending());
    let passed = grade("said: kept").await;
    assert_eq!((passed.outcome(), passed.points()), (Outcome::CouldNotCheck, (1, 4)), "{}", text(&passed));
    let reasons = ["a Pod: there is no Pod", "no fault", "exec nobody", "it printed nothing"];
    for (result, reason) in passed.results.iter().zip(reasons) {
        let Verdict::CouldNotCheck { reason: told } = &result.verdict else { panic!("{result:?}") };
        assert!(told.contains(reason), "{told:?} does not say {reason:?}");
    }
    let failed = grade("said: lost").await;
    let wrong: Vec<&str> = failed
        .results
        .iter()
        .filter(|result| matches!(result.verdict, Verdict::Failed(_)))
        .map(|result| result.name.as_str())
        .collect();
    assert_eq!((failed.outcome(), wrong), (Outcome::Fail, vec!["said"]), "{}", text(&failed));
    running.stop();
}

/// Where facts are asked for, a status would be taken for an answer whatever it comes from.
#[test]
fn a_question_is_not_answered_by_a_status() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [("task.md", "?"), ("starter.yaml", "said:\n")] {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    for status in [
        UNANSWERED.replace("run.out.trim() ==", "string(run.exit) =="),
        UNANSWERED.replace("until: run.out.trim() == answer.said", "exit: 1"),
    ] {
        std::fs::write(folder.path().join("exercise.yaml"), status).unwrap();
        let refused = Exercise::load("question", "kuard", folder.path()).unwrap_err().to_string();
        assert!(refused.contains("the check said") && refused.contains("prints its answer"), "{refused}");
    }
}
