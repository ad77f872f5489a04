//! Web pages that reach for a port on loopback (DNS rebinding, cross-site requests), with the reader's own certificate at
//! hand: the browser would present it.

use crate::support::Cluster;
use crate::support::raw::Raw;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn ask(cluster: &Cluster, text: &str) -> String {
    Raw::connect_with(cluster.address, &cluster.folder.path().join("kubeconfig")).await.exchange(text).await
}

/// A POST that would be allowed, but for its headers.
fn post(headers: &str) -> String {
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"}}"#;
    let length = body.len();
    format!(
        "POST {MAPS} HTTP/1.1\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_hosts_and_origins_are_refused() {
    let cluster = Cluster::start().await;
    for headers in [
        "Host: example.com\r\n",
        "Host: example.com:6443\r\n",
        "Host: localhost.example.com\r\n",
        "Host: 127.0.0.1.example.com\r\n",
        "Host: 0.0.0.0\r\n",
        "Host: localhost@example.com\r\n",
        "Host: [::ffff:1.2.3.4]\r\n",
        "Host: \r\n",
        "",
        "Host: localhost\r\nOrigin: http://example.com\r\n",
        "Host: localhost\r\nOrigin: https://localhost.example.com\r\n",
        "Host: localhost\r\nOrigin: null\r\n",
        "Host: localhost\r\nOrigin: \r\n",
    ] {
        let answer = ask(&cluster, &post(headers)).await;
        let refused = answer.starts_with("HTTP/1.1 403 ") && answer.contains("is not a name of this server");
        assert!(refused || answer.starts_with("HTTP/1.1 400 "), "{headers:?}: {answer}");
    }
    assert_eq!(cluster.get(MAPS).await["items"].as_array().unwrap().len(), 0, "nothing was written");
    let answer = ask(&cluster, &post("Host: localhost\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_may_read_an_answer() {
    let cluster = Cluster::start().await;
    for origin in ["http://example.com", "https://localhost:1234"] {
        let preflight = format!(
            "OPTIONS {MAPS} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
             Connection: close\r\n\r\n"
        );
        let get = format!("GET {MAPS} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n");
        for request in [preflight, get] {
            let answer = ask(&cluster, &request).await.to_ascii_lowercase();
            assert!(!answer.contains("access-control-allow"), "{answer}");
            assert!(!request.starts_with("OPTIONS") || !answer.starts_with("http/1.1 2"), "{answer}");
        }
    }
}
