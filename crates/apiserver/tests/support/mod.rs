//! A server in memory, and the real kubectl in front of it.
#![allow(unreachable_pub, dead_code, clippy::unwrap_used, reason = "every test file takes what it needs of this")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;

pub mod node;
pub mod raw;
pub mod websocket;

use podlab_apiserver::node::Dialing;
use podlab_apiserver::{Body, Identity, NodeDialer, Pki, Server, ServerConfig, Storage};
use serde_json::{Value, json};
use tower::ServiceExt;

/// A cluster of one API server and whatever a test puts into it.
pub struct Cluster {
    pub server: Server,
    pub address: SocketAddr,
    pub folder: tempfile::TempDir,
    pub ca_certificate: String,
}

/// Nodes that cannot be reached.
pub struct NoNodes;

impl NodeDialer for NoNodes {
    fn dial(&self, _: &str) -> Dialing {
        Box::pin(async { Err(std::io::ErrorKind::ConnectionRefused.into()) })
    }
}

impl Cluster {
    pub async fn start() -> Self {
        Self::with_nodes(Arc::new(NoNodes)).await
    }

    pub async fn with_nodes(nodes: Arc<dyn NodeDialer>) -> Self {
        let config = ServerConfig {
            storage: Storage::Memory,
            pki: Pki::ephemeral().unwrap(),
            now: Arc::new(jiff::Timestamp::now),
            nodes,
        };
        let pki = config.pki.clone();
        let server = Server::start(config).await.unwrap();
        let address = server.listen_tls("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        pki.write_kubeconfig(&folder.path().join("kubeconfig"), &format!("https://{address}")).unwrap();
        let cluster = Self { server, address, folder, ca_certificate: pki.ca_certificate };
        // What the controllers make in every namespace.
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        cluster.post("/api/v1/namespaces/default/serviceaccounts", &account).await;
        cluster
    }

    /// A request as the administrator, in this process; the status code and the JSON of the answer.
    pub async fn request(&self, method: &str, path: &str, content_type: &str, body: Vec<u8>) -> (u16, Value) {
        let request = http::Request::builder().method(method).uri(path).header("content-type", content_type);
        let request = request.body(Body::from(body)).unwrap();
        let response = self.server.service(Identity::admin()).oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap_or_default())
    }

    pub async fn get(&self, path: &str) -> Value {
        self.request("GET", path, "", Vec::new()).await.1
    }

    /// The JSON of a GET that asks for a certain view.
    pub async fn get_as(&self, path: &str, accept: &str) -> Value {
        let request = http::Request::builder().uri(path).header("accept", accept).body(Body::empty()).unwrap();
        let response = self.server.service(Identity::admin()).oneshot(request).await.unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// The events of a watch.
    pub async fn watch(&self, path: &str, accept: &str) -> Watch {
        let request = http::Request::builder().uri(path).header("accept", accept).body(Body::empty()).unwrap();
        let response = self.server.service(Identity::admin()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Watch { body: response.into_body(), buffer: Vec::new() }
    }

    /// A WebSocket through a Unix socket of the administrator's.
    pub async fn websocket(&self, path: &str) -> websocket::Client {
        let socket = self.folder.path().join("admin.sock");
        self.server.listen_unix(&socket, Identity::admin()).await.unwrap();
        websocket::Client::connect(&socket, path).await
    }

    /// Creates an object that has to be accepted.
    pub async fn post(&self, path: &str, object: &Value) -> Value {
        let (code, value) = self.request("POST", path, "application/json", object.to_string().into_bytes()).await;
        assert_eq!(code, 201, "{value}");
        value
    }

    /// A Pod that runs on node `n1`.
    pub async fn running_pod(&self, name: &str, containers: &[&str]) {
        let list: Vec<Value> = containers
            .iter()
            .map(|container| json!({"name": container, "image": "x:1", "ports": [{"name": "http", "containerPort": 8080}]}))
            .collect();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"nodeName": "n1", "containers": list}});
        self.post("/api/v1/namespaces/default/pods", &pod).await;
        let statuses: Vec<Value> = containers
            .iter()
            .map(|container| {
                json!({"name": container, "image": "x:1", "imageID": "", "ready": true, "restartCount": 0,
                "started": true, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}})
            })
            .collect();
        let status = json!({"status": {"phase": "Running", "containerStatuses": statuses}});
        let path = format!("/api/v1/namespaces/default/pods/{name}/status");
        let kind = "application/merge-patch+json";
        let (code, answer) = self.request("PATCH", &path, kind, status.to_string().into_bytes()).await;
        assert_eq!(code, 200, "{answer}");
    }

    /// Runs a kubectl against this cluster, in its folder.
    pub async fn kubectl(&self, program: &std::path::Path, arguments: &str, input: &str) -> Output {
        let mut child = self.command(program, arguments).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that does not read its input ends without it.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await;
        drop(stdin);
        let output = tokio::time::timeout(std::time::Duration::from_secs(60), child.wait_with_output()).await;
        output.expect("kubectl took a minute").expect("kubectl could not be run")
    }

    /// kubectl, ready to be started.
    pub fn command(&self, program: &std::path::Path, arguments: &str) -> tokio::process::Command {
        let words = shell_words(arguments);
        let mut command = tokio::process::Command::new(program);
        command
            .args(words)
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("KUBECACHEDIR", self.folder.path().join("cache"))
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// What kubectl printed and how it ended, in the form of the reference's transcripts.
    pub async fn transcript(&self, program: &std::path::Path, arguments: &str) -> String {
        let output = self.kubectl(program, arguments, "").await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!(
            "# exit code: {}\n--- stdout ---\n{}--- stderr ---\n{}--- end ---\n",
            output.status.code().unwrap_or(-1),
            text(&output.stdout),
            text(&output.stderr)
        )
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// The lines of an endless answer.
pub struct Watch {
    body: Body,
    buffer: Vec<u8>,
}

impl Watch {
    /// The next event; None when the watch has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let deadline = std::time::Duration::from_secs(30);
            let frame = tokio::time::timeout(deadline, http_body_util::BodyExt::frame(&mut self.body)).await;
            let frame = frame.expect("the watch says nothing")?.unwrap();
            self.buffer.extend_from_slice(&frame.into_data().unwrap());
        }
    }
}

/// A kubectl, or a word that the test could not run.
pub fn kubectl() -> Option<PathBuf> {
    Some(podlab_testkit::Kubectl::any()?.program().to_owned())
}

/// One of every minor version that has to work, and older ones where there are some.
pub fn kubectls() -> Vec<PathBuf> {
    let older =
        ["1_27", "1_28", "1_29"].iter().filter_map(|version| std::env::var_os(format!("PODLAB_KUBECTL_{version}")));
    let supported =
        ["1.30", "1.31", "1.32", "1.33"].iter().filter_map(|version| podlab_testkit::Kubectl::find(version));
    supported.map(|kubectl| kubectl.program().to_owned()).chain(older.map(PathBuf::from)).collect()
}

/// Splits words at blanks; single and double quotes hold them together.
fn shell_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None;
    let mut quote = None;
    for character in text.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_with(String::new);
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_with(String::new).push(character),
        }
    }
    words.extend(word);
    words
}
