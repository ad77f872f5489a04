//! Connections that were to become something else, and did not.

use std::sync::atomic::Ordering;

use podlab_apiserver::Identity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::node::{Manner, Node};
use crate::support::Cluster;
use crate::support::raw::Raw;

const POD: &str = "/api/v1/namespaces/default/pods/p";
const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                         dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ";
const SPDY: &str = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ";

fn upgrade(path: &str, headers: &str, protocol: &str) -> String {
    format!("GET {POD}/{path} HTTP/1.1\r\nHost: localhost\r\n{headers}{protocol}\r\n\r\n")
}

/// The handler refuses, each time for another reason; the second request has to stand on its own.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_refused_upgrade_is_judged_by_itself() {
    let (node, seen) = Node::new(Manner::Refuses);
    let cluster = Cluster::with_nodes(node).await;
    cluster.running_pod("p", &["a"]).await;
    let kubeconfig = cluster.folder.path().join("kubeconfig");
    let second =
        "GET /api/v1/namespaces/default/configmaps/nope HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for (path, headers, protocol, code) in [
        ("exec?stdout=1", WEBSOCKET, "v5.channel.k8s.io", 400),
        ("exec?command=sh", WEBSOCKET, "v5.channel.k8s.io", 400),
        ("exec?command=sh&stdout=1&container=nope", WEBSOCKET, "v5.channel.k8s.io", 400),
        ("exec?command=sh&stdout=1", WEBSOCKET, "nothing.known", 400),
        ("exec?command=sh&stdout=1", SPDY, "nothing.known", 400),
        ("exec?command=sh&stdout=1", "X-Nothing: ", "1", 400),
        ("portforward?ports=0", WEBSOCKET, "v4.channel.k8s.io", 400),
        ("portforward", SPDY, "nothing.known", 400),
        ("nope", WEBSOCKET, "v5.channel.k8s.io", 404),
    ] {
        let connection = Raw::connect_with(cluster.address, &kubeconfig).await;
        let answer = connection.exchange(&(upgrade(path, headers, protocol) + second)).await;
        let codes: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(codes, [code.to_string().as_str(), "404"], "{path} {headers}: {answer}");
        assert!(answer.contains(r#"configmaps \"nope\" not found"#), "{answer}");
        // Without the certificate both are refused.
        let connection = Raw::connect(cluster.address, &cluster.ca_certificate).await;
        let answer = connection.exchange(&(upgrade(path, headers, protocol) + second)).await;
        assert_eq!(answer.matches("HTTP/1.1 403 ").count(), 2, "{path}: {answer}");
    }
    assert_eq!(seen.dialed.load(Ordering::Relaxed), 0, "no node was asked");
}

/// The client's side is upgraded already when the node refuses: what follows goes nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_never_sees_what_follows() {
    for manner in [Manner::Refuses, Manner::Redirects] {
        let (node, seen) = Node::new(manner);
        let cluster = Cluster::with_nodes(node).await;
        cluster.running_pod("p", &["a"]).await;
        let socket = cluster.folder.path().join("admin.sock");
        cluster.server.listen_unix(&socket, Identity::admin()).await.unwrap();
        for (path, headers, protocol) in [
            ("exec?command=sh&stdout=1", WEBSOCKET, "v5.channel.k8s.io"),
            ("attach?stdout=1", WEBSOCKET, "v4.channel.k8s.io"),
            ("portforward?ports=80", WEBSOCKET, "v4.channel.k8s.io"),
            ("exec?command=sh&stdout=1", SPDY, "v4.channel.k8s.io"),
            ("portforward", SPDY, "portforward.k8s.io"),
            ("proxy/", WEBSOCKET, "anything"),
        ] {
            let mut connection = UnixStream::connect(&socket).await.unwrap();
            let smuggled = "GET /runningpods/ HTTP/1.1\r\nHost: node\r\n\r\n".repeat(3);
            connection.write_all((upgrade(path, headers, protocol) + &smuggled).as_bytes()).await.unwrap();
            connection.shutdown().await.unwrap();
            let mut answer = Vec::new();
            // A server that is done may close without reading everything.
            let read = tokio::time::timeout(podlab_testkit::DEADLINE, connection.read_to_end(&mut answer)).await;
            let _ = read.expect("the server does not close");
        }
        let requests = seen.requests.lock().unwrap().clone();
        let ours = |request: &String| {
            ["POST /exec/default/p/a", "POST /attach/default/p/a", "POST /portForward/default/p"]
                .iter()
                .any(|known| request.starts_with(known))
        };
        assert!(requests.iter().all(ours), "{requests:?}");
        let dialed = seen.dialed.load(Ordering::Relaxed);
        assert_eq!(requests.len(), dialed, "one request a connection: {requests:?}");
    }
}

/// A node, and a Pod behind the proxy, that answer with a redirect: the server goes nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_never_followed() {
    let (node, seen) = Node::new(Manner::Redirects);
    let cluster = Cluster::with_nodes(node).await;
    cluster.running_pod("p", &["a"]).await;
    let node_object = serde_json::json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    cluster.post("/api/v1/nodes", &node_object).await;
    for (path, code) in [
        (format!("{POD}/log"), 500),
        // To a node, the redirect is an answer like any other: the client's business.
        ("/api/v1/nodes/n1/proxy/logs".to_owned(), 302),
        // To a Pod, there is no connection at all when the node redirects.
        (format!("{POD}/proxy/"), 503),
    ] {
        let before = seen.dialed.load(Ordering::Relaxed);
        let (told, answer) = cluster.request("GET", &path, "", Vec::new()).await;
        assert_eq!(told, code, "{path}: {answer}");
        assert_eq!(seen.dialed.load(Ordering::Relaxed) - before, 1, "{path}");
        assert!(!answer.to_string().contains("secret"), "{answer}");
    }
}
