//! Real containers on a real node, made by this test's own program.
//!
//! The program plays every part: run by cargo it is the list of tests; executed again as `internal ROLE …` it is the
//! fabric (and with it node init and the supervisors), the kubelet (which here does nothing), a *scenario* inside the
//! node, or the program inside a container. So the tests need nothing but this machine.
//!
//! What the machine refuses is said in words and counted; under `CI=true` and as root it is a failure. Root also has
//! everything run by a user without any privilege; what that one may be refused is a committed set.

mod balanced;
mod cluster;
mod escapes;
mod hostile;
mod limits;
mod logs;
mod mounts;
mod nobody;
mod pod;
mod program;
mod scenarios;

use std::process::ExitCode;

use cluster::Outcome;
use podlab_linux::{cgroups, fabric, janitor};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match words[..] {
        ["internal", fabric::ROLE, config] => fabric::main(serde_json::from_str(config).expect("fabric configuration")),
        ["internal", janitor::ROLE, config] => {
            janitor::main(serde_json::from_str(config).expect("janitor configuration"))
        }
        ["internal", "kubelet", config] => cluster::idle(config),
        ["internal", "scenario", directory, name] => cluster::enter(directory, name),
        ["internal", "inside", name] => scenarios::run(name),
        ["in-container", ..] => program::main(&words[1..]),
        ref filters => tests(filters),
    }
}

/// Runs the tests whose names contain one of `filters` (all without any), and none that contain what follows a `--skip`.
/// Each has a cluster of its own, and all run at the same time.
fn tests(filters: &[&str]) -> ExitCode {
    let options = ["--exact", "--nocapture", "--test-threads", "--list", "--format", "--show-output", "--ignored"];
    if filters.contains(&"--list") {
        scenarios::ALL.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let (mut wanted, mut skipped) = (Vec::<&str>::new(), Vec::<&str>::new());
    let mut words = filters.iter().filter(|word| !options.contains(*word));
    while let Some(word) = words.next() {
        if *word == "--skip" { skipped.extend(words.next()) } else { wanted.push(word) }
    }
    let chosen = scenarios::ALL
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| wanted.is_empty() || wanted.iter().any(|word| name.contains(word)))
        .filter(|name| !skipped.iter().any(|word| name.contains(word)));
    // As the machine does, and while there is one thread.
    if let Err(refusal) = cgroups::make_writable() {
        println!("containers: cgroups stay read-only: {refusal}");
    }
    if let Err(why) = cluster::possible() {
        println!("containers: could not run on this machine: {why}");
        return if must_run() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = chosen.map(|name| (name, scope.spawn(move || cluster::test(name)))).collect();
        threads.into_iter().map(|(name, thread)| (name, thread.join())).collect()
    });
    let (mut failed, mut unchecked) = (0, 0);
    for (name, result) in &results {
        match result {
            Ok(Ok(Outcome::Passed)) => println!("test {name} ... ok"),
            Ok(Ok(Outcome::CouldNotCheck(why))) => {
                unchecked += 1;
                println!("test {name} ... could not check: {why}");
            }
            Ok(Err(why)) => {
                failed += 1;
                println!("test {name} ... FAILED\n{why}");
            }
            Err(_) => {
                failed += 1;
                println!("test {name} ... PANICKED");
            }
        }
    }
    let passed = results.len() - failed - unchecked;
    let good = failed == 0 && !(unchecked > 0 && must_run()) && nobody::can_do_the_rest(filters);
    let word = if good { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; {unchecked} could not be checked");
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where root runs the gate, what could not be checked is a failure.
fn must_run() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true") && rustix::process::geteuid().is_root()
}
