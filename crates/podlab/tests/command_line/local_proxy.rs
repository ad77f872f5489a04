//! `kubectl proxy`: the API without its credentials, on a port of this machine's loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use podlab_testkit::{Cluster, DEADLINE, Kubectl};

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: kuard, image: gcr.io/kuar-demo/kuard-amd64:1, ports: [{containerPort: 8080}]}]
";

/// A running `kubectl proxy`; ends with the test.
struct Proxy {
    process: Child,
    port: u16,
}

impl Proxy {
    /// On a port that is free: it says which.
    fn start(cluster: &Cluster, kubectl: &Kubectl) -> Self {
        let mut command = kubectl.command(&cluster.kubeconfig(), &cluster.home(), ["proxy", "--port=0"]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        Self { process, port: port.unwrap_or_else(|| panic!("no port in {line:?}")) }
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = "Host: localhost\r\nConnection: close\r\n";
        write!(stream, "{request} HTTP/1.1\r\n{head}\r\n").unwrap();
        stream
    }

    /// The whole answer to a GET.
    fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        self.send(&format!("GET {path}")).read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_api_and_a_pods_pages_go_through_kubectl_proxy() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    let manifest = cluster.scratch().join("web.yaml");
    std::fs::write(&manifest, POD).unwrap();
    let proxy = Proxy::start(&cluster, &kubectl);

    // A watch tells what happens while it is open.
    let mut watch = BufReader::new(proxy.send("GET /api/v1/namespaces/default/pods?watch=1"));
    let mut status = String::new();
    watch.read_line(&mut status).unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK\r\n");
    cluster.kubectl(&kubectl, ["apply", "-f", manifest.to_str().unwrap()]).success();
    let told = |line: &str| line.contains("\"type\":\"ADDED\"") && line.contains("\"name\":\"web\"");
    assert!(watch.lines().map_while(Result::ok).any(|line| told(&line)), "the watch ended without the Pod");

    cluster.kubectl(&kubectl, ["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"]).success();
    let pod = proxy.get("/api/v1/namespaces/default/pods/web");
    assert!(pod.starts_with("HTTP/1.1 200 OK\r\n") && pod.contains("\"phase\":\"Running\""), "{pod}");
    // Over both proxies: kubectl's, and the server's to the Pod.
    let healthy = proxy.get("/api/v1/namespaces/default/pods/web:8080/proxy/healthy");
    assert!(healthy.starts_with("HTTP/1.1 200 OK\r\n") && healthy.contains("ok"), "{healthy}");
    let missing = proxy.get("/api/v1/namespaces/default/pods/nosuch");
    assert!(missing.starts_with("HTTP/1.1 404 Not Found\r\n") && missing.contains("\"reason\":\"NotFound\""));

    drop(proxy);
    cluster.stop();
}
