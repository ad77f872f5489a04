//! `podlab image …`, which needs no cluster.

use assert_cmd::Command;
use podlab_testkit::DEADLINE;
use predicates::prelude::{PredicateBooleanExt, predicate};
use predicates::str::contains;

/// `podlab --dir DIRECTORY image ARGUMENTS`.
fn image(directory: &tempfile::TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podlab"));
    command.arg("--dir").arg(directory.path()).arg("image").args(arguments).timeout(DEADLINE);
    command
}

#[test]
fn the_images_of_the_texts_are_there_and_say_what_they_are() {
    let directory = tempfile::tempdir().unwrap();
    image(&directory, &["ls"]).assert().success().stdout(
        contains("gcr.io/kuar-demo/kuard-amd64:1 ")
            .and(contains("docker.io/library/nginx:latest (+"))
            .and(contains("built in: ")),
    );
    image(&directory, &["inspect", "nginx"]).assert().success().stdout(
        contains("\"docker.io/library/nginx:latest\"")
            .and(contains("\"80/tcp\""))
            .and(contains("\"StopSignal\": \"SIGQUIT\"")),
    );
    image(&directory, &["rm", "nginx"]).assert().failure().stderr(contains("is built in"));
    image(&directory, &["inspect", "nosuch"]).assert().failure().stderr(contains("podlab image pull nosuch"));
    image(&directory, &["inspect", "No Such"]).assert().failure().stderr(contains("invalid reference format"));
}

#[test]
fn an_image_goes_from_one_store_to_another() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = here.path().join("busybox.tar");
    let path = archive.to_str().unwrap();
    image(&here, &["save", "busybox:1.36", "--output", path]).assert().success();
    image(&there, &["load", path]).assert().success().stdout("docker.io/library/busybox:1.36\n");
    image(&there, &["inspect", "busybox:1.36"]).assert().success().stdout(contains("\"builtIn\": null"));
    image(&there, &["rm", "busybox:1.36"]).assert().success();
    image(&there, &["inspect", "busybox:1.36"]).assert().success().stdout(contains("\"builtIn\": \""));

    let nothing = here.path().join("nothing.tar");
    image(&here, &["save", "nosuch", "--output", nothing.to_str().unwrap()]).assert().failure();
    assert!(!nothing.exists(), "a save that fails leaves no archive");
    image(&there, &["load", here.path().join("podlab.lock").to_str().unwrap()])
        .assert()
        .failure()
        .stderr(predicate::str::is_empty().not());
}
