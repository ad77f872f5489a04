//! The scheduler as a whole, against what the real one printed.

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;

use super::*;

fn node(name: &str, cpu: &str, extra: serde_json::Value) -> Node {
    let mut node = json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
        "status": { "allocatable": { "cpu": cpu, "memory": "8Gi", "pods": "110" } },
    });
    json_merge(&mut node, extra);
    serde_json::from_value(node).expect("a node")
}

fn json_merge(into: &mut serde_json::Value, from: serde_json::Value) {
    match (into, from) {
        (serde_json::Value::Object(into), serde_json::Value::Object(from)) => {
            for (key, value) in from {
                json_merge(into.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn pod(name: &str, spec: serde_json::Value) -> Pod {
    let mut pod = json!({
        "metadata": { "name": name, "namespace": "default", "uid": name },
        "spec": { "containers": [{ "name": "main" }] },
    });
    json_merge(&mut pod, json!({ "spec": spec }));
    serde_json::from_value(pod).expect("a Pod")
}

fn asking(cpu: &str, memory: &str) -> serde_json::Value {
    json!({ "containers": [{ "name": "main", "resources": { "requests": { "cpu": cpu, "memory": memory } } }] })
}

fn cluster(nodes: impl IntoIterator<Item = Node>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for node in nodes {
        snapshot.set_node(&node);
    }
    snapshot
}

fn failure(snapshot: &Snapshot, pod: &Pod) -> String {
    schedule(snapshot, &Incoming::of(pod), 0).expect_err("fits nowhere").to_string()
}

#[test]
fn golden_230_a_pod_that_is_too_big() {
    let one = cluster([node("node1", "4", json!({}))]);
    assert_eq!(
        failure(&one, &pod("toobig", asking("100", "1Ti"))),
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. preemption: 0/1 nodes are available: \
         1 No preemption victims found for incoming pod."
    );
}

#[test]
fn golden_544_a_cordoned_node() {
    let one = cluster([node(
        "node1",
        "4",
        json!({ "spec": { "unschedulable": true, "taints": [
            { "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" }] } }),
    )]);
    assert_eq!(
        failure(&one, &pod("uns", json!({}))),
        "0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are available: \
         1 Preemption is not helpful for scheduling."
    );
}

#[test]
fn golden_116_several_reasons_are_counted_apart() {
    let disk = json!({ "metadata": { "labels": { "disk": "ssd" } } });
    let mut tainted = disk.clone();
    json_merge(
        &mut tainted,
        json!({ "spec": { "taints": [{ "key": "special", "value": "yes", "effect": "NoSchedule" }] } }),
    );
    let four = cluster([
        node("node1", "2", json!({})),
        node("node2", "2", disk.clone()),
        node("node3", "2", disk),
        node("node4", "2", tainted),
    ]);
    let mut cpu3 = asking("3", "1Mi");
    cpu3["nodeSelector"] = json!({ "disk": "ssd" });
    assert_eq!(
        failure(&four, &pod("cpu3", cpu3)),
        "0/4 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint \
         {special: yes}, 2 Insufficient cpu. preemption: 0/4 nodes are available: 2 No preemption victims found for \
         incoming pod, 2 Preemption is not helpful for scheduling."
    );
    assert_eq!(
        failure(&four, &pod("toobig", asking("100", "1Ti"))),
        "0/4 nodes are available: 1 node(s) had untolerated taint {special: yes}, 3 Insufficient cpu, 3 Insufficient \
         memory. preemption: 0/4 nodes are available: 1 Preemption is not helpful for scheduling, 3 No preemption \
         victims found for incoming pod."
    );
}

#[test]
fn without_nodes_it_says_so() {
    assert_eq!(failure(&Snapshot::default(), &pod("a", json!({}))), "no nodes available to schedule pods");
}

#[test]
fn placed_pods_take_their_share_until_they_are_gone() {
    let mut one = cluster([node("node1", "2", json!({}))]);
    let (first, second) = (pod("first", asking("1500m", "1Mi")), pod("second", asking("1500m", "1Mi")));
    let incoming = Incoming::of(&first);
    let placement = schedule(&one, &incoming, 0).expect("fits");
    assert_eq!(placement, Placement { node: "node1".to_owned(), examined: 1, feasible: 1 });
    one.place(incoming.info, &placement.node);
    assert!(failure(&one, &second).contains("1 Insufficient cpu."));
    // A change of the node does not lose what is on it.
    one.set_node(&node("node1", "2", json!({ "metadata": { "labels": { "new": "" } } })));
    assert!(failure(&one, &second).contains("1 Insufficient cpu."));
    one.remove_pod(&("default".to_owned(), "first".to_owned()));
    assert!(schedule(&one, &Incoming::of(&second), 0).is_ok());
}

/// As measured on the real one: 100 equal Pods on 20 equal nodes, five on each.
#[test]
fn equal_pods_spread_evenly() {
    let mut cluster = cluster((0..20).map(|at| node(&format!("node{at}"), "4", json!({}))));
    for at in 0..100 {
        let incoming = Incoming::of(&pod(&format!("pod{at}"), asking("100m", "64Mi")));
        let placement = schedule(&cluster, &incoming, 0).expect("fits");
        cluster.place(incoming.info, &placement.node);
    }
    for node in cluster.nodes() {
        assert_eq!(node.pods().len(), 5, "{}", node.name);
    }
}

#[test]
fn host_ports_are_taken_once() {
    let mut one = cluster([node("node1", "4", json!({}))]);
    let port = |address: &str| json!({ "containers": [{ "name": "main", "ports": [{ "containerPort": 80, "hostPort": 80, "hostIP": address }] }] });
    one.place(PodInfo::of(&pod("first", port("127.0.0.1"))), "node1");
    assert!(failure(&one, &pod("all", port(""))).contains("didn't have free ports"));
    assert!(schedule(&one, &Incoming::of(&pod("other", port("127.0.0.2"))), 0).is_ok());
}

#[test]
fn explain_names_the_filter_and_the_scores_of_every_node() {
    let two = cluster([node("node1", "4", json!({})), node("node2", "1", json!({}))]);
    let verdicts = explain(&two, &Incoming::of(&pod("a", asking("2", "1Mi"))));
    assert_eq!(verdicts[0].rejection, None);
    assert!(verdicts[0].total() > 0);
    let (filter, rejection) = verdicts[1].rejection.as_ref().expect("too small");
    assert_eq!((*filter, rejection.reasons.as_slice()), ("NodeResourcesFit", &["Insufficient cpu".to_owned()][..]));
}

#[test]
fn a_large_cluster_is_searched_in_turns() {
    assert_eq!(enough_feasible(1), 1);
    assert_eq!(enough_feasible(100), 100);
    assert_eq!(enough_feasible(5000), 500);
    assert_eq!(enough_feasible(100_000), 5000);
    let large = cluster((0..200).map(|at| node(&format!("node{at}"), "4", json!({}))));
    let placement = schedule(&large, &Incoming::of(&pod("a", json!({}))), 190).expect("fits");
    assert_eq!((placement.examined, placement.feasible), (100, 100));
}

#[test]
fn golden_494_a_claim_that_is_not_bound() {
    let mut one = cluster([node("node1", "4", json!({}))]);
    let claiming =
        pod("a", json!({ "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "my-pvc" } }] }));
    let nowhere = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    assert_eq!(
        failure(&one, &claiming),
        format!("0/1 nodes are available: persistentvolumeclaim \"my-pvc\" not found. {nowhere}")
    );
    let mut claim =
        json!({ "metadata": { "name": "my-pvc", "namespace": "default" }, "status": { "phase": "Pending" } });
    let key = ("default".to_owned(), "my-pvc".to_owned());
    let typed =
        |claim: &serde_json::Value| std::sync::Arc::new(serde_json::from_value(claim.clone()).expect("a claim"));
    one.claims.insert(key.clone(), typed(&claim));
    assert_eq!(
        failure(&one, &claiming),
        format!("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. {nowhere}")
    );
    claim["status"]["phase"] = "Bound".into();
    claim["spec"] = json!({ "volumeName": "my-pv" });
    one.claims.insert(key, typed(&claim));
    let volume = json!({ "metadata": { "name": "my-pv" }, "spec": {} });
    one.volumes.insert("my-pv".to_owned(), std::sync::Arc::new(serde_json::from_value(volume).expect("a volume")));
    assert!(schedule(&one, &Incoming::of(&claiming), 0).is_ok());
}

#[test]
fn a_claim_for_one_pod_is_for_one_pod() {
    let mut one = cluster([node("node1", "4", json!({}))]);
    let claiming =
        |name: &str| pod(name, json!({ "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "c" } }] }));
    let claim = json!({
        "metadata": { "name": "c", "namespace": "default" },
        "spec": { "volumeName": "v", "accessModes": ["ReadWriteOncePod"] }, "status": { "phase": "Bound" },
    });
    let volume = json!({ "metadata": { "name": "v" }, "spec": {} });
    let key = ("default".to_owned(), "c".to_owned());
    one.claims.insert(key, std::sync::Arc::new(serde_json::from_value(claim).expect("a claim")));
    one.volumes.insert("v".to_owned(), std::sync::Arc::new(serde_json::from_value(volume).expect("a volume")));
    assert!(schedule(&one, &Incoming::of(&claiming("first")), 0).is_ok());
    one.place(PodInfo::of(&claiming("first")), "node1");
    let told = failure(&one, &claiming("second"));
    let text = "1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode.";
    assert!(told.starts_with(&format!("0/1 nodes are available: {text} ")), "{told}");
    one.remove_pod(&("default".to_owned(), "first".to_owned()));
    assert!(schedule(&one, &Incoming::of(&claiming("second")), 0).is_ok());
}

#[test]
fn no_zone_gets_ahead_of_the_others() {
    let zone = |name: &str, zone: &str| node(name, "4", json!({ "metadata": { "labels": { "zone": zone } } }));
    let mut three = cluster([zone("a1", "a"), zone("a2", "a"), zone("b1", "b"), node("nowhere", "4", json!({}))]);
    let spread = |name: &str| {
        let mut pod = pod(
            name,
            json!({ "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "app": "web" } } }] }),
        );
        pod.metadata.labels = Some([("app".to_owned(), "web".to_owned())].into());
        pod
    };
    let zone_of = |node: &str| node.chars().next();
    let mut zones = Vec::new();
    for at in 0..4 {
        let incoming = Incoming::of(&spread(&format!("web{at}")));
        let placement = schedule(&three, &incoming, 0).expect("fits");
        zones.push(zone_of(&placement.node));
        three.place(incoming.info, &placement.node);
    }
    assert_eq!(zones.iter().filter(|zone| **zone == Some('a')).count(), 2, "{zones:?}");
    three.remove_node("b1");
    three.set_node(&node(
        "b1",
        "4",
        json!({ "metadata": { "labels": { "zone": "b" } }, "spec": { "unschedulable": true } }),
    ));
    three.place(PodInfo::of(&spread("web4")), "a1");
    assert_eq!(
        failure(&three, &spread("web5")),
        "0/4 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label), 1 \
         node(s) were unschedulable, 2 node(s) didn't match pod topology spread constraints. preemption: 0/4 nodes are \
         available: 2 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
    );
}

/// By the defaults: a Pod goes where the fewest of its application are, though other nodes are emptier.
#[test]
fn pods_of_one_application_are_spread() {
    let mut three = cluster((0..3).map(|at| node(&format!("node{at}"), "4", json!({}))));
    let web = |name: &str, cpu: &str| {
        let mut pod = pod(name, asking(cpu, "64Mi"));
        pod.metadata.labels = Some([("app".to_owned(), "web".to_owned())].into());
        pod
    };
    for (name, node) in [("web0", "node0"), ("web1", "node0"), ("web2", "node1")] {
        three.place(PodInfo::of(&web(name, "10m")), node);
    }
    three.place(PodInfo::of(&pod("other", asking("200m", "1Gi"))), "node2");
    let mut incoming = Incoming::of(&web("web3", "10m"));
    assert_eq!(schedule(&three, &incoming, 0).expect("fits").node, "node1", "the emptiest that counts by size alone");
    incoming.siblings = siblings::of(&incoming.info.labels, [&incoming.info.labels], []);
    assert_eq!(schedule(&three, &incoming, 0).expect("fits").node, "node2");
    let spread: Vec<i64> = explain(&three, &incoming)
        .iter()
        .map(|verdict| verdict.scores.iter().find(|(name, ..)| *name == "PodTopologySpread").expect("rated").1)
        .collect();
    assert!(spread[0] < spread[1] && spread[1] < spread[2], "{spread:?}");
}

/// An image of 800 MiB on one of two nodes counts half of it: others would crowd there otherwise.
#[test]
fn a_node_that_has_the_image_is_preferred() {
    let images = json!({ "status": { "images": [{ "names": ["example.com/big:latest"], "sizeBytes": 800 << 20 }] } });
    let mut two = cluster([node("node1", "4", json!({})), node("node2", "4", images)]);
    let incoming = Incoming::of(&pod("a", json!({ "containers": [{ "name": "main", "image": "example.com/big" }] })));
    let locality = |cluster: &Snapshot, incoming: &Incoming| -> Vec<Option<i64>> {
        let of =
            |verdict: &Verdict| verdict.scores.iter().find(|(name, ..)| *name == "ImageLocality").map(|found| found.1);
        explain(cluster, incoming).iter().map(of).collect()
    };
    assert_eq!(locality(&two, &incoming), [Some(0), Some((400 - 23) * 100 / (1000 - 23))]);
    assert_eq!(schedule(&two, &incoming, 0).expect("fits").node, "node2");
    // Its status no longer names it.
    two.set_node(&node("node2", "4", json!({})));
    assert_eq!(locality(&two, &incoming), [None, None], "no opinion");
}

/// What is known of a node by its place among the others moves with it.
#[test]
fn nodes_move_up_with_what_is_on_them() {
    let zone = |name: &str, zone: &str| node(name, "4", json!({ "metadata": { "labels": { "zone": zone } } }));
    let mut three = cluster([zone("a", "x"), zone("b", "y"), zone("c", "z")]);
    let mut web = pod("web", json!({}));
    web.metadata.labels = Some([("app".to_owned(), "web".to_owned())].into());
    three.place(PodInfo::of(&web), "c");
    three.remove_node("a");
    let positions: Vec<usize> = three.nodes().iter().map(|node| node.position).collect();
    assert_eq!(positions, [0, 1]);
    assert_eq!(three.node("c").map(|node| (node.position, node.pods().len())), Some((1, 1)));
    assert_eq!(three.groups().count("default", |_| true), [0, 1]);
    let zones = three.topology("zone").expect("zones");
    assert_ne!(zones.domain(0), zones.domain(1));
    // It comes again, with what was placed there meanwhile.
    web.metadata.name = Some("early".to_owned());
    three.place(PodInfo::of(&web), "a");
    three.set_node(&zone("a", "y"));
    assert_eq!(three.groups().count("default", |_| true), [0, 1, 1]);
    let zones = three.topology("zone").expect("zones");
    assert_eq!(zones.domain(2), zones.domain(0));
}
