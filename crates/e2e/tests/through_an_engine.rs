//! An image on its way from here to a container engine, to a registry, and back.

use std::path::Path;
use std::process::Command;

use podlab_testkit::{Registry, could_not_run, run};

/// The engine's own client.
fn docker(arguments: &[&str]) -> String {
    run(Command::new("docker").args(arguments)).success().stdout
}

/// `podlab --dir DIRECTORY image ARGUMENTS`.
fn image(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(podlab_testkit::podlab());
    run(command.arg("--dir").arg(directory).arg("image").args(arguments)).success().stdout
}

#[test]
fn an_image_goes_through_an_engine_to_a_registry_and_back() {
    let answers = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    if !answers.is_ok_and(|output| output.status.success()) {
        return could_not_run("needs a container engine and its client: `docker version` finds none");
    }
    let Some(registry) = Registry::start() else { return };
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = here.path().join("image.tar");
    let path = archive.to_str().unwrap();
    image(here.path(), &["save", "debian", "--output", path]);
    let name = format!("{}/by-docker/debian:1", registry.address());
    docker(&["load", "--input", path]);
    docker(&["tag", "debian:latest", &name]);
    docker(&["push", &name]);
    docker(&["rmi", &name, "debian:latest"]);

    let pulled = image(there.path(), &["pull", &name]);
    assert!(pulled.contains("/by-docker/debian@sha256:"), "{pulled}");
    image(here.path(), &["load", path]);
    let shown = |directory: &Path, name: &str| -> serde_json::Value {
        serde_json::from_str(&image(directory, &["inspect", name])).unwrap()
    };
    let (before, after) = (shown(here.path(), "debian"), shown(there.path(), &name));
    assert_eq!(after["id"], before["id"], "the same configuration, and the same layers in it");
    assert_eq!(after["layers"].as_array().unwrap().len(), before["layers"].as_array().unwrap().len());
}
