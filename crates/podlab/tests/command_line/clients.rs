//! The first chapter's commands with each supported kubectl, unmodified.

use podlab_testkit::{Cluster, Kubectl, run};

use crate::{KUARD, run_kuard};

/// Everything a reader does with their first Pod, with one version of the client.
#[track_caller]
fn first_pod(version: &str) {
    let Some(kubectl) = Kubectl::find(version) else { return };
    let cluster = Cluster::start();
    let said = |arguments: &[&str]| cluster.kubectl(&kubectl, arguments).success().stdout;
    run_kuard(&cluster, &kubectl);

    let table = said(&["get", "pods"]);
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["NAME", "READY", "STATUS", "RESTARTS", "AGE"], "{table}");
    assert_eq!(lines.next().unwrap()[..4], ["kuard", "1/1", "Running", "0"], "{table}");
    assert!(lines.next().is_none(), "{table}");
    let wide = said(&["get", "pods", "-o", "wide"]);
    assert!(wide.contains("10.244.0.") && wide.contains("node1"), "{wide}");
    let json: serde_json::Value = serde_json::from_str(&said(&["get", "pod", "kuard", "-o", "json"])).unwrap();
    assert_eq!(json["status"]["phase"], "Running");
    let yaml = said(&["get", "pod", "kuard", "-o", "yaml"]);
    assert!(yaml.contains("\n  qosClass: BestEffort\n"), "{yaml}");

    let description = said(&["describe", "pods", "kuard"]);
    for wanted in
        ["Successfully assigned default/kuard to node1", "Created container: kuard", "Started container kuard"]
    {
        assert!(description.contains(wanted), "{wanted}: {description}");
    }
    assert!(said(&["get", "events"]).contains("Started container kuard"));
    assert!(said(&["logs", "kuard"]).contains("Serving on HTTP on :8080"));
    assert_eq!(said(&["exec", "kuard", "--", "hostname"]), "kuard\n");
    cluster.kubectl(&kubectl, ["exec", "kuard", "--", "sh", "-c", "exit 7"]).failure(7);

    assert_eq!(said(&["delete", "pods/kuard"]), "pod \"kuard\" deleted\n");
    assert_eq!(said(&["run", "kuard", "--image=gcr.io/kuar-demo/kuard-amd64:1"]), "pod/kuard created\n");
    said(&["wait", "--for=condition=Ready", "pod/kuard", "--timeout=60s"]);
    let manifest = cluster.scratch().join("kuard.yaml");
    std::fs::write(&manifest, KUARD).unwrap();
    assert_eq!(said(&["delete", "-f", manifest.to_str().unwrap()]), "pod \"kuard\" deleted\n");
    let empty = cluster.kubectl(&kubectl, ["get", "pods"]).success();
    assert_eq!((empty.stdout.as_str(), empty.stderr.as_str()), ("", "No resources found in default namespace.\n"));
    cluster.stop();
}

#[test]
fn the_first_pod_with_kubectl_1_30() {
    first_pod("1.30");
}

#[test]
fn the_first_pod_with_kubectl_1_31() {
    first_pod("1.31");
}

#[test]
fn the_first_pod_with_kubectl_1_32() {
    first_pod("1.32");
}

#[test]
fn the_first_pod_with_kubectl_1_33() {
    first_pod("1.33");
}

#[test]
fn the_built_in_kubectl_is_about_the_cluster_of_its_directory() {
    let cluster = Cluster::start();
    let nodes = run(cluster.command(["kubectl", "get", "nodes", "-o", "name"]).env_remove("KUBECONFIG")).success();
    assert_eq!(nodes.stdout, "node/node1\n");
    // Unless another is named.
    let other = cluster.scratch().join("other");
    let refused = run(cluster.command(["kubectl", "get", "nodes"]).env("KUBECONFIG", &other)).failure(1);
    assert!(!refused.stderr.is_empty(), "{refused}");
    cluster.stop();
}
