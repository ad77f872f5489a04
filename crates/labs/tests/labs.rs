//! Every lab on a real cluster, with the real kubectl: its transcripts are the snapshots that the book shows.
//!
//! To record again after a change that is meant: `INSTA_UPDATE=always cargo test -p podlab-labs --test labs`, and read
//! the difference.

#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use podlab_labs::format::Library;
use podlab_labs::needs::Need;
use podlab_labs::runner::{Runner, Stream};
use podlab_labs::transcript::Transcript;
use podlab_labs::{Cluster, Workbook, snapshot};
use podlab_testkit::{Kubectl, kernel_refuses};

fn workbook() -> Workbook {
    Workbook::at(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap())
}

/// A labs cluster on top of a testkit one.
fn cluster(of: &podlab_testkit::Cluster, kubectl: &Kubectl) -> Cluster {
    let cluster = Cluster::new(of.kubeconfig()).with_dir(of.directory());
    Cluster { kubectl: podlab_labs::Kubectl::Program(kubectl.program().to_owned()), ..cluster }
}

/// The labs that look at the cluster's own DNS server. The others do without, and start sooner.
const WITH_DNS: [&str; 1] = ["namespaces"];

/// Whether this host has what a lab needs that the kernels of the gate's machines may not have.
fn kernel_has(lab: &podlab_labs::format::Lab, cluster: &podlab_testkit::Cluster) -> bool {
    if !lab.needs.contains(&Need::Nfs) {
        return true;
    }
    let findings: serde_json::Value =
        serde_json::from_str(&cluster.podlab(["doctor", "--output", "json"]).stdout).unwrap();
    findings.as_array().unwrap().iter().any(|finding| finding["item"] == "nfs" && finding["verdict"] == "works")
}

/// Runs a lab on a cluster of its own: each recorded step's name and normalised transcript, or `None` when there is no
/// kubectl of this version.
fn transcripts(name: &str, version: &str) -> Option<Vec<(String, Transcript)>> {
    let kubectl = Kubectl::find(version)?;
    let library = Library::load(&workbook().labs()).unwrap();
    let lab = library.lab(name).unwrap();
    let builder = podlab_testkit::Cluster::builder();
    if !kernel_has(lab, &podlab_testkit::Cluster::builder().prepare()) {
        kernel_refuses(format!("this kernel mounts no file server, which the lab {name} needs"));
        return None;
    }
    let running = if WITH_DNS.contains(&name) { builder.dns() } else { builder }.start();
    if WITH_DNS.contains(&name) {
        let there = ["wait", "deployment/coredns", "-n", "kube-system", "--for=create", "--timeout=120s"];
        running.kubectl(&kubectl, there).success();
    }
    let cluster = cluster(&running, &kubectl);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let transcripts = runtime.block_on(async {
        let mut runner = Runner::new(lab.clone(), &library.folder(lab), &cluster).unwrap();
        runner.clear().await.unwrap();
        let mut transcripts = Vec::new();
        for position in 0..lab.steps.len() {
            let mut live = |_: Stream, _: &[u8]| {};
            let recorded = runner.step(position, &mut live).await;
            let recorded = recorded.unwrap_or_else(|error| panic!("{name}: {error}\n{}", running.logs()));
            transcripts.extend(recorded.map(|recorded| (recorded.name, recorded.transcript.normalised())));
        }
        // A lab that runs to its end leaves nothing: what cleaning up would delete is gone already.
        runner.clear().await.unwrap();
        transcripts
    });
    running.stop();
    Some(transcripts)
}

/// Holds every transcript of a lab against its snapshot.
fn lab(name: &str) {
    let Some(transcripts) = transcripts(name, "1.32") else { return };
    let library = Library::load(&workbook().labs()).unwrap();
    let settings = settings(library.folder(library.lab(name).unwrap()).join("snapshots"));
    for (step, transcript) in transcripts {
        settings.bind(|| assert_snapshot!(step, transcript.to_string()));
    }
}

/// What another kubectl words otherwise, whatever the server: version, the line of 1.32, its own line.
const WORDED_OTHERWISE: [(&str, &str, &str); 1] = [(
    // A field that is not set: 1.33 prints what that means.
    "1.33",
    "    ConfigMapOptional:       <nil>\n",
    "    Optional:                false\n",
)];

/// Holds what another kubectl prints in a lab against the snapshots of 1.32.
fn lab_as_recorded(name: &str, version: &str) {
    let Some(transcripts) = transcripts(name, version) else { return };
    let library = Library::load(&workbook().labs()).unwrap();
    let lab = library.lab(name).unwrap();
    for (step, transcript) in transcripts {
        let mut recorded = snapshot::read(&library.snapshot(lab, &step)).unwrap().unwrap().to_string();
        for (_, line, own) in WORDED_OTHERWISE.iter().filter(|(other, ..)| *other == version) {
            recorded = recorded.replace(line, own);
        }
        assert_eq!(transcript.to_string(), recorded, "{name}/{step} with kubectl {version}");
    }
}

fn settings(folder: PathBuf) -> insta::Settings {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn kuard() {
    lab("kuard");
}

#[test]
fn kuard_with_kubectl_1_30() {
    lab_as_recorded("kuard", "1.30");
}

#[test]
fn kuard_with_kubectl_1_33() {
    lab_as_recorded("kuard", "1.33");
}

#[test]
fn manifest() {
    lab("manifest");
}

#[test]
fn webserver() {
    lab("webserver");
}

#[test]
fn access() {
    lab("access");
}

#[test]
fn sidecar() {
    lab("sidecar");
}

#[test]
fn emptydir() {
    lab("emptydir");
}

#[test]
fn git_sync() {
    lab("git-sync");
}

#[test]
fn health() {
    lab("health");
}

#[test]
fn lifecycle() {
    lab("lifecycle");
}

#[test]
fn volumes() {
    lab("volumes");
}

#[test]
fn nfs() {
    lab("nfs");
}

#[test]
fn patterns() {
    lab("patterns");
}

#[test]
fn resources() {
    lab("resources");
}

#[test]
fn namespaces() {
    lab("namespaces");
}

#[test]
fn what_is_a_pod() {
    lab("what-is-a-pod");
}

#[test]
fn thinking_with_pods() {
    lab("thinking-with-pods");
}

#[test]
fn scheduling() {
    lab("scheduling");
}

#[test]
fn capstone() {
    lab("capstone");
}

/// A lab without its test would be one that nobody ran.
#[test]
fn every_lab_has_a_test() {
    let source = include_str!("labs.rs");
    for lab in Library::load(&workbook().labs()).unwrap().labs() {
        assert!(source.contains(&format!("    lab(\"{}\");", lab.name)), "no test runs the lab {}", lab.name);
    }
}
