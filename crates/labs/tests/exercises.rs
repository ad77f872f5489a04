//! Every exercise on a real cluster: its solutions pass, its starter fails, each wrong answer gets its own diagnosis, and
//! what a learner reads about each is a snapshot.

#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use insta::assert_snapshot;
use podlab_labs::commands::Outcome;
use podlab_labs::format::{Exercise, Library};
use podlab_labs::grade::{self, Grade};
use podlab_labs::normalise::normalise;
use podlab_labs::{Cluster, Workbook};
use podlab_testkit::Kubectl;

fn library() -> Library {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    Library::load(&Workbook::at(root).labs()).unwrap()
}

/// The report a learner reads, as it is on every run. Which events have been told by then differs.
fn text(grade: &Grade) -> String {
    let mut out = Vec::new();
    grade::report(grade, false, &mut out).unwrap();
    let event = regex::Regex::new(r"(?m)^ +(?:evidence  )?\+\d+s  (?:Normal|Warning)  .*\n(?: {16}\S.*\n)*").unwrap();
    normalise(&event.replace_all(&String::from_utf8(out).unwrap(), ""))
}

async fn graded(exercise: &Exercise, file: &Path, cluster: &Cluster) -> Grade {
    let answer = std::fs::read_to_string(file).unwrap();
    grade::grade(exercise, Path::new(&exercise.answer), &answer, cluster, std::future::pending()).await
}

/// The answers that are graded at the same time: most of a grading is waiting.
const AT_ONCE: usize = 6;

/// Grades everything there is about the exercises of a lab, on a cluster of the lab's own.
fn exercises_of(lab: &str) {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let library = library();
    let lab = library.lab(lab).unwrap();
    let running = podlab_testkit::Cluster::start();
    let cluster = Cluster::new(running.kubeconfig()).with_dir(running.directory());
    let cluster = Cluster { kubectl: podlab_labs::Kubectl::Program(kubectl.program().to_owned()), ..cluster };
    let exercises = library.exercises().iter().filter(|exercise| exercise.lab == lab.name);
    let answers = exercises.flat_map(|exercise| answers(exercise).map(move |answer| (exercise, answer)));
    let grades = answers.map(|(exercise, answer)| {
        let cluster = &cluster;
        async move {
            let grade = graded(exercise, answer.file(exercise), cluster).await;
            (exercise, answer, grade)
        }
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let grades = futures_util::stream::iter(grades).buffer_unordered(AT_ONCE).collect();
    let grades: Vec<_> = runtime.block_on(grades);
    running.stop();
    // Everything that is wrong at once: a cluster takes longer than reading.
    let wrong: Vec<String> =
        grades.iter().filter_map(|(exercise, answer, grade)| judge(exercise, answer, grade)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (exercise, answer, grade) in &grades {
        if let Some(snapshot) = answer.snapshot(exercise) {
            settings(exercise.folder.clone()).bind(|| assert_snapshot!(snapshot, text(grade)));
        }
    }
}

/// One of the files of an exercise.
enum Answer {
    Solution(usize),
    Starter,
    Wrong(usize),
}

fn answers(exercise: &Exercise) -> impl Iterator<Item = Answer> {
    let solutions = (0..exercise.solutions.len()).map(Answer::Solution);
    solutions.chain([Answer::Starter]).chain((0..exercise.wrong.len()).map(Answer::Wrong))
}

impl Answer {
    fn file<'a>(&self, exercise: &'a Exercise) -> &'a Path {
        match self {
            Answer::Solution(position) => &exercise.solutions[*position],
            Answer::Starter => &exercise.starter,
            Answer::Wrong(position) => &exercise.wrong[*position].file,
        }
    }

    fn snapshot<'a>(&self, exercise: &'a Exercise) -> Option<&'a str> {
        match self {
            Answer::Solution(_) => None,
            Answer::Starter => Some("starter"),
            Answer::Wrong(position) => Some(&exercise.wrong[*position].diagnosis),
        }
    }
}

/// What is wrong with a grade.
fn judge(exercise: &Exercise, answer: &Answer, grade: &Grade) -> Option<String> {
    let told = || format!("{}:\n{}", answer.file(exercise).display(), text(grade));
    let (got, all) = grade.points();
    match answer {
        Answer::Solution(_) => {
            (grade.outcome() != Outcome::Pass || got != all).then(|| format!("a solution does not pass: {}", told()))
        }
        Answer::Starter => (grade.outcome() != Outcome::Fail).then(|| format!("the starter does not fail: {}", told())),
        Answer::Wrong(position) => {
            let diagnoses: Vec<&str> = grade.diagnoses().collect();
            let right = grade.outcome() == Outcome::Fail && diagnoses == [exercise.wrong[*position].diagnosis.as_str()];
            (!right)
                .then(|| format!("a wrong answer is not told {:?}: {}", exercise.wrong[*position].diagnosis, told()))
        }
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
        let grade = graded(exercise, &exercise.solutions[0], &cluster).await;
        assert_eq!(grade.outcome(), Outcome::CouldNotCheck);
        assert_eq!(grade.points().0, 0);
        assert_eq!(grade.outcome().exit_code(), 2);
        assert!(text(&grade).contains("could not be checked; this is not a pass"), "{}", text(&grade));
    }
}
