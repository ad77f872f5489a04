//! `podlab doctor` tries things; what may fail on a machine of ours is a committed set, anything else fails here.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::Command;

use podlab_testkit::Cluster;

/// May fail as root, with the reason.
const ROOT: [&str; 3] = [
    // Kernels of virtual machines often come without the client.
    "nfs",
    // CAP_SYS_RESOURCE is not in every root's bounding set.
    "protection from the OOM killer",
    // Not part of this project; the tests that need it say so themselves.
    "kubectl",
];

/// May fail in addition for a user without any privilege.
const NOBODY: [&str; 5] = [
    // Nobody delegated a subtree to this user.
    "cgroup cpu",
    "cgroup memory",
    "cgroup pids",
    // No range in /etc/subuid.
    "subordinate ids",
    // A device for members of a group on some distributions.
    "fuse",
];

/// The items that do not work, in what `doctor --output json` printed.
fn refused(output: &std::process::Output) -> BTreeSet<String> {
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(findings.len() >= 15, "everything was tried: {findings:#?}");
    let refused = findings.iter().filter(|finding| finding["verdict"] != "works");
    let refused: BTreeSet<_> = refused
        .map(|finding| {
            assert!(finding["touches"].is_string() && finding["detail"] != "", "says what and why: {finding}");
            finding["item"].as_str().unwrap().to_owned()
        })
        .collect();
    let code = if refused.is_empty() { 0 } else { 2 };
    assert_eq!(output.status.code(), Some(code), "{refused:?}");
    refused
}

fn permitted(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

#[test]
fn what_this_user_may_not_have_is_in_the_permitted_set() {
    let cluster = Cluster::builder().prepare();
    let output = cluster.command(["doctor", "--output", "json"]).output().unwrap();
    let root = rustix::process::geteuid().is_root();
    let permitted = if root { permitted(&ROOT) } else { permitted(&[&ROOT[..], &NOBODY].concat()) };
    let refused = refused(&output);
    assert!(refused.is_subset(&permitted), "{:?}", refused.difference(&permitted));
}

#[test]
fn what_nobody_may_not_have_is_in_the_permitted_set() {
    if !rustix::process::geteuid().is_root() {
        podlab_testkit::could_not_run("only root can become nobody");
        return;
    }
    // The build folder may be closed to others.
    let place = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .prefix("podlab-test-")
        .tempdir()
        .unwrap();
    let program = place.path().join("podlab");
    std::fs::copy(podlab_testkit::podlab(), &program).unwrap();
    let output = Command::new(program)
        .args(["doctor", "--output", "json"])
        .env("PODLAB_DIR", "/nonexistent/podlab")
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let permitted = permitted(&[&ROOT[..], &NOBODY].concat());
    let refused = refused(&output);
    assert!(refused.is_subset(&permitted), "{:?}", refused.difference(&permitted));
}
