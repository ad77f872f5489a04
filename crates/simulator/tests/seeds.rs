//! Clusters from seeds: each lives through faults, and comes to rest.

use std::time::Duration;

use podlab_simulator::{Options, Strategy, Waves, run};

/// What a failing seed tells: how to see it again.
fn small(seed: u64) -> String {
    match run(&Options::small(seed)) {
        Ok(report) => report.trace_digest,
        Err(failure) => {
            panic!(
                "{failure}\nsee it again: podlab simulate --nodes 3 --pods 6 --faults --seed {seed} --trace trace.txt"
            )
        }
    }
}

#[test]
fn a_thousand_seeds_come_to_rest() {
    let seeds = std::env::var("PODLAB_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1000_u64);
    let half = seeds / 2;
    std::thread::scope(|scope| {
        scope.spawn(|| (0..half).for_each(|seed| drop(small(seed))));
        (half..seeds).for_each(|seed| drop(small(seed)));
    });
}

#[test]
fn the_same_seed_is_the_same_trace_byte_for_byte() {
    for seed in [7, 77] {
        let options = Options { keep_trace: true, ..Options::small(seed) };
        let (one, other) = (run(&options).unwrap(), run(&options).unwrap());
        assert!(one.trace.as_ref().is_some_and(|trace| trace.lines().count() > 20));
        assert_eq!(one.trace, other.trace);
        assert_eq!(one.trace_digest, small(seed), "kept or not");
    }
    assert_ne!(small(7), small(77));
}

#[test]
fn packing_buys_fewer_nodes_for_the_same_load() {
    let day = |strategy| {
        let options = Options {
            nodes: 12,
            pods: 240,
            seed: 7,
            lasts: Duration::from_secs(6 * 3600),
            faults: false,
            strategy,
            waves: Waves::Day,
            keep_trace: false,
        };
        run(&options).unwrap()
    };
    let (spread, pack) = (day(Strategy::Spread), day(Strategy::Pack));
    assert!(pack.nodes_bought < spread.nodes_bought, "{pack:?} {spread:?}");
    assert!(pack.cpu_utilization > spread.cpu_utilization * 1.2, "{pack:?} {spread:?}");
}
