//! Manifests that are wrong: the answer is the real server's, and nothing changes.

use std::fmt::Write as _;

use podlab_testkit::{Cluster, Kubectl, Output};

/// Applies a text as a file of the given name.
fn apply(cluster: &Cluster, kubectl: &Kubectl, text: &str) -> Output {
    let manifest = cluster.scratch().join("pod.yaml");
    std::fs::write(&manifest, text).unwrap();
    cluster.kubectl(kubectl, ["apply", "-f", manifest.to_str().unwrap()])
}

#[test]
fn a_bad_manifest_is_refused_and_changes_nothing() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    let pods = |cluster: &Cluster| cluster.kubectl(&kubectl, ["get", "pods", "-A", "-o", "json"]).success().stdout;
    let before = pods(&cluster);
    let container = "spec:\n  containers:\n  - name: c\n    image: busybox\n";
    let cases = [
        ("not yaml", "a: b: c\n".to_owned(), "error converting YAML to JSON"),
        (
            "unknown field",
            format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n{container}    resouces: {{}}\n"),
            "unknown field \"spec.containers[0].resouces\"",
        ),
        (
            "wrong type",
            format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n{container}    command: 7\n"),
            "cannot unmarshal number into Go struct field Container.spec.containers.command of type []string",
        ),
        (
            "no name",
            format!("apiVersion: v1\nkind: Pod\nmetadata: {{}}\n{container}"),
            "resource name may not be empty",
        ),
    ];
    for (name, manifest, expected) in cases {
        let refused = apply(&cluster, &kubectl, &manifest).failure(1);
        assert!(refused.stderr.contains(expected), "{name}: {refused}");
    }
    assert_eq!(pods(&cluster), before);
    cluster.stop();
}

#[test]
fn five_mebibytes_are_refused_before_they_are_read() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    let mut manifest = String::from("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: big\ndata:\n");
    for line in 0..5 * 1024 {
        writeln!(manifest, "  k{line}: {}", "x".repeat(1024)).unwrap();
    }
    let refused = apply(&cluster, &kubectl, &manifest).failure(1);
    assert!(refused.stderr.contains("Request entity too large: limit is 3145728"), "{refused}");
    cluster.kubectl(&kubectl, ["get", "namespaces"]).success();
    cluster.stop();
}
