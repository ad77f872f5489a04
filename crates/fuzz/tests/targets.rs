//! Every target on its seeds and on changes of them.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use podlab_fuzz::mutate::{Random, mutate};
use podlab_fuzz::{TARGETS, target};

/// Changed inputs of each target: some seconds, all together.
const ROUNDS: usize = 3000;
/// Those of targets that run a whole server.
const SERVER_ROUNDS: usize = 600;

#[track_caller]
fn run(name: &str) {
    let target = target(name).unwrap();
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    for seed in &seeds {
        (target.run)(seed);
    }
    let whole_server = ["http", "websocket", "spdy", "tunnel"].contains(&name);
    for round in 0..if whole_server { SERVER_ROUNDS } else { ROUNDS } {
        let input = mutate(&seeds[round % seeds.len()], &seeds, &mut Random::new(round as u64));
        let result = std::panic::catch_unwind(|| (target.run)(&input));
        assert!(result.is_ok(), "{name}, round {round}: {:?}", String::from_utf8_lossy(&input));
    }
}

macro_rules! targets {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test] fn $test() { run($name); })*

        #[test]
        fn all_targets_are_run() {
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), [$($name),*]);
        }
    };
}

targets! {
    yaml: "yaml",
    json: "json",
    protobuf: "protobuf",
    json_patch: "json-patch",
    merge_patch: "merge-patch",
    strategic_patch: "strategic-patch",
    selectors: "selectors",
    quantities: "quantities",
    http: "http",
    websocket: "websocket",
    spdy: "spdy",
    tunnel: "tunnel",
    nfs: "nfs",
}
