//! Every lab on a real cluster, with the real kubectl: its transcripts are the snapshots that the book shows.
//!
//! To record again after a change that is meant: `INSTA_UPDATE=always cargo test -p podlab-labs --test labs`, and read
//! the difference.

#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use podlab_labs::format::Library;
use podlab_labs::runner::{Runner, Stream};
use podlab_labs::{Cluster, Workbook};
use podlab_testkit::Kubectl;

fn workbook() -> Workbook {
    Workbook::at(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap())
}

/// A labs cluster on top of a testkit one.
fn cluster(of: &podlab_testkit::Cluster, kubectl: &Kubectl) -> Cluster {
    let cluster = Cluster::new(of.kubeconfig()).with_dir(of.directory());
    Cluster { kubectl: podlab_labs::Kubectl::Program(kubectl.program().to_owned()), ..cluster }
}

/// Runs a lab on a cluster of its own and holds every transcript against its snapshot.
fn lab(name: &str) {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let library = Library::load(&workbook().labs()).unwrap();
    let lab = library.lab(name).unwrap();
    let running = podlab_testkit::Cluster::start();
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
    let settings = settings(library.folder(lab).join("snapshots"));
    for (step, transcript) in transcripts {
        settings.bind(|| assert_snapshot!(step, transcript.to_string()));
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
fn manifest() {
    lab("manifest");
}

/// A lab without its test would be one that nobody ran.
#[test]
fn every_lab_has_a_test() {
    let source = include_str!("labs.rs");
    for lab in Library::load(&workbook().labs()).unwrap().labs() {
        assert!(source.contains(&format!("    lab(\"{}\");", lab.name)), "no test runs the lab {}", lab.name);
    }
}
