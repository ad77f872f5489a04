//! A cluster from a seed, on the command line.

use podlab_testkit::Cluster;
use serde_json::Value;

#[test]
fn a_simulation_says_what_it_is_and_is_the_same_again() {
    // Nothing is started: only its directories are used.
    let cluster = Cluster::builder().prepare();
    let file = cluster.scratch().join("trace.txt");
    let simulate = |more: &[&str]| {
        let arguments = ["simulate", "--nodes", "4", "--pods", "12", "--seed", "7"];
        cluster.podlab(arguments.iter().chain(more)).success().stdout
    };
    let text = simulate(&[]);
    assert!(text.starts_with("Simulated: 4 nodes, 12 Pods, seed 7; nothing of this ran on a kernel.\n"), "{text}");
    assert_eq!(text, simulate(&["--trace", file.to_str().unwrap()]));
    let trace = std::fs::read_to_string(&file).unwrap();
    assert_eq!(trace.lines().filter(|line| line.contains(" bound ")).count(), 12, "{trace}");

    let json = |more: &[&str]| -> Value { serde_json::from_str(&simulate(more)).unwrap() };
    let spread = json(&["--output", "json", "--faults"]);
    assert_eq!((&spread["simulated"], &spread["seed"]), (&true.into(), &7.into()));
    assert_eq!(spread["traceDigest"], json(&["--output", "json", "--faults"])["traceDigest"]);
    let packed = json(&["--output", "json", "--strategy", "pack"]);
    let spread = json(&["--output", "json"]);
    assert!(packed["nodesBought"].as_f64() < spread["nodesBought"].as_f64(), "{packed} {spread}");
    cluster.podlab(["simulate", "--nodes", "0"]).failure(2);
    cluster.gone();
}
