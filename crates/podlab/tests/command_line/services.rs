//! Services: a shared address, who is asked behind it, and the API server from inside a Pod.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use podlab_testkit::{Cluster, DEADLINE, Kubectl};

/// An address of the cluster and a port of the node.
fn service(node_port: u16) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  type: NodePort
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: http, nodePort: {node_port}}}]
"
    )
}

/// A port of the nodes' range that nobody on this machine has; where the search begins differs between runs.
fn free_node_port() -> u16 {
    let first = u16::try_from(std::process::id() % 2768).unwrap();
    let all = (0..2768).map(|step| 30000 + (first + step) % 2768);
    all.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// A Pod behind it that says who it is, and can be told not to be ready.
fn web(name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: web}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: kuard
      image: gcr.io/kuar-demo/kuard-amd64:1
      ports: [{{name: http, containerPort: 8080}}]
      readinessProbe:
        httpGet: {{path: /ready, port: http}}
        periodSeconds: 1
        failureThreshold: 1
"
    )
}

/// One request to the node's port on this machine's loopback, on a connection of its own: the Pod that answered.
/// A request that is lost fails the test.
#[track_caller]
fn ask(port: u16, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the node's port is on the loopback");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: web\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 2"), "{answer:?}");
    answer
}

/// The Pod that a request reached.
#[track_caller]
fn who(port: u16) -> &'static str {
    let answer = ask(port, "GET", "/env/api", "");
    let names = ["web-a", "web-b"].map(|name| (name, answer.contains(&format!("\"HOSTNAME\":\"{name}\""))));
    names.iter().find(|(_, named)| *named).unwrap_or_else(|| panic!("{answer}")).0
}

#[track_caller]
fn apply(cluster: &Cluster, kubectl: &Kubectl, manifest: &str) {
    let path = cluster.scratch().join("manifest.yaml");
    std::fs::write(&path, manifest).unwrap();
    cluster.kubectl(kubectl, ["apply", "-f", path.to_str().unwrap()]).success();
}

/// Asks until `enough` answers in a row come from `wanted` and no other. None may be lost on the way.
#[track_caller]
fn until_all_come_from(port: u16, wanted: &str, enough: usize) {
    let end = Instant::now() + DEADLINE;
    let mut row = 0;
    while row < enough {
        row = if who(port) == wanted { row + 1 } else { 0 };
        assert!(Instant::now() < end, "requests still reach others than {wanted}");
    }
}

#[test]
fn a_pod_that_is_not_ready_gets_no_request_and_none_is_lost() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    let port = free_node_port();
    apply(&cluster, &kubectl, &[service(port), web("web-a"), web("web-b")].join("---"));
    cluster.kubectl(&kubectl, ["wait", "--for=condition=Ready", "pod", "-l", "app=web", "--timeout=60s"]).success();
    let end = Instant::now() + DEADLINE;
    let mut seen = BTreeSet::new();
    // The port opens, and the second Pod comes, a moment after the object says so.
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "the port never opened\n{}", cluster.logs());
    }
    until_answered(port);
    while seen.len() < 2 {
        seen.insert(who(port));
        assert!(Instant::now() < end, "only {seen:?} are asked");
    }

    fail_readiness(&cluster, &kubectl, "web-a", -1);
    cluster.kubectl(&kubectl, ["wait", "--for=condition=Ready=false", "pod/web-a", "--timeout=60s"]).success();
    until_all_come_from(port, "web-b", 40);
    let others: Vec<_> = (0..200).map(|_| who(port)).filter(|name| *name != "web-b").collect();
    assert!(others.is_empty(), "{} of 200 requests reached a Pod that was not ready", others.len());

    fail_readiness(&cluster, &kubectl, "web-a", 0);
    cluster.kubectl(&kubectl, ["wait", "--for=condition=Ready", "pod/web-a", "--timeout=60s"]).success();
    let mut seen = BTreeSet::new();
    let end = Instant::now() + DEADLINE;
    while seen.len() < 2 {
        seen.insert(who(port));
        assert!(Instant::now() < end, "only {seen:?} are asked");
    }
    cluster.stop();
}

/// Waits until a first request is answered: the node's rules follow the Service a moment later.
#[track_caller]
fn until_answered(port: u16) {
    let end = Instant::now() + DEADLINE;
    loop {
        let answered = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.write_all(b"GET /healthy HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)
        });
        if answered.is_ok_and(|length| length > 0) {
            return;
        }
        assert!(Instant::now() < end, "nothing answers behind the port");
    }
}

/// Tells a kuard how its readiness is to go on, past the Service: from inside the Pod.
#[track_caller]
fn fail_readiness(cluster: &Cluster, kubectl: &Kubectl, pod: &str, calls: i64) {
    let address = cluster.kubectl(kubectl, ["get", "pod", pod, "-o", "jsonpath={.status.podIP}"]).success().stdout;
    let body = format!("{{\"failNext\": {calls}}}");
    let url = format!("http://{address}:8080/ready/api");
    let node = ["node", "exec", "node1", "--", "curl", "-sf", "-X", "PUT", "-d", &body, &url];
    let json = ["-H", "Content-Type: application/json"];
    cluster.podlab(node.into_iter().chain(json)).success();
}

#[test]
fn the_api_server_answers_inside_a_pod_by_its_service() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    let manifest = "
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: shell, image: busybox, command: [sleep, infinity]}]
";
    apply(&cluster, &kubectl, manifest);
    cluster.kubectl(&kubectl, ["wait", "--for=condition=Ready", "pod/shell", "--timeout=60s"]).success();
    let endpoints = cluster.kubectl(&kubectl, ["get", "endpoints", "kubernetes"]).success().stdout;
    assert!(endpoints.contains("10.99.0.254:6443"), "{endpoints}");
    // A client that finds the server, its certificate and its own account as every program in a Pod does. Without a
    // kubeconfig, kubectl is one.
    let program = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|directory| directory.join(kubectl.program()))
        .find_map(|path| path.canonicalize().ok())
        .unwrap();
    cluster.kubectl(&kubectl, ["cp", program.to_str().unwrap(), "shell:/tmp/kubectl"]).success();
    let inside = |arguments: &[&str]| {
        let command = ["exec", "shell", "--", "/tmp/kubectl"];
        cluster.kubectl(&kubectl, command.iter().chain(arguments))
    };
    assert_eq!(inside(&["get", "pods", "-o", "name"]).success().stdout, "pod/shell\n");
    let refused = inside(&["get", "pods", "-n", "kube-system"]).failure(1);
    let account = "User \"system:serviceaccount:default:default\" cannot list resource \"pods\"";
    assert!(refused.stderr.contains(account), "{refused}");
    cluster.stop();
}
