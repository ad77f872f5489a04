//! What the server says about itself, at the most talkative level, while secrets go through it.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::node::{Manner, Node};
use crate::runtime;
use crate::support::Cluster;
use crate::support::raw::Raw;

/// In the Secret, and in bodies that are refused.
const SECRET: &str = "correct-horse-battery-staple";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn nothing_secret_is_logged() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(lines.clone())
        .finish();
    let token = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    tracing::trace!("the least important line is kept");
    let secrets = runtime().block_on(secrets());
    drop(token);
    let logged = String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned();
    assert!(logged.contains("the least important line is kept"), "the level has no effect: {logged:.500}");
    for secret in secrets {
        assert!(!logged.contains(&secret), "{secret:.12}… is in the log");
    }
}

/// Sends secrets through everything that could mention them; returns them.
async fn secrets() -> Vec<String> {
    let (node, _) = Node::new(Manner::Refuses);
    let cluster = Cluster::with_nodes(node).await;
    cluster.running_pod("p", &["a"]).await;
    let encoded = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZQ==";
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": encoded}});
    cluster.post("/api/v1/namespaces/default/secrets", &secret).await;
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let token = cluster.post(path, &request).await["status"]["token"].as_str().unwrap().to_owned();
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    cluster.post("/apis/authentication.k8s.io/v1/tokenreviews", &review).await;

    let mut forged = token.clone();
    forged.replace_range(forged.len() - 10.., "AAAAAAAAAA");
    let unfinished = format!("{{\"stringData\":{{\"a\":\"{SECRET}\"");
    let length = unfinished.len();
    for (line, bearer) in [
        ("GET /api/v1/namespaces/default/pods HTTP/1.1\r\n".to_owned(), &token),
        ("GET /api/v1/namespaces/default/secrets/s HTTP/1.1\r\n".to_owned(), &token),
        ("GET /version HTTP/1.1\r\n".to_owned(), &forged),
        (format!("POST /api/v1/namespaces/default/secrets HTTP/1.1\r\nContent-Length: {length}\r\n"), &token),
    ] {
        let request =
            format!("{line}Host: localhost\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n\r\n{unfinished}");
        Raw::connect(cluster.address, &cluster.ca_certificate).await.exchange(&request).await;
    }
    for (kind, body) in [
        ("application/json", unfinished.as_str()),
        ("application/json", r#"{"kind":"Secret","nope":"correct-horse-battery-staple"}"#),
        ("application/yaml", "a: [correct-horse-battery-staple"),
    ] {
        let path = "/api/v1/namespaces/default/secrets?fieldValidation=Strict";
        cluster.request("POST", path, kind, body.as_bytes().to_vec()).await;
    }
    let exec = format!("/api/v1/namespaces/default/pods/p/exec?command={SECRET}&stdout=1");
    cluster.request("POST", &exec, "", Vec::new()).await;
    cluster.request("GET", "/api/v1/namespaces/default/pods/p/log", "", Vec::new()).await;
    cluster.server.shutdown().await;
    let key = std::fs::read_to_string(cluster.folder.path().join("kubeconfig")).unwrap();
    let key = key.lines().find_map(|line| line.trim().strip_prefix("client-key-data: ")).unwrap().to_owned();
    vec![SECRET.to_owned(), encoded.to_owned(), token, forged, key]
}
