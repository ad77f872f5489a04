//! The command line as a person or a script meets it. Each test has a cluster of its own, inside the leak ledger.
#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

mod bad_input;
mod book;
mod both_clients;
mod class;
mod clients;
mod clock;
mod cluster_dns;
mod debug;
mod deletion;
mod doctor;
mod git_sync;
mod help;
mod images;
mod lab;
mod library;
mod life;
mod local_proxy;
mod nfs;
mod nodes;
mod persistent;
mod plug;
mod probes;
mod pulls;
mod real_cluster;
mod rootless;
mod secrets;
mod services;
mod side_by_side;
mod simulate;
mod slow_readers;
mod spec_fields;
mod trouble;
mod usage;
mod volumes;
mod watch;
mod workspace;
mod xray;

use assert_cmd::Command;
use podlab_testkit::{Cluster, DEADLINE, Kubectl};

/// `podlab ARGUMENTS` for this cluster, with a deadline.
fn podlab<'a>(cluster: &Cluster, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::from_std(cluster.command(arguments));
    command.timeout(DEADLINE);
    command
}

/// A Pod that the built-in images can run.
const KUARD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: kuard
spec:
  containers:
    - image: gcr.io/kuar-demo/kuard-amd64:1
      name: kuard
      ports:
        - containerPort: 8080
          name: http
          protocol: TCP
";

/// Creates the Pod `kuard` and waits until it serves.
#[track_caller]
fn run_kuard(cluster: &Cluster, kubectl: &Kubectl) {
    let manifest = cluster.scratch().join("kuard.yaml");
    std::fs::write(&manifest, KUARD).unwrap();
    cluster.kubectl(kubectl, ["apply", "-f", manifest.to_str().unwrap()]).success();
    wait_for_kuard(cluster, kubectl);
}

#[track_caller]
fn wait_for_kuard(cluster: &Cluster, kubectl: &Kubectl) {
    cluster.kubectl(kubectl, ["wait", "--for=condition=Ready", "pod/kuard", "--timeout=60s"]).success();
}
