//! A node emptied by each client: what stands in the way, what is only tried, and what leaves.

use super::{Both, CLIENTS, Client, compare};

/// What runs on a node: two Pods of a Deployment, one of nobody's, one with data, and one that does not want to go.
fn pods(node: &str) -> String {
    let pod = |name: &str, more: &str, command: &str, grace: u32| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}-{node}, labels: {{kind: {name}}}}}\nspec:\n  \
             nodeName: {node}\n  terminationGracePeriodSeconds: {grace}\n  {more}\n  \
             containers: [{{name: main, image: busybox, command: [sh, -c, \"{command}\"]}}]\n"
        )
    };
    let deployment = format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web-{node}}}\nspec:\n  replicas: 2\n  \
         selector: {{matchLabels: {{app: {node}}}}}\n  template:\n    metadata: {{labels: {{app: {node}, kind: web}}}}\n    \
         spec:\n      nodeSelector: {{kubernetes.io/hostname: {node}}}\n      terminationGracePeriodSeconds: 0\n      \
         containers: [{{name: main, image: busybox, command: [tail, -f, /dev/null]}}]\n"
    );
    let idle = "exec tail -f /dev/null";
    let stubborn = "trap : TERM; while :; do tail -f /dev/null; done";
    [
        deployment,
        pod("alone", "", idle, 0),
        pod("data", "volumes: [{name: data, emptyDir: {}}]", idle, 0),
        pod("stubborn", "", stubborn, 3600),
    ]
    .concat()
}

/// The Pods leave in an order that is nobody's promise, and one reason comes before the other by chance.
fn in_order(mut output: podlab_testkit::Output) -> podlab_testkit::Output {
    let sorted = |text: &str| {
        let hash = &super::RANDOM[0];
        let mut lines: Vec<_> = text.lines().map(|line| hash.0.replace_all(line, hash.1).into_owned()).collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    output.stdout = sorted(&output.stdout);
    output.stderr = sorted(&output.stderr);
    output
}

#[test]
fn a_node_is_drained_as_the_real_one_does_it() {
    let Some(both) = Both::start(|builder| builder.argument("--nodes").argument("3")) else { return };
    // Each client has a node of its own.
    let node = |client| if client == Client::Real { "node2" } else { "node3" };
    both.apply(&CLIENTS.map(|client| pods(node(client))).concat());
    let ready = ["wait", "pod", "--all", "--for=condition=Ready", "--timeout=100s"];
    both.run(Client::Real, &["rollout", "status", "deployment"]).success();
    both.run(Client::Real, &ready).success();

    let same = |flags: &[&str]| {
        let outputs = CLIENTS.map(|client| in_order(both.run(client, &[&["drain", node(client)], flags].concat())));
        compare(&outputs[0], &outputs[1], &["node2", "node3"]);
        outputs[0].clone()
    };
    let on = |client| {
        let field = format!("--field-selector=spec.nodeName={}", node(client));
        both.run(Client::Real, &["get", "pods", &field, "-o", "name"]).success().stdout
    };
    // Refused, and the node is closed all the same; nobody has left.
    let all = ["--force", "--delete-emptydir-data"];
    same(&["--dry-run=client", "--force"]).failure(1);
    same(&["--delete-emptydir-data"]).failure(1);
    same(&["--force", "--pod-selector=kind=data"]).failure(1);
    // Only tried.
    same(&[&all[..], &["--dry-run=client"]].concat()).success();
    same(&[&all[..], &["--dry-run=server"]].concat()).success();
    same(&["--dry-run=client", "--disable-eviction", "--pod-selector=kind=web"]).success();
    same(&["--dry-run=nonsense"]).failure(1);
    same(&["--selector=a=b"]).failure(1);
    same(&["--pod-selector=kind=none"]).success();
    assert!(CLIENTS.iter().all(|client| on(*client).lines().count() == 5), "{}", on(Client::BuiltIn));
    // Those who leave, by selector, by eviction and without.
    same(&["--pod-selector=kind=web"]).success();
    same(&["--pod-selector=kind=alone", "--force", "--disable-eviction"]).success();
    // A Pod that has an hour to end in is not waited for longer than that …
    let late = same(&["--force", "--pod-selector=kind=stubborn", "--timeout=1s"]).failure(1);
    assert!(late.stderr.contains("context deadline exceeded"), "{late}");
    // … and ends within the second that it is left.
    same(&[&all[..], &["--grace-period=1"]].concat()).success();
    for client in CLIENTS {
        assert_eq!(on(client), "", "{client:?}");
    }
    // What was made again finds the node closed, until it is opened.
    let outputs = CLIENTS.map(|client| both.run(client, &["uncordon", node(client)]).success());
    compare(&outputs[0], &outputs[1], &["node2", "node3"]);
    both.run(Client::Real, &["wait", "pod", "-l", "kind=web", "--for=condition=Ready", "--timeout=100s"]).success();
    both.same(&["drain"]).failure(1);
    both.same(&["drain", "ghost"]).failure(1);
    both.same(&["uncordon"]).failure(1);
    both.same(&["cordon", "node1", "--dry-run=server"]).success();
    both.cluster.stop();
}
