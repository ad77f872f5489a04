//! Several nodes: Pods on different ones reach each other; one is added, emptied, stopped, started and removed.

use podlab_testkit::{Cluster, Kubectl};

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec:
  nodeName: node2
  # With any, its object stays until its node has said that it is gone.
  terminationGracePeriodSeconds: 1
  # As long as the node is only late; a real cluster waits five minutes more.
  tolerations:
    - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
    - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
  containers: [{name: kuard, image: 'gcr.io/kuar-demo/kuard-amd64:1'}]
---
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 0
  containers: [{name: shell, image: busybox, command: [sleep, infinity]}]
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: many}
spec:
  replicas: 2
  selector: {matchLabels: {app: many}}
  template:
    metadata: {labels: {app: many}}
    spec:
      terminationGracePeriodSeconds: 0
      tolerations:
        - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
        - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app: many}}
      containers: [{name: kuard, image: 'gcr.io/kuar-demo/kuard-amd64:1'}]
";

#[test]
fn several_nodes_are_one_cluster() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::builder().argument("--nodes").argument("2").start();
    let said = |arguments: &[&str]| cluster.kubectl(&kubectl, arguments).success().stdout;
    said(&["wait", "--for=condition=Ready", "node/node1", "node/node2", "--timeout=60s"]);
    let manifest = cluster.scratch().join("pods.yaml");
    std::fs::write(&manifest, PODS).unwrap();
    said(&["apply", "-f", manifest.to_str().unwrap()]);
    said(&["wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s"]);

    let address = said(&["get", "pod", "alone", "-o", "jsonpath={.status.podIP}"]);
    assert!(address.starts_with("10.244.1."), "{address}");
    let url = format!("http://{address}:8080/healthy");
    assert_eq!(said(&["exec", "shell", "--", "wget", "-q", "-O", "-", &url]), "ok");

    // A third, smaller one; its cgroup keeps it to its size.
    cluster.podlab(["node", "add", "--cpu", "500m", "--memory", "512Mi"]).success();
    said(&["wait", "--for=create", "node/node3", "--timeout=60s"]);
    said(&["wait", "--for=condition=Ready", "node/node3", "--timeout=60s"]);
    let capacity = said(&["get", "node", "node3", "-o", "jsonpath={.status.capacity.cpu} {.status.capacity.memory}"]);
    assert_eq!(capacity, "500m 512Mi");
    let limit = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null | head -n 1";
    let enforced = cluster.podlab(["node", "exec", "node3", "--", "sh", "-c", limit]).success().stdout;
    assert_eq!(enforced.trim(), (512 << 20).to_string());
    cluster.podlab(["node", "add", "node3"]).failure(1);
    cluster.podlab(["node", "add", "No"]).failure(1);

    // Emptied: nothing new comes, what a controller keeps goes elsewhere.
    let drained = said(&["drain", "node3", "--ignore-daemonsets", "--force", "--delete-emptydir-data"]);
    assert!(drained.contains("node/node3 drained"), "{drained}");
    assert!(said(&["get", "node", "node3"]).contains("Ready,SchedulingDisabled"));
    said(&["uncordon", "node3"]);
    said(&["taint", "nodes", "node3", "keep=out:NoSchedule"]);

    let of_many = |node: &str| {
        let field = format!("--field-selector=spec.nodeName={node}");
        said(&["get", "pods", "-l", "app=many", "-o", "name", &field]).trim().to_owned()
    };
    let lost = of_many("node2");
    assert!(lost.starts_with("pod/many-"), "{lost}");
    // A plug is pulled. What stood alone there is not brought back; a ReplicaSet has another one elsewhere.
    assert_eq!(cluster.podlab(["node", "stop", "node2"]).success().stdout, "node node2 stopped\n");
    let list = cluster.podlab(["node", "list"]).success().stdout;
    assert!(list.lines().any(|line| line.starts_with("node2") && line.contains("stopped")), "{list}");
    said(&["wait", "--for=condition=Ready=Unknown", "node/node2", "--timeout=110s"]);
    said(&["wait", "--for=delete", &lost, "--timeout=60s"]);
    said(&["wait", "--for=jsonpath={.status.readyReplicas}=2", "replicaset/many", "--timeout=60s"]);
    assert_eq!((of_many("node1").lines().count(), of_many("node2").as_str()), (2, ""));
    assert_eq!(said(&["get", "pod", "alone", "-o", "jsonpath={.spec.nodeName}"]), "node2");

    // It comes back, and what was there is no longer wanted. A removed one is gone with its object.
    cluster.podlab(["node", "start", "node2"]).success();
    said(&["wait", "--for=condition=Ready", "node/node2", "--timeout=60s"]);
    said(&["wait", "--for=delete", "pod/alone", "--timeout=60s"]);
    cluster.podlab(["node", "remove", "node3"]).success();
    assert!(!said(&["get", "nodes", "-o", "name"]).contains("node3"));
    cluster.podlab(["node", "remove", "node3"]).failure(1);

    // Those that were added are there again after a reboot, with the number that is asked for.
    cluster.podlab(["node", "add", "extra"]).success();
    cluster.podlab(["stop"]).success();
    cluster.start_again();
    said(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"]);
    let list = cluster.podlab(["node", "list"]).success().stdout;
    assert_eq!(list.lines().filter(|line| line.contains("running")).count(), 3, "{list}");
    cluster.stop();
}

const CHOOSY: &str = "
apiVersion: v1
kind: Pod
metadata: {name: choosy}
spec:
  nodeSelector: {disk: ssd}
  tolerations: [{key: dedicated, operator: Equal, value: lab, effect: NoSchedule}]
  containers: [{name: shell, image: busybox, command: [sleep, infinity]}]
";

#[test]
fn a_node_has_labels_and_taints_and_why_a_pod_goes_there_is_explained() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    let said = |arguments: &[&str]| cluster.kubectl(&kubectl, arguments).success().stdout;
    let manifest = cluster.scratch().join("choosy.yaml");
    std::fs::write(&manifest, CHOOSY).unwrap();
    said(&["apply", "-f", manifest.to_str().unwrap()]);
    let explain = || {
        let output = cluster.podlab(["explain", "schedule", "pod/choosy", "--output", "json"]).success();
        serde_json::from_str::<serde_json::Value>(&output.stdout).unwrap()
    };
    let before = explain();
    assert_eq!(before["node"], serde_json::Value::Null);
    assert_eq!(before["nodes"][0]["refusedBy"], "NodeAffinity", "{before}");

    let options = ["--label", "disk=ssd", "--taint", "dedicated=lab:NoSchedule", "--pods", "7"];
    cluster.podlab(["node", "add", "fast"].iter().chain(&options)).success();
    said(&["wait", "--for=create", "node/fast", "--timeout=60s"]);
    said(&["wait", "--for=condition=Ready", "node/fast", "pod/choosy", "--timeout=60s"]);
    let path = "jsonpath={.metadata.labels.disk} {.spec.taints[0].key}={.spec.taints[0].value} {.status.capacity.pods}";
    assert_eq!(said(&["get", "node", "fast", "-o", path]), "ssd dedicated=lab 7");
    let after = explain();
    assert_eq!((&after["node"], &after["nodes"][0]["name"]), (&"fast".into(), &"fast".into()));
    assert!(after["nodes"][0]["total"].as_i64().unwrap() > 0, "{after}");
    let text = cluster.podlab(["explain", "schedule", "choosy"]).success().stdout;
    assert!(text.starts_with("Pod choosy is on fast. 1 of 2 nodes would take it.\n"), "{text}");
    assert!(text.contains("\nnode1: refused by NodeAffinity\n    node(s) didn't match"), "{text}");
    cluster.podlab(["explain", "schedule", "pod/nobody"]).failure(1);
    cluster.podlab(["node", "add", "--label", "no label"]).failure(2);
}
