use super::*;
use serde_json::json;

fn deployment(replicas: i32, strategy: serde_json::Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "d" },
        "spec": {
            "replicas": replicas,
            "selector": {},
            "strategy": strategy,
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "c", "image": "new" }] } },
        },
    }))
    .expect("a Deployment")
}

fn rolling(surge: serde_json::Value, unavailable: serde_json::Value) -> serde_json::Value {
    json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } })
}

/// A set with this many Pods, of which so many are available; made when the Deployment asked for `desired`.
fn set(name: &str, replicas: i32, available: i32, desired: (i32, i32)) -> Arc<ReplicaSet> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "default", "uid": name, "annotations": {
                DESIRED: desired.0.to_string(), MAXIMUM: desired.1.to_string() } },
            "spec": { "replicas": replicas, "selector": {} },
            "status": { "replicas": replicas, "availableReplicas": available },
        }))
        .expect("a ReplicaSet"),
    )
}

/// The steps as `name: from->to`.
fn steps(deployment: &Deployment, sets: &[Arc<ReplicaSet>], newest: usize) -> Vec<String> {
    scales(deployment, sets, sets.get(newest), false)
        .iter()
        .map(|scale| format!("{}: {}->{}", scale.key.name, scale.from, scale.to))
        .collect()
}

#[test]
fn percentages_round_so_that_something_can_move() {
    assert_eq!(bounds(&deployment(10, rolling(json!("25%"), json!("25%")))), (10, 13));
    assert_eq!(max_unavailable(&deployment(10, rolling(json!("25%"), json!("25%")))), 2);
    assert_eq!(max_unavailable(&deployment(1, rolling(json!("25%"), json!("25%")))), 0);
    assert_eq!(max_unavailable(&deployment(1, rolling(json!(0), json!("25%")))), 1, "both none: one may be missing");
    assert_eq!(bounds(&deployment(4, json!({ "type": "Recreate" }))), (4, 4));
}

#[test]
fn a_rollout_goes_up_and_down_between_its_fences() {
    let rollout = deployment(4, rolling(json!(1), json!(1)));
    let made = (4, 5);
    let table = [
        // The new set grows into the room above.
        ((4, 4), (0, 0), vec!["new: 0->1"]),
        // No room left: an old one may go, as three are enough.
        ((4, 4), (1, 0), vec!["old: 4->3"]),
        ((3, 3), (1, 0), vec!["new: 1->2"]),
        // Two of the new are not available yet: wait.
        ((3, 3), (2, 0), vec![]),
        ((3, 3), (2, 2), vec!["old: 3->1"]),
        ((1, 1), (4, 4), vec!["old: 1->0"]),
        ((0, 0), (4, 4), vec![]),
        // Old Pods that do not work go before the others, and wait for nobody.
        ((4, 2), (1, 0), vec!["old: 4->3"]),
    ];
    for (old, new, expected) in table {
        let sets = [set("old", old.0, old.1, made), set("new", new.0, new.1, made)];
        assert_eq!(steps(&rollout, &sets, 1), expected, "old {old:?}, new {new:?}");
    }
}

#[test]
fn what_is_recreated_ends_first() {
    let recreate = deployment(3, json!({ "type": "Recreate" }));
    let sets = |old, new| [set("old", old, old, (3, 3)), set("new", new, new, (3, 3))];
    assert_eq!(steps(&recreate, &sets(3, 0), 1), ["old: 3->0"]);
    assert_eq!(steps(&recreate, &sets(0, 0), 1), ["new: 0->3"]);
    let empty = sets(0, 0);
    assert_eq!(scales(&recreate, &empty, empty.get(1), true), [], "its Pods are still ending");
}

#[test]
fn scaling_is_not_a_rollout() {
    let scaled = deployment(10, rolling(json!(0), json!(1)));
    assert_eq!(steps(&scaled, &[set("new", 5, 5, (5, 5))], 0), ["new: 5->10"]);
    // In the middle of a rollout each set takes its share.
    let sets = [set("old", 3, 3, (5, 5)), set("new", 2, 2, (5, 5))];
    assert_eq!(steps(&scaled, &sets, 1), ["old: 3->6", "new: 2->4"]);
    let mut paused = deployment(5, rolling(json!(1), json!(0)));
    paused.spec.as_mut().expect("a spec").paused = Some(true);
    let sets = [set("old", 5, 5, (5, 6)), set("new", 0, 0, (5, 6))];
    assert_eq!(steps(&paused, &sets, 1), Vec::<String>::new());
}

#[test]
fn history_goes_back_as_far_as_is_asked() {
    let mut short = deployment(1, json!(null));
    short.spec.as_mut().expect("a spec").revision_history_limit = Some(1);
    let sets = [set("a", 0, 0, (1, 1)), set("b", 0, 0, (1, 1)), set("c", 1, 1, (1, 1))];
    let gone: Vec<String> = surplus_history(&short, &sets, sets.get(2)).into_iter().map(|key| key.name).collect();
    assert_eq!(gone, ["a"]);
}
