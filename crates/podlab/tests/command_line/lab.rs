//! `podlab lab …` and `podlab check`, as a reader types them.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use podlab_testkit::{Cluster, Kubectl};
use predicates::prelude::*;
use predicates::str::{contains, ends_with, is_empty};
use rustix::process::{Pid, Signal, kill_process};

use crate::podlab;

/// A cluster whose labs use this kubectl.
fn start(kubectl: &Kubectl) -> Cluster {
    Cluster::builder().environment("PODLAB_KUBECTL", kubectl.program()).start()
}

/// How many commands the lab `kuard` asks Enter for.
fn commands_of_kuard() -> usize {
    let lab = std::fs::read_to_string(labs().join("kuard/lab.yaml")).unwrap();
    lab.lines().filter(|line| line.starts_with("    run: ") || line.starts_with("    start: ")).count()
}

pub(crate) fn labs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("labs")
}

#[track_caller]
fn no_pods(cluster: &Cluster, kubectl: &Kubectl) {
    let pods = cluster.kubectl(kubectl, ["get", "pods"]).success();
    assert_eq!(pods.stderr, "No resources found in default namespace.\n", "{pods}");
}

#[test]
fn the_list_needs_no_cluster() {
    let cluster = Cluster::builder().prepare();
    let list = podlab(&cluster, ["lab", "list"]).assert().success().stderr(is_empty());
    list.stdout(contains("kuard").and(contains("Your first Pod")).and(contains("exercise kuard-ports")));
    podlab(&cluster, ["lab", "run", "kuart"]).assert().code(1).stdout(is_empty()).stderr(contains("kuard"));
}

#[test]
fn a_lab_is_verified_against_its_recording() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = start(&kubectl);
    // The second time it does not show what was told of the first.
    for _ in 0..2 {
        podlab(&cluster, ["lab", "verify", "kuard"]).assert().success().stdout("kuard … as recorded\n");
        no_pods(&cluster, &kubectl);
    }

    // What is in the way is the reader's: it is named and left alone.
    cluster.kubectl(&kubectl, ["run", "kuard", "--image=gcr.io/kuar-demo/kuard-amd64:1"]).success();
    let refused = podlab(&cluster, ["lab", "verify", "kuard"]).assert().code(2);
    refused.stdout(contains("could not check").and(contains("pod/kuard")));
    cluster.kubectl(&kubectl, ["get", "pod", "kuard"]).success();
    cluster.stop();
}

#[test]
fn a_recording_that_is_not_true_any_more_is_shown_as_a_difference() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = start(&kubectl);
    let workbook = cluster.scratch().join("workbook");
    copy(labs().parent().unwrap(), &workbook, &["labs", "book"]);
    let recording = workbook.join("labs/kuard/snapshots/get.snap");
    let text = std::fs::read_to_string(&recording).unwrap();
    std::fs::write(&recording, text.replace("1/1", "0/1")).unwrap();
    let mut verify = podlab(&cluster, ["lab", "verify", "kuard"]);
    let differs = verify.env("PODLAB_WORKBOOK", &workbook).assert().code(1);
    differs.stdout(contains("differs").and(contains("-kuard   0/1")).and(contains("+kuard   1/1")));
    no_pods(&cluster, &kubectl);
    cluster.stop();
}

#[test]
fn each_command_of_a_lab_waits_for_enter() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = start(&kubectl);
    let commands = commands_of_kuard();
    let done = "Done. The lab has removed what it made.\n";
    let run = podlab(&cluster, ["lab", "run", "kuard"]).write_stdin("\n".repeat(commands)).assert().success();
    run.stdout(contains("(Enter runs it, q stops)").count(commands).and(ends_with(done)));
    no_pods(&cluster, &kubectl);

    let stopped = podlab(&cluster, ["lab", "run", "kuard"]).write_stdin("\nq\n").assert().code(2);
    stopped.stdout(contains("pod/kuard created").and(ends_with("Stopped. The lab has removed what it made.\n")));
    no_pods(&cluster, &kubectl);

    let auto = podlab(&cluster, ["lab", "run", "kuard", "--auto"]).assert().success();
    auto.stdout(contains("(Enter").not().and(ends_with(done)));
    no_pods(&cluster, &kubectl);
    cluster.stop();
}

#[test]
fn ctrl_c_in_a_lab_removes_what_it_made() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = start(&kubectl);
    let mut command = cluster.command(["lab", "run", "kuard"]);
    let mut run = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut enter = run.stdin.take().unwrap();
    enter.write_all(b"\n").unwrap();
    let mut said = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("pod/kuard created\n") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended before its first command was done");
    }
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("Stopped. The lab has removed what it made.\n"), "{rest}");
    assert_eq!(run.wait().unwrap().code(), Some(2));
    no_pods(&cluster, &kubectl);
    cluster.stop();
}

#[test]
fn a_shell_has_the_files_and_the_cluster_of_its_lab() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = start(&kubectl);
    let shell = |text: &str| {
        let mut shell = podlab(&cluster, ["lab", "shell", "kuard"]);
        shell.env("SHELL", "/bin/sh").write_stdin(text.to_owned()).assert()
    };
    let script = "ls; kubectl apply -f kuard-pod.yaml; touch new; pwd; exit 3\n";
    let done = shell(script).code(3).stdout(contains("slow-goodbye.yaml\n").and(contains("pod/kuard created")));
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(!text.contains("lab.yaml") && !Path::new(text.lines().last().unwrap()).exists(), "{text}");
    cluster.kubectl(&kubectl, ["delete", "pod", "kuard", "--now"]).success();
    cluster.podlab(["stop"]).success();
    shell("").code(1).stderr(contains("podlab start"));
    cluster.gone();
}

#[test]
fn check_says_passed_failed_or_could_not() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let exercise = labs().join("kuard/exercises/kuard-ports");
    let check = |cluster: &Cluster, file: &str| {
        podlab(cluster, ["check", "kuard-ports", exercise.join(file).to_str().unwrap()]).assert()
    };
    let cluster = start(&kubectl);
    check(&cluster, "solutions/solution.yaml").code(0).stdout(contains("passed"));
    let failed = check(&cluster, "starter.yaml").code(1);
    failed.stdout(contains("expected").and(contains("observed")).and(contains("starter.yaml:12:7")));
    podlab(&cluster, ["check", "kuard-ports", "no-such-file.yaml"]).assert().code(1).stderr(contains("starter"));
    podlab(&cluster, ["check", "kuard-prots"]).assert().code(1).stderr(contains("kuard-ports"));
    no_pods(&cluster, &kubectl);
    cluster.podlab(["stop"]).success();
    check(&cluster, "solutions/solution.yaml")
        .code(2)
        .stdout(contains("could not check").and(contains("podlab start")));
    cluster.gone();
}

/// Copies these folders of one directory into another.
fn copy(from: &Path, to: &Path, folders: &[&str]) {
    for folder in folders {
        let (from, to) = (from.join(folder), to.join(folder));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if entry.file_type().unwrap().is_dir() {
                copy(entry.path().parent().unwrap(), &to, &[name.to_str().unwrap()]);
            } else {
                std::fs::copy(entry.path(), to.join(name)).unwrap();
            }
        }
    }
}
