use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

fn here() -> Here {
    Here { name: "node1".to_owned(), address: Ipv4Addr::new(10, 99, 0, 1) }
}

fn service(spec: Value) -> Arc<Service> {
    let service = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec});
    Arc::new(serde_json::from_value(service).unwrap())
}

/// `a` is on node1, `b` on node2; what each is, in letters: r(eady), n(ot), t(erminating and serving).
fn slice(ports: Value, states: &str) -> Arc<EndpointSlice> {
    let endpoints: Vec<Value> = states
        .chars()
        .enumerate()
        .map(|(index, state)| {
            json!({
                "addresses": [format!("10.244.{index}.2")],
                "nodeName": format!("node{}", index + 1),
                "conditions": {"ready": state == 'r', "serving": state != 'n', "terminating": state == 't'},
            })
        })
        .collect();
    let slice = json!({
        "metadata": {"name": "web-1", "namespace": "default", "labels": {SERVICE_NAME: "web"}},
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    });
    Arc::new(serde_json::from_value(slice).unwrap())
}

/// A pool in one line: name, entrances, members, affinity.
fn show(pool: &Pool) -> String {
    let entrance = |entrance: &Entrance| {
        format!("{}:{}{}", entrance.address, entrance.port, if entrance.masquerade { "*" } else { "" })
    };
    let entrances: Vec<_> = pool.entrances.iter().map(entrance).collect();
    let members: Vec<_> = pool.members.iter().map(ToString::to_string).collect();
    let affinity = pool.affinity.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
    format!("{}: {} -> {}{affinity}", pool.name, entrances.join(", "), members.join(", "))
}

#[test]
fn who_is_asked() {
    let one = json!([{"port": 80, "protocol": "TCP", "targetPort": 8080}]);
    let cluster = |more: Value| {
        let mut spec = json!({"clusterIP": "10.96.7.7", "type": "ClusterIP", "ports": one.clone()});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let at = json!([{"name": "", "port": 8080, "protocol": "TCP"}]);
    let (a, b) = ("10.244.0.2:8080", "10.244.1.2:8080");
    let inside = "default/web/tcp: 10.96.7.7:80 -> ";
    let node_port = json!([{"port": 80, "nodePort": 30_080}]);
    for (what, spec, states, wanted) in [
        ("all that are ready", cluster(json!({})), "rr", vec![format!("{inside}{a}, {b}")]),
        ("one is not", cluster(json!({})), "nr", vec![format!("{inside}{b}")]),
        ("one is ending", cluster(json!({})), "rt", vec![format!("{inside}{a}")]),
        ("all are ending", cluster(json!({})), "nt", vec![format!("{inside}{b}")]),
        ("nobody", cluster(json!({})), "nn", vec![inside.to_owned()]),
        ("no Pod", cluster(json!({})), "", vec![inside.to_owned()]),
        ("headless", cluster(json!({"clusterIP": "None"})), "rr", vec![]),
        ("a name outside", json!({"type": "ExternalName", "externalName": "example.com"}), "", vec![]),
        (
            "clients are kept",
            cluster(json!({"sessionAffinity": "ClientIP"})),
            "rn",
            vec![format!("{inside}{a} for 10800 s")],
        ),
        (
            "clients are kept for less",
            cluster(json!({
                "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            })),
            "rn",
            vec![format!("{inside}{a} for 60 s")],
        ),
        (
            "a port of the node",
            cluster(json!({"type": "NodePort", "ports": node_port})),
            "rr",
            vec![format!("default/web/tcp: 10.96.7.7:80, 10.99.0.1:30080* -> {a}, {b}")],
        ),
        (
            "from outside to this node's own",
            cluster(json!({"type": "NodePort", "ports": node_port, "externalTrafficPolicy": "Local"})),
            "rr",
            vec![
                format!("default/web/tcp: 10.96.7.7:80 -> {a}, {b}"),
                format!("default/web/tcp/external: 10.99.0.1:30080 -> {a}"),
            ],
        ),
        ("this node's own", cluster(json!({"internalTrafficPolicy": "Local"})), "nr", vec![inside.to_owned()]),
    ] {
        let pools = pools(&here(), &[service(spec)], &[slice(at.clone(), states)]);
        assert_eq!(pools.iter().map(show).collect::<Vec<_>>(), wanted, "{what}");
    }
}

#[test]
fn ports_are_told_apart_by_their_names() {
    let spec = json!({"clusterIP": "10.96.0.10", "ports": [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
        {"name": "metrics", "port": 9153, "protocol": "TCP"},
    ]});
    let ports = json!([{"name": "dns", "port": 1053, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}]);
    let pools = pools(&here(), &[service(spec)], &[slice(ports, "r")]);
    let shown: Vec<_> = pools.iter().map(show).collect();
    assert_eq!(
        shown,
        [
            "default/web/udp/dns: 10.96.0.10:53 -> 10.244.0.2:1053",
            "default/web/tcp/dns-tcp: 10.96.0.10:53 -> 10.244.0.2:53",
            "default/web/tcp/metrics: 10.96.0.10:9153 -> ",
        ]
    );
    assert_eq!(pools[0].protocol, Protocol::Udp);
}

#[test]
fn slices_of_others_do_not_count() {
    let spec = || json!({"clusterIP": "10.96.7.7", "ports": [{"port": 80}]});
    let ports = json!([{"port": 8080}]);
    let mut elsewhere = slice(ports.clone(), "r").as_ref().clone();
    elsewhere.metadata.namespace = Some("other".to_owned());
    let mut anothers = slice(ports.clone(), "r").as_ref().clone();
    anothers.metadata.labels = Some([(SERVICE_NAME.to_owned(), "webs".to_owned())].into());
    let slices = [Arc::new(elsewhere), Arc::new(anothers)];
    assert_eq!(pools(&here(), &[service(spec())], &slices)[0].members, []);
    // The addresses of a Service may lie in more than one slice, and in two during a change.
    let both = [slice(ports.clone(), "rn"), slice(ports, "rr")];
    assert_eq!(pools(&here(), &[service(spec())], &both)[0].members.len(), 2);
}
