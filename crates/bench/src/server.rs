//! An API server in a process of its own, with its objects in a file, and clients to it over TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::BodyExt;
use podlab_apiserver::node::Dialing;
use podlab_apiserver::{NodeDialer, Pki, Server, ServerConfig, Storage};
use podlab_client::Client;
use tempfile::TempDir;

use crate::process;

/// Threads of the server: as many as the control plane has.
const THREADS: usize = 2;

/// Nodes that cannot be reached.
struct NoNodes;

impl NodeDialer for NoNodes {
    fn dial(&self, _: &str) -> Dialing {
        Box::pin(async { Err(std::io::ErrorKind::ConnectionRefused.into()) })
    }
}

/// The server's process: until its input ends.
pub(crate) fn main(directory: &Path) -> anyhow::Result<()> {
    process::raise_descriptor_limit()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    let server = runtime.block_on(async {
        let config = ServerConfig {
            storage: Storage::File(directory.join("store.redb")),
            pki: Pki::open(&directory.join("pki"))?,
            now: Arc::new(jiff::Timestamp::now),
            nodes: Arc::new(NoNodes),
        };
        let pki = config.pki.clone();
        let server = Server::start(config).await?;
        let address = server.listen_tls("127.0.0.1:0".parse()?).await?;
        pki.write_kubeconfig(&directory.join("kubeconfig"), &format!("https://{address}"))?;
        anyhow::Ok(server)
    })?;
    println!("listening");
    std::io::stdout().flush()?;
    // The main thread waits here, so that it is none of those that wake up.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    runtime.block_on(server.shutdown());
    Ok(())
}

/// A server, ended when this is dropped.
pub struct Process {
    child: Child,
    directory: TempDir,
}

impl Process {
    /// Starts a server with an empty store; returns when it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn start() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--server").arg(directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        ensure!(line == "listening\n", "the server said {line:?}");
        Ok(Self { child, directory })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// A client with connections of its own.
    ///
    /// # Errors
    /// When the kubeconfig is none.
    pub fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::from_kubeconfig(self.kubeconfig())?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its input ends; what it still does then is of no interest to anyone.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A request whose answer is read to its end and has to be a good one.
///
/// # Errors
/// When it is not.
pub async fn request(client: &Client, method: &str, path: &str, body: impl Into<Bytes>) -> anyhow::Result<Bytes> {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind).body(body.into())?;
    let response = client.send(request).await?;
    let code = response.status();
    let body = response.into_body().collect().await.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    ensure!(code.is_success(), "{method} {path}: {code} {}", String::from_utf8_lossy(&body));
    Ok(body)
}
