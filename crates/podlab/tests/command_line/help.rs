//! Words and exit statuses that need no cluster.

use podlab_testkit::Cluster;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};

use crate::podlab;

/// A cluster that is never started.
fn nothing() -> Cluster {
    Cluster::builder().prepare()
}

#[test]
fn help_goes_to_standard_output_and_has_examples() {
    let cluster = nothing();
    podlab(&cluster, ["--help"]).assert().success().stdout(contains("Examples:")).stderr(is_empty());
    podlab(&cluster, ["start", "--help"]).assert().success().stdout(contains("eval \"$(podlab start"));
}

#[test]
fn plain_is_plain_whatever_the_terminal_takes() {
    let cluster = nothing();
    let escape = || contains("\u{1b}").not();
    // A caller may force colours into pipes; those who ask for none still get none.
    let forced = |arguments: &[&str]| {
        let mut command = podlab(&cluster, arguments.iter().copied());
        command.env("CLICOLOR_FORCE", "1");
        command
    };
    forced(&["kubeconfig"]).assert().stderr(contains("\u{1b}"));
    forced(&["--plain", "kubeconfig"]).assert().stderr(escape());
    forced(&["kubeconfig"]).env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE").assert().stderr(escape());
    forced(&["kubeconfig"]).env("TERM", "dumb").assert().stderr(escape());
}

#[test]
fn a_wrong_word_is_answered_on_standard_error_with_what_was_meant() {
    let cluster = nothing();
    let assert = podlab(&cluster, ["strat"]).assert().code(2).stdout(is_empty());
    assert.stderr(contains("start").and(contains("--help")));
    podlab(&cluster, ["start", "--no-book", "--port", "1"]).assert().code(2).stderr(contains("cannot be used with"));
}

#[test]
fn without_a_cluster_each_command_says_how_to_start_one() {
    let cluster = nothing();
    let start_one = || contains("podlab start");
    podlab(&cluster, ["status"]).assert().code(1).stdout(start_one());
    podlab(&cluster, ["stop"]).assert().success().stdout(contains("no cluster runs in"));
    podlab(&cluster, ["kubeconfig"]).assert().code(1).stdout(is_empty()).stderr(start_one());
    podlab(&cluster, ["node", "exec", "node1", "--", "true"]).assert().code(1).stderr(start_one());
    let status = podlab(&cluster, ["status", "--output", "json"]).assert().code(1).get_output().stdout.clone();
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    assert_eq!(status["running"], false);
}

#[test]
fn nothing_is_coloured_that_goes_to_a_pipe() {
    let cluster = nothing();
    let escape = || contains("\u{1b}").not();
    podlab(&cluster, ["kubeconfig"]).assert().stderr(escape());
    podlab(&cluster, ["--help"]).assert().stdout(escape());
    podlab(&cluster, ["no-such-command"]).assert().stderr(escape());
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let cluster = nothing();
    std::fs::create_dir(cluster.directory()).unwrap();
    std::fs::write(cluster.directory().join("thesis.tex"), "years of work").unwrap();
    podlab(&cluster, ["start", "--detach"]).assert().code(1).stderr(contains("holds no Podlab cluster"));
    podlab(&cluster, ["stop", "--delete"]).assert().code(1).stderr(contains("holds no Podlab cluster"));
    assert_eq!(std::fs::read_dir(cluster.directory()).unwrap().count(), 1);
}

#[test]
fn an_internal_role_without_its_argument_ends_with_words() {
    let cluster = nothing();
    podlab(&cluster, ["internal", "fabric"]).assert().code(2).stderr(contains("internal command"));
    podlab(&cluster, ["internal", "nobody"]).assert().code(2).stderr(contains("--help"));
}

#[test]
fn under_another_name_it_is_the_same_program() {
    let cluster = nothing();
    let link = cluster.scratch().join("workbook");
    std::os::unix::fs::symlink(podlab_testkit::podlab(), &link).unwrap();
    let mut command = assert_cmd::Command::new(link);
    command.args(["internal", "nobody"]).assert().code(2).stderr(contains("no internal role 'nobody'"));
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let cluster = nothing();
    for arguments in [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]] {
        let assert = podlab(&cluster, arguments.iter().copied()).assert().success();
        for word in ["start", "kubeconfig", "doctor", "check", "init", "watch", "hint", "solution", "reset"] {
            let text = String::from_utf8_lossy(&assert.get_output().stdout);
            assert!(text.contains(word), "{arguments:?} knows {word}");
        }
    }
}
