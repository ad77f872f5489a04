//! A learner's folder: `podlab init`, `check`, `hint`, `solution`, `reset`, `list`, and what git makes of the progress.

use std::path::{Path, PathBuf};
use std::process::Command as Program;

use assert_cmd::Command;
use podlab_testkit::{Cluster, Kubectl, could_not_run};
use predicates::prelude::*;
use predicates::str::{contains, ends_with, is_empty};

use crate::podlab;

/// A workspace beside a cluster, and a command line in it.
pub(crate) struct Desk<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) folder: PathBuf,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Desk<'a> {
        let folder = cluster.scratch().join("pods");
        podlab(cluster, ["init", folder.to_str().unwrap()]).assert().success().stderr(is_empty());
        Desk { cluster, folder }
    }

    pub(crate) fn podlab<'w>(&self, below: &str, words: impl IntoIterator<Item = &'w str>) -> Command {
        let mut command = podlab(self.cluster, words);
        command.current_dir(self.folder.join(below));
        command
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.join(file), text).unwrap();
    }

    /// The line of the progress file about an exercise.
    pub(crate) fn progress(&self, exercise: &str) -> Option<String> {
        let text = self.read("progress.txt");
        text.lines().find(|line| line.starts_with(&format!("{exercise} "))).map(str::to_owned)
    }
}

/// A file of an exercise of the lab `kuard`.
pub(crate) fn of_kuard(file: &str) -> String {
    let labs = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("labs");
    std::fs::read_to_string(labs.join("kuard/exercises").join(file)).unwrap()
}

#[test]
fn a_workspace_is_a_folder_an_exercise_and_nothing_in_it_is_ever_overwritten() {
    let cluster = Cluster::builder().prepare();
    let desk = Desk::new(&cluster);
    assert_eq!(desk.read("first-pod/first-pod.yaml"), of_kuard("first-pod/starter.yaml"));
    assert!(desk.read("first-pod/task.md").starts_with("# A registry that is gone\n\n1 minute, 2 points."));
    assert!(desk.read("README.md").contains("(first-pod/task.md), 1 min"));
    assert_eq!(desk.read(".gitattributes"), "progress.txt merge=union\n");

    // What has come since is added; the learner's work stays.
    desk.write("first-pod/first-pod.yaml", "mine");
    std::fs::remove_dir_all(desk.folder.join("kuard-ports")).unwrap();
    desk.podlab("", ["init", "."]).assert().success().stdout(contains("1 new exercise;"));
    assert_eq!(desk.read("kuard-ports/kuard-ports.yaml"), of_kuard("kuard-ports/starter.yaml"));
    assert_eq!(desk.read("first-pod/first-pod.yaml"), "mine");

    // Somebody's other folder is left alone.
    let other = cluster.scratch().join("thesis");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("thesis.tex"), "years of work").unwrap();
    let refused = podlab(&cluster, ["init", other.to_str().unwrap()]).assert().code(1).stdout(is_empty());
    refused.stderr(contains("not empty").and(contains("new folder")));
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
}

#[test]
fn hints_come_one_by_one_and_are_remembered() {
    let cluster = Cluster::builder().prepare();
    let desk = Desk::new(&cluster);
    for (expected, line) in [("hint 1 of 3", "hints:1"), ("hint 2 of 3", "hints:2"), ("hint 3 of 3", "hints:3")] {
        desk.podlab("kuard-ports", ["hint"]).assert().success().stdout(contains(expected)).stderr(is_empty());
        assert!(desk.progress("kuard-ports").unwrap().ends_with(line));
    }
    desk.podlab("", ["hint", "kuard-ports", "--tier", "1"]).assert().success().stdout(contains("hint 1 of 3"));
    assert!(desk.progress("kuard-ports").unwrap().ends_with("hints:3"), "a lower one takes nothing back");
    desk.podlab("", ["hint", "--tier", "4"]).assert().code(2).stderr(contains("4"));
    // The first exercise that is open, where the folder says nothing.
    desk.podlab("", ["hint"]).assert().success().stdout(contains("first-pod, hint 1 of 3"));
    // Without a workspace a name is needed, and nothing is written.
    podlab(&cluster, ["hint"]).current_dir(cluster.scratch()).assert().code(1).stderr(contains("podlab init"));
    let anywhere = podlab(&cluster, ["hint", "kuard-ports"]).current_dir(cluster.scratch()).assert().success();
    anywhere.stdout(contains("hint 1 of 3"));
}

#[test]
fn a_solution_has_to_be_earned_or_given_up_for() {
    let cluster = Cluster::builder().prepare();
    let desk = Desk::new(&cluster);
    let refused = desk.podlab("kuard-ports", ["solution"]).assert().code(1).stdout(is_empty());
    refused.stderr(contains("not passed yet").and(contains("podlab hint kuard-ports")));
    assert_eq!(desk.progress("kuard-ports"), None);
    let given = desk.podlab("kuard-ports", ["solution", "--give-up"]).assert().success();
    given.stdout(contains(of_kuard("kuard-ports/solutions/solution.yaml")).and(contains("+    team: whales")));
    assert_eq!(desk.progress("kuard-ports").unwrap(), "kuard-ports open 0/0 solution:gave-up");
    desk.podlab("", ["list"]).assert().success().stdout(contains("solution seen before passing"));
}

#[test]
fn reset_keeps_what_was_there() {
    let cluster = Cluster::builder().prepare();
    let desk = Desk::new(&cluster);
    for (mine, aside) in [("one", "first-pod.yaml.before-1"), ("two", "first-pod.yaml.before-2")] {
        desk.write("first-pod/first-pod.yaml", mine);
        desk.podlab("first-pod", ["reset"]).assert().success().stdout(contains(aside));
        assert_eq!(desk.read(&format!("first-pod/{aside}")), mine);
        assert_eq!(desk.read("first-pod/first-pod.yaml"), of_kuard("first-pod/starter.yaml"));
    }
    // An answer that is gone comes back.
    std::fs::remove_dir_all(desk.folder.join("first-pod")).unwrap();
    desk.podlab("", ["reset", "first-pod"]).assert().success();
    assert_eq!(desk.read("first-pod/first-pod.yaml"), of_kuard("first-pod/starter.yaml"));
}

#[test]
fn a_newcomer_is_green_after_one_line() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = Cluster::builder().environment("PODLAB_KUBECTL", kubectl.program()).start();
    let desk = Desk::new(&cluster);
    let red = desk.podlab("", ["check"]).assert().code(1).stderr(is_empty());
    red.stdout(contains("registry-switched-off").and(ends_with("a hint: podlab hint first-pod\n")));
    assert_eq!(desk.progress("first-pod").unwrap(), "first-pod tried 0/2");

    let mended =
        desk.read("first-pod/first-pod.yaml").replace("registry.invalid/kuard", "gcr.io/kuar-demo/kuard-amd64");
    desk.write("first-pod/first-pod.yaml", &mended);
    let green = desk.podlab("first-pod", ["check"]).assert().success().stderr(is_empty());
    green.stdout(
        contains("passed, 2 of 2 points")
            .and(contains("next: Two doors with names, 10 minutes: ../kuard-ports/task.md")),
    );
    assert_eq!(desk.progress("first-pod").unwrap(), "first-pod passed 2/2");
    desk.podlab("first-pod", ["solution"]).assert().success().stdout(contains("# first-pod: solution.yaml"));
    assert_eq!(desk.progress("first-pod").unwrap(), "first-pod passed 2/2 solution:after-passing");

    // A try with another file is no progress, and neither is what could not be checked.
    desk.write("try.yaml", &of_kuard("kuard-ports/solutions/solution.yaml"));
    desk.podlab("", ["check", "kuard-ports", "try.yaml"]).assert().success().stdout(contains("passed, 8 of 8"));
    assert_eq!(desk.progress("kuard-ports"), None);
    cluster.podlab(["stop"]).success();
    desk.podlab("", ["check"]).assert().code(2).stdout(contains("could not check"));
    assert_eq!(desk.progress("kuard-ports"), None);
    desk.podlab("", ["list"]).assert().success().stdout(contains("first-pod").and(contains("1 of ")));
    cluster.gone();
}

#[test]
fn git_merges_the_progress_of_two_machines() {
    let cluster = Cluster::builder().prepare();
    let desk = Desk::new(&cluster);
    let git = |words: &[&str]| {
        let identity =
            ["-c", "user.name=learner", "-c", "user.email=learner@example.org", "-c", "init.defaultBranch=home"];
        let mut git = Program::new("git");
        git.args(identity).args(words).current_dir(&desk.folder).env("HOME", cluster.home());
        git.env("GIT_CONFIG_NOSYSTEM", "1").output()
    };
    if git(&["--version"]).is_err() {
        return could_not_run("there is no git");
    }
    let git = |words: &[&str]| {
        let output = git(words).unwrap();
        assert!(output.status.success(), "git {words:?}: {output:?}");
    };
    let header = desk.read("progress.txt");
    desk.write("progress.txt", &format!("{header}first-pod tried 0/2\nkuard-ports tried 3/8\n"));
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "begun"]);
    git(&["checkout", "-qb", "school"]);
    desk.write("progress.txt", &format!("{header}first-pod passed 2/2\nkuard-ports tried 3/8 hints:2\n"));
    git(&["commit", "-qam", "at school"]);
    git(&["checkout", "-q", "home"]);
    desk.write("progress.txt", &format!("{header}first-pod tried 0/2 hints:1\nkuard-ports passed 8/8\n"));
    git(&["commit", "-qam", "at home"]);
    git(&["merge", "-q", "-m", "both", "school"]);
    let list = desk.podlab("", ["list"]).assert().success();
    list.stdout(contains("2 of ").and(contains("hints read: 1")).and(contains("hints read: 2")));

    desk.write("progress.txt", &format!("{header}<<<<<<< HEAD\n"));
    desk.podlab("", ["list"]).assert().code(1).stderr(contains("line 3").and(contains("mend that line")));
}
