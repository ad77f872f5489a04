//! A client that nobody here wrote, and that is not kubectl: the Python package `kubernetes`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use podlab_testkit::{Cluster, DEADLINE, could_not_run};
use serde_json::{Value, json};

/// A Python that has the package: `$PODLAB_PYTHON`, the one on `PATH`, or Debian's own.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("PODLAB_PYTHON");
    let candidates = named.into_iter().chain(["python3", "/usr/bin/python3"].map(OsString::from));
    let has_package = |python: &OsString| {
        Command::new(python).args(["-c", "import kubernetes"]).output().is_ok_and(|output| output.status.success())
    };
    let found = candidates.into_iter().find(has_package);
    if found.is_none() {
        could_not_run("needs Python with the package `kubernetes` (Debian: python3-kubernetes)");
    }
    found.map(PathBuf::from)
}

#[test]
fn the_python_client_library_does_everything() {
    let Some(python) = python() else { return };
    let cluster = Cluster::start();
    // The library caches discovery there.
    let temporary = cluster.scratch().join("python");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = assert_cmd::Command::new(python);
    command.arg("-B").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/command_line/library/client.py"));
    command.arg(cluster.kubeconfig()).env("HOME", cluster.home()).env("TMPDIR", &temporary).timeout(DEADLINE * 2);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), cluster.logs());
    let mut seen: Value = serde_json::from_slice(&output.stdout).unwrap();

    let log = seen["log"].take();
    assert!(log.as_str().unwrap().contains("Serving on HTTP on :8080"), "{log}");
    assert_eq!(
        seen,
        json!({
            "version": "v1.32.13",
            "before": 0,
            "created": "kuard",
            "again": [409, "AlreadyExists"],
            "invalid": [422, "Invalid"],
            "missing": [404, "NotFound"],
            "watched": ["ADDED", "MODIFIED"],
            "listed": ["kuard"],
            "labels": {"app": "kuard", "one": "1", "two": "2"},
            "exec": {"out": "out\n", "err": "err\n", "code": 7},
            "cat": 1000,
            "log": null,
            "forwarded": {"first": "HTTP/1.1 200 OK", "error": null},
            "replicas": 0,
            "discovered": "kuard",
            "after": [404, "NotFound"],
        })
    );
    cluster.stop();
}
