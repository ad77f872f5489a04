//! In which order, and after how long, containers are asked to end and killed.

use serde_json::{Value, json};

use super::replay::{Answer, Play, Script};

fn play(spec: Value, script: Script, duration: u64) -> Play {
    let pod = json!({"metadata": {"name": "p", "namespace": "default", "uid": "uid"}, "spec": spec});
    Play::of(serde_json::from_value(pod).unwrap(), script).run(duration)
}

/// What was done, without when.
fn order(play: &Play) -> Vec<&str> {
    play.done.iter().map(|(_, what)| what.as_str()).collect()
}

/// The whole seconds between two things that were done.
fn between(play: &Play, first: &str, second: &str) -> i128 {
    let at = |wanted: &str| play.done.iter().find(|(_, what)| what == wanted).map(|(at, _)| *at).unwrap();
    (at(second) - at(first)) / 1000
}

/// The main container first, then the sidecars, the last one to have started first.
#[test]
fn sidecars_end_in_reverse() {
    let sidecar = |name: &str| json!({"name": name, "image": "i", "restartPolicy": "Always"});
    let spec = json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
        "initContainers": [sidecar("one"), sidecar("two"), sidecar("three")],
        "containers": [{"name": "main", "image": "i"}]});
    let polite = ["one", "two", "three", "main"].map(|name| (name, 0)).into();
    let ended = play(spec.clone(), Script { polite, deleted: Some(10), ..Script::default() }, 60);
    assert_eq!(order(&ended), ["TERM main", "TERM three", "TERM two", "TERM one"]);
    // One that takes no notice takes the time of the others with it: all of it is one grace period.
    let polite = ["one", "three", "main"].map(|name| (name, 0)).into();
    let stuck = play(spec, Script { polite, deleted: Some(10), ..Script::default() }, 60);
    assert_eq!(order(&stuck), ["TERM main", "TERM three", "TERM two", "TERM one", "KILL two"]);
    let first = stuck.done[0].0;
    let killed = stuck.done.last().unwrap().0;
    assert!((29_000..31_000).contains(&(killed - first)), "{:?}", stuck.done);
}

/// The hook runs before the signal, within the grace period; whether it works makes no difference but an event.
#[test]
fn a_hook_comes_before_the_signal() {
    let hook = json!({"preStop": {"exec": {"command": ["true"]}}});
    let spec = json!({"terminationGracePeriodSeconds": 20,
        "containers": [{"name": "main", "image": "i", "lifecycle": hook}]});
    for bad_hook in [false, true] {
        let script = Script { polite: [("main", 0)].into(), deleted: Some(5), bad_hook, ..Script::default() };
        let ended = play(spec.clone(), script, 60);
        assert_eq!(order(&ended), ["preStop main", "TERM main"]);
        let failed = ended.events.iter().any(|(_, event)| event == "Warning FailedPreStopHook PreStopHook failed");
        assert_eq!(failed, bad_hook, "{:?}", ended.events);
    }
}

/// A probe may give less, or more, time than the Pod does.
#[test]
fn a_probe_has_a_grace_period_of_its_own() {
    let probe: Answer = |_, age| if age < 5 { Ok(()) } else { Err("no") };
    for (own, expected) in [(None, 30), (Some(4), 4), (Some(60), 60)] {
        let liveness = json!({"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1,
            "terminationGracePeriodSeconds": own});
        let spec = json!({"terminationGracePeriodSeconds": 30,
            "containers": [{"name": "main", "image": "i", "livenessProbe": liveness}]});
        let ended = play(spec, Script { probe: Some(probe), ..Script::default() }, 100);
        assert_eq!(order(&ended)[..2], ["TERM main", "KILL main"]);
        assert_eq!(between(&ended, "TERM main", "KILL main"), expected, "{own:?}");
    }
}
