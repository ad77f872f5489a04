//! What those who teach type: `podlab grade`, `pack check`, `class report`.

use std::path::{Path, PathBuf};

use podlab_testkit::{Cluster, Kubectl};
use predicates::prelude::*;
use predicates::str::{contains, ends_with, is_empty};
use serde_json::Value;

use crate::podlab;
use crate::workspace::Desk;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn example() -> PathBuf {
    root().join("packs/example")
}

/// A workbook of nothing but the example of a pack, without its hidden checks: small enough to grade in a test.
fn small(cluster: &Cluster) -> Desk<'_> {
    let folder = cluster.scratch().join("ada");
    let mut init = podlab(cluster, ["init", folder.to_str().unwrap()]);
    init.env("PODLAB_WORKBOOK", example()).assert().success();
    Desk { cluster, folder }
}

/// `podlab grade ada ARGUMENTS` with the small workbook.
fn grade(desk: &Desk<'_>, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = desk.podlab("", ["grade"].iter().chain(arguments).copied());
    command.env("PODLAB_WORKBOOK", example()).assert()
}

fn answer(file: &str) -> String {
    let exercise = example().join("labs/settings/exercises/settings-asked");
    std::fs::read_to_string(exercise.join(file)).unwrap()
}

fn json(assert: assert_cmd::assert::Assert) -> Value {
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

#[test]
fn a_hard_coded_answer_passes_a_check_and_no_grading() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = Cluster::builder().environment("PODLAB_KUBECTL", kubectl.program()).start();
    let desk = small(&cluster);
    let check = |arguments: &[&str]| {
        let mut command = desk.podlab("", ["check"].iter().chain(arguments).copied());
        command.env("PODLAB_WORKBOOK", example()).assert()
    };
    assert!(desk.read("settings-asked/given/setup.yaml").contains("greeting: good morning\n  port: \"8080\""));
    let none = json(grade(&desk, &["--format", "json", "--seed", "7"]).code(1).stderr(is_empty()));
    assert_eq!(none["exercises"][0]["ended"], "not-begun");
    assert_eq!((&none["schema"], &none["who"], &none["seed"]), (&"podlab.results/1".into(), &"ada".into(), &7.into()));

    desk.write("settings-asked/greeter.yaml", &answer("wrong/hard-coded.yaml"));
    check(&[]).success().stdout(contains("passed, 4 of 4 points"));
    check(&["settings-asked", "--seed", "7"]).code(1).stdout(contains("port-in-the-manifest"));
    let failed = grade(&desk, &["--seed", "7"]).code(1);
    failed.stdout(
        contains("ada, seed 7\n")
            .and(contains("not yet, 0 of 4 points"))
            .and(contains("Its number stands in the manifest")),
    );

    // Half of it right is half of the points, and the other half says why.
    desk.write("settings-asked/greeter.yaml", &answer("wrong/greeting-only.yaml"));
    desk.podlab("", ["hint", "settings-asked"]).env("PODLAB_WORKBOOK", example()).assert().success();
    let half = json(grade(&desk, &["--format", "json", "--seed", "7", "--who", "Ada"]).code(1));
    assert_eq!(half["points"], serde_json::json!({"got": 2, "of": 4}));
    let exercise = &half["exercises"][0];
    assert_eq!((&exercise["ended"], &exercise["hints"], &half["who"]), (&"failed".into(), &1.into(), &"Ada".into()));
    assert_eq!(exercise["checks"][1]["feedback"]["diagnosis"], "greeting-in-the-manifest");

    desk.write("settings-asked/greeter.yaml", &answer("solutions/solution.yaml"));
    grade(&desk, &["--seed", "7"]).success().stdout(ends_with("\nada: 4 of 4 points\n"));
    grade(&desk, &["--seed", "8", "--format", "junit"]).success().stdout(contains("tests=\"2\" failures=\"0\""));

    // Without a cluster nothing is passed, and that is no verdict on the learner.
    cluster.podlab(["stop"]).success();
    let unchecked = json(grade(&desk, &["--format", "json"]).code(2));
    assert_eq!(unchecked["exercises"][0]["ended"], "could-not-check");
    assert_eq!(unchecked["points"]["got"], 0);
    cluster.gone();
}

#[test]
fn a_sleep_and_words_of_the_grader_fool_nobody_and_links_are_not_followed() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = Cluster::builder().environment("PODLAB_KUBECTL", kubectl.program()).start();
    let desk = small(&cluster);
    let fake = "pass  It says the greeting (2 of 2)\\nsettings-asked: passed, 4 of 4 points\\033[2J\\r";
    let command = |shell: &str| {
        answer("solutions/solution.yaml")
            .replace("mkdir /www; echo $GREETING > /www/index.html; exec httpd -f -h /www -p $PORT", shell)
    };
    desk.write("settings-asked/greeter.yaml", &command("sleep 3600"));
    grade(&desk, &[]).code(1).stdout(contains("0 of 4 points").and(contains("passed").not()));
    // What it answers is shown as what was observed, and stays one line of that.
    let shouting = format!("mkdir /www; printf '{fake}' > /www/index.html; exec httpd -f -h /www -p $PORT");
    desk.write(
        "settings-asked/greeter.yaml",
        &command(&shouting).replace("\\n", "\\\\n").replace("\\0", "\\\\0").replace("\\r", "\\\\r"),
    );
    let graded = grade(&desk, &[]).code(1);
    let text = String::from_utf8(graded.get_output().stdout.clone()).unwrap();
    assert!(text.contains("2 of 4 points"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("settings-asked: passed")), "{text}");

    let mut check = desk.podlab("", ["check"]);
    let shown = check.env("PODLAB_WORKBOOK", example()).assert().code(1);
    shown.stdout(contains(r"\u{1b}[2J").and(contains("\u{1b}").not()).and(contains("\nsettings-asked: passed").not()));

    let mine = desk.folder.join("settings-asked/greeter.yaml");
    std::fs::remove_file(&mine).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &mine).unwrap();
    grade(&desk, &[]).code(1).stdout(contains("is a link").and(contains("root:").not()));
    cluster.stop();
}

#[test]
fn a_pack_is_checked_and_its_hidden_checks_are_not_told() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = Cluster::builder().environment("PODLAB_KUBECTL", kubectl.program()).start();
    let pack = example();
    let pack = pack.to_str().unwrap();
    let checked = podlab(&cluster, ["pack", "check", pack]).assert().success().stderr(is_empty());
    checked.stdout(
        contains("1 lab of 5 minutes, 1 exercise of 10 minutes").and(ends_with("nothing is wrong with the pack\n")),
    );

    // A learner whose answer works and repeats what the settings say. The hidden check is the teacher's alone.
    let desk = small(&cluster);
    let copied = answer("solutions/solution.yaml").replace(
        "      env:\n",
        "      env:\n        - {name: ONE, value: good evening}\n        - {name: OTHER, value: welcome}\n",
    );
    desk.write("settings-asked/greeter.yaml", &copied);
    grade(&desk, &["--seed", "1"]).success().stdout(contains("4 of 4 points"));
    let mut hidden = desk.podlab("", ["--pack", pack, "grade", "--format", "json", "--seed", "2"]);
    let hidden = json(hidden.assert().code(1));
    let exercises = hidden["exercises"].as_array().unwrap();
    assert!(exercises.len() > 1, "the labs of the book, and those of the pack");
    let ours = exercises.iter().find(|exercise| exercise["exercise"] == "settings-asked").unwrap();
    let check = ours["checks"].as_array().unwrap().iter().find(|check| check["hidden"] == true).unwrap();
    assert_eq!((&check["check"], &check["verdict"]), (&"no-copy".into(), &"failed".into()));
    assert!(!check.to_string().contains("written out"), "what it looks for is not told: {check}");
    cluster.stop();
}

#[test]
fn what_is_wrong_with_a_pack_is_said_without_a_cluster() {
    let cluster = Cluster::builder().prepare();
    let pack = cluster.scratch().join("pack");
    copy(&example(), &pack);
    let check = || podlab(&cluster, ["pack", "check", pack.to_str().unwrap(), "--no-cluster"]).assert();
    check().code(2).stdout(contains("1 exercise of 10 minutes").and(contains("could not check the answers")));

    let change = |file: &str, from: &str, to: &str| {
        let file = pack.join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
    };
    let exercise = "labs/settings/exercises/settings-asked/exercise.yaml";
    change(exercise, "objectives: [1]", "objectives: [2]");
    change(exercise, "minutes: 10", "minutes: 0");
    change(exercise, "greeting-in-the-manifest", "two-names-one-door");
    let found = check().code(1).get_output().stdout.clone();
    let found = String::from_utf8(found).unwrap();
    for what in [
        "settings: objective 1 is practised by no exercise",
        "settings: exercise settings-asked names objective 2, and there is none",
        "settings-asked: it takes no time",
        "settings-asked: two-names-one-door is a diagnosis of kuard-ports too",
    ] {
        assert!(found.contains(what), "{what} is not in:\n{found}");
    }
    change(exercise, "minutes: 0", "minuets: 10");
    check().code(1).stdout(contains("minuets").and(contains("the pack cannot be used")));
    podlab(&cluster, ["pack", "check", cluster.scratch().to_str().unwrap()])
        .assert()
        .code(1)
        .stdout(contains("is no pack"));
}

#[test]
fn the_results_of_a_class_are_one_table() {
    let cluster = Cluster::builder().prepare();
    let desk = small(&cluster);
    let results = cluster.scratch().join("results");
    std::fs::create_dir(&results).unwrap();
    for who in ["grace", "ada", "=cmd()"] {
        let result =
            grade(&desk, &["--format", "json", "--who", who, "--seed", "1"]).code(1).get_output().stdout.clone();
        std::fs::write(results.join(format!("{}.json", who.len())), result).unwrap();
    }
    let folder = results.to_str().unwrap();
    let csv = podlab(&cluster, ["class", "report", folder, "--format", "csv"]).assert().success().stderr(is_empty());
    let csv = String::from_utf8(csv.get_output().stdout.clone()).unwrap();
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines[0], "who,exercise,ended,got,of,hints,solution,first failure,diagnosis,reason,seed");
    assert!(lines[1].starts_with("'=cmd(),settings-asked,not-begun,0,4,0,unseen,"), "{csv}");
    assert!(lines[2].starts_with("ada,") && lines[3].starts_with("grace,"), "{csv}");
    let html = podlab(&cluster, ["class", "report", folder]).assert().success();
    html.stdout(contains("<caption>Who is how far</caption>").and(contains("<th scope=\"row\">ada</th>")));
    std::fs::write(results.join("other.json"), "{}").unwrap();
    podlab(&cluster, ["class", "report", folder]).assert().code(1).stdout(is_empty()).stderr(contains("other.json"));
}

#[test]
fn a_folder_without_exercises_is_not_graded() {
    let cluster = Cluster::builder().prepare();
    let refused = podlab(&cluster, ["grade", cluster.scratch().to_str().unwrap()]).assert().code(1).stdout(is_empty());
    refused.stderr(contains("no folder of any exercise").and(contains("podlab init")));
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
