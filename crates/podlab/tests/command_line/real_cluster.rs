//! Labs and exercises on a cluster that is known by nothing but its kubeconfig. Another Podlab plays it: its state directory
//! is not named, and its kubeconfig lies elsewhere.

use podlab_testkit::{Cluster, Kubectl};
use predicates::prelude::*;
use predicates::str::{contains, ends_with};

use crate::podlab;
use crate::workspace::{Desk, of_kuard};

#[test]
fn labs_checks_and_gradings_run_on_any_cluster() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let theirs = Cluster::start();
    let ours = Cluster::builder().environment("PODLAB_KUBECTL", kubectl.program()).prepare();
    let config = ours.scratch().join("their.kubeconfig");
    std::fs::copy(theirs.kubeconfig(), &config).unwrap();
    let there = ["--kubeconfig", config.to_str().unwrap()];
    let run = |words: &[&str]| podlab(&ours, words.iter().chain(&there).copied()).assert();

    run(&["lab", "verify", "kuard"]).success().stdout("kuard … as recorded\n");

    let desk = Desk::new(&ours);
    let at_desk = |words: &[&str]| desk.podlab("", words.iter().chain(&there).copied()).assert();
    at_desk(&["check"]).code(1).stdout(contains("registry-switched-off"));
    desk.write("first-pod/first-pod.yaml", &of_kuard("first-pod/solutions/solution.yaml"));
    at_desk(&["check", "first-pod"]).success().stdout(contains("passed, 2 of 2 points"));
    at_desk(&["grade"]).code(1).stdout(contains("first-pod: passed, 2 of 2 points"));
    at_desk(&["pack", "check", concat!(env!("CARGO_MANIFEST_DIR"), "/../../packs/example")])
        .success()
        .stdout(ends_with("nothing is wrong with the pack\n"));

    // What needs Podlab's own machine is neither passed nor failed.
    let workbook = ours.scratch().join("workbook");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packs/example");
    crate::class::copy(example.as_ref(), &workbook);
    for file in ["labs/settings/lab.yaml", "labs/settings/exercises/settings-asked/exercise.yaml"] {
        let text = std::fs::read_to_string(workbook.join(file)).unwrap();
        std::fs::write(workbook.join(file), text.replace("needs: []\n", "") + "\nneeds: [podlab]\n").unwrap();
    }
    let needy = |words: &[&str]| {
        let mut command = podlab(&ours, words.iter().chain(&there).copied());
        command.env("PODLAB_WORKBOOK", &workbook).current_dir(ours.scratch()).assert()
    };
    needy(&["lab", "run", "settings", "--auto"]).code(2).stdout(contains("a cluster of Podlab's own"));
    let solution = workbook.join("labs/settings/exercises/settings-asked/solutions/solution.yaml");
    let unchecked = needy(&["check", "settings-asked", solution.to_str().unwrap()]).code(2);
    unchecked.stdout(contains("could not be checked; this is not a pass").and(contains("0 of 4 points")));

    let left = theirs.kubectl(&kubectl, ["get", "namespaces", "-o", "name"]).success();
    assert!(!left.stdout.contains("check-"), "{left}");
    ours.gone();
    theirs.stop();
}
