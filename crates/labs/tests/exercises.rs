//! Every exercise on a real cluster: its solutions pass, its starter fails, each wrong answer gets its own diagnosis, and
//! what a learner reads about each is a snapshot.

#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// The report a learner reads, as it is on every run.
fn text(grade: &Grade) -> String {
    let mut out = Vec::new();
    grade::report(grade, false, &mut out).unwrap();
    let times = regex::Regex::new(r"\+\d+s  ").unwrap();
    normalise(&times.replace_all(&String::from_utf8(out).unwrap(), "+<n>s  "))
}

async fn graded(exercise: &Exercise, file: &Path, cluster: &Cluster) -> Grade {
    let answer = std::fs::read_to_string(file).unwrap();
    grade::grade(exercise, Path::new(&exercise.answer), &answer, cluster).await
}

fn exercise(name: &str) {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let library = library();
    let exercise = library.exercise(name).unwrap();
    let running = podlab_testkit::Cluster::start();
    let cluster = Cluster::new(running.kubeconfig()).with_dir(running.directory());
    let cluster = Arc::new(Cluster { kubectl: podlab_labs::Kubectl::Program(kubectl.program().to_owned()), ..cluster });
    let settings = settings(library.folder(library.lab(&exercise.lab).unwrap()).join("exercises").join(name));

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for solution in &exercise.solutions {
            let grade = graded(exercise, solution, &cluster).await;
            let (got, all) = grade.points();
            assert_eq!(grade.outcome(), Outcome::Pass, "{}:\n{}", solution.display(), text(&grade));
            assert_eq!(got, all);
        }
        let starter = graded(exercise, &exercise.starter, &cluster).await;
        assert_eq!(starter.outcome(), Outcome::Fail, "the starter passes:\n{}", text(&starter));
        settings.bind(|| assert_snapshot!("starter", text(&starter)));
        for wrong in &exercise.wrong {
            let grade = graded(exercise, &wrong.file, &cluster).await;
            let told = text(&grade);
            assert_eq!(grade.outcome(), Outcome::Fail, "{} passes:\n{told}", wrong.file.display());
            let diagnoses: Vec<&str> = grade.diagnoses().collect();
            assert_eq!(diagnoses, [wrong.diagnosis.as_str()], "{}:\n{told}", wrong.file.display());
            settings.bind(|| assert_snapshot!(wrong.diagnosis.as_str(), told));
        }
    });
    running.stop();
}

fn settings(folder: PathBuf) -> insta::Settings {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(folder.join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn kuard_ports() {
    exercise("kuard-ports");
}

/// An exercise without its test would be one whose solution nobody tried.
#[test]
fn every_exercise_has_a_test() {
    let source = include_str!("exercises.rs");
    for exercise in library().exercises() {
        assert!(source.contains(&format!("    exercise(\"{}\");", exercise.name)), "no test runs {}", exercise.name);
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
