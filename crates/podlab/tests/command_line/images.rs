//! `podlab image …`, which needs no cluster, and the images of one.

use std::time::Instant;

use assert_cmd::Command;
use k8s_openapi::api::core::v1::Pod;
use podlab_testkit::{DEADLINE, Kubectl, Registry, could_not_run};
use predicates::prelude::{PredicateBooleanExt, predicate};
use predicates::str::contains;
use serde_json::{Value, json};

use super::plug::rig::Rig;
use super::pulls::event;

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

/// What was loaded and is not run goes: when the disk is fuller than it may be, and when it is asked for.
#[test]
fn images_that_nobody_runs_go_and_those_that_run_stay() {
    let Some(kubectl) = Kubectl::any() else { return };
    let rig = Rig::start();
    for name in ["nginx:latest", "busybox:1.36"] {
        let archive = rig.cluster.scratch().join("image.tar");
        rig.cluster.podlab(["image", "save", name, "--output", archive.to_str().unwrap()]).success();
        rig.cluster.podlab(["image", "load", archive.to_str().unwrap()]).success();
    }
    rig.create::<Pod>(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "nginx", "imagePullPolicy": "IfNotPresent"}]},
    }));
    rig.until_ready("web");
    let built_in = |name: &str| {
        let shown: Value =
            serde_json::from_str(&rig.cluster.podlab(["image", "inspect", name]).success().stdout).unwrap();
        !shown["builtIn"].is_null()
    };
    assert!(!built_in("nginx") && !built_in("busybox:1.36"));

    // No disk is empty enough for these, so it is looked at once: as soon as the cluster is there again.
    rig.cluster.podlab(["stop"]).success();
    let thresholds = ["--image-gc-high-threshold=1", "--image-gc-low-threshold=0"];
    rig.cluster.podlab([&["start", "--detach", "--no-book", "--no-dns"][..], &thresholds].concat()).success();
    let told = event(&rig, &kubectl, "node1", "FreeDiskSpaceFailed");
    assert!(told.starts_with("Failed to garbage collect required amount of images. Attempted to free "), "{told}");
    assert!(built_in("busybox:1.36") && !built_in("nginx"));
    rig.until_ready("web");
    let page = ["exec", "web", "--", "cat", "/usr/share/nginx/html/index.html"];
    assert!(rig.cluster.kubectl(&kubectl, page).success().stdout.contains("Welcome to nginx!"));

    assert_eq!(rig.cluster.podlab(["image", "prune"]).success().stdout, "0.0 MB removed\n");
    rig.delete("web", 0);
    rig.until_gone("web");
    // The Pod is gone from the API a moment before its containers are gone from the node.
    let end = Instant::now() + DEADLINE;
    while !rig.cluster.podlab(["image", "prune"]).success().stdout.starts_with("docker.io/library/nginx:latest\n") {
        assert!(Instant::now() < end, "{}", rig.cluster.podlab(["image", "ls"]));
    }
    assert!(built_in("nginx"));
    rig.cluster.podlab(["start", "--image-gc-low-threshold=90"]).failure(1);
    rig.cluster.stop();
}

/// What other tools put into a registry is pulled whole: both kinds of manifests, and layers that they compressed.
#[test]
fn what_skopeo_puts_into_a_registry_is_pulled() {
    let Some(registry) = Registry::start() else { return };
    if std::process::Command::new("skopeo").arg("--version").output().is_err() {
        return could_not_run("skopeo is not installed: apt-get install skopeo");
    }
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("image.tar");
    let path = archive.to_str().unwrap();
    image(&directory, &["save", "debian", "--output", path]).assert().success();
    let id = |directory: &tempfile::TempDir, name: &str| {
        let output = image(directory, &["inspect", name]).output().unwrap();
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        (shown["id"].clone(), shown["layers"].as_array().unwrap().len(), shown["config"].clone())
    };
    image(&directory, &["load", path]).assert().success();
    let original = id(&directory, "debian");
    for (format, from) in [("v2s2", "docker-archive"), ("oci", "docker-archive"), ("oci", "oci-archive")] {
        let there = tempfile::tempdir().unwrap();
        let name = format!("{}/{from}/{format}:1", registry.address());
        Command::new("skopeo")
            .args(["copy", "--insecure-policy", "--dest-tls-verify=false", "--format", format, "--tmpdir"])
            .arg(there.path())
            .args([&format!("{from}:{path}"), &format!("docker://{name}")])
            .timeout(DEADLINE)
            .assert()
            .success();
        image(&there, &["pull", &name]).assert().success().stdout(contains(format!("/{from}/{format}@sha256:")));
        let pulled = id(&there, &name);
        // A conversion may write the configuration anew; what runs is the same.
        assert_eq!((pulled.1, &pulled.2), (original.1, &original.2), "{from} {format}");
        if format == "v2s2" {
            assert_eq!(pulled.0, original.0);
        }
        let page = image(&there, &["inspect", &name]).output().unwrap();
        let shown: Value = serde_json::from_slice(&page.stdout).unwrap();
        let layers: Vec<&str> = shown["layers"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let file = "etc/os-release";
        let found = layers.iter().any(|layer| std::path::Path::new(layer).join(file).symlink_metadata().is_ok());
        assert!(found, "{layers:?}");
    }
}
