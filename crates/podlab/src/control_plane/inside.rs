//! The API server's door inside: how Pods and nodes reach it.
//!
//! The control plane lives in the host's network, Pods in the cluster's. So the fabric makes the listening socket in
//! *its* network, at the address between the nodes, and gives it to us: what connects there from a Pod is accepted here.
//! The Service `kubernetes` leads to that address, as it does to a real API server's.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use podlab_apiserver::Server;
use podlab_client::sleeper::{Backoff, Sleeper};
use podlab_client::{Client, Object};
use podlab_linux::fabric::{self, FabricRequest};
use podlab_linux::network::FABRIC_ADDRESS;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

/// Where API servers listen.
const PORT: u16 = 6443;

/// How soon a fabric that is not there yet, or was killed, is asked again: it takes some milliseconds to boot.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Keeps the door open until the future is dropped.
pub(super) async fn keep(server: Server, client: Client, directory: PathBuf) {
    let mut pause = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        match open(&server, &client, &directory, || pause.reset()).await {
            Ok(()) => tracing::info!("the network between the nodes is gone"),
            Err(error) => tracing::debug!("Pods do not reach the API server: {error:#}"),
        }
        Sleeper::wall().sleep(pause.step()).await;
    }
}

/// Opens the door, and returns when the network it belongs to has ended.
async fn open(server: &Server, client: &Client, directory: &Path, opened: impl FnOnce()) -> anyhow::Result<()> {
    let request = FabricRequest::Listen { port: PORT };
    let place = directory.to_owned();
    let (socket, fabric) = tokio::task::spawn_blocking(move || fabric::ask_for_socket(&place, &request)).await??;
    let listener = TcpListener::from_std(std::net::TcpListener::from(socket))?;
    let ended = CancellationToken::new();
    let _end = ended.clone().drop_guard();
    server.accept_tls(listener, ended)?;
    publish(client).await.context("publish the API server's address")?;
    opened();
    fabric.set_nonblocking()?;
    let fabric = std::os::unix::net::UnixStream::from(fabric.as_fd().try_clone_to_owned()?);
    let fabric = tokio::net::UnixStream::from_std(fabric)?;
    // It says nothing more: what makes it readable is its end.
    fabric.readable().await?;
    Ok(())
}

/// A connection to an address in the cluster, from the network between the nodes.
pub(super) async fn connect(
    directory: Arc<Path>,
    address: std::net::SocketAddr,
) -> anyhow::Result<tokio::net::TcpStream> {
    let ask = move || fabric::ask_for_socket(&directory, &FabricRequest::Socket);
    let (socket, _) = tokio::task::spawn_blocking(ask).await??;
    debug_assert!(rustix::net::getpeername(socket.as_fd()).is_err(), "it is not connected yet");
    let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(socket));
    Ok(socket.connect(address).await?)
}

/// The Endpoints and the slice of the Service `kubernetes`, which a real API server writes too (pkg/controlplane/reconcilers).
async fn publish(client: &Client) -> anyhow::Result<()> {
    let address = FABRIC_ADDRESS.to_string();
    let ports = json!([{"name": "https", "port": PORT, "protocol": "TCP"}]);
    let endpoints = json!({
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": address}], "ports": ports}],
    });
    let slice = json!({
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": ports,
    });
    make::<Endpoints>(client, serde_json::from_value(endpoints)?).await?;
    make::<EndpointSlice>(client, serde_json::from_value(slice)?).await
}

/// Creates an object unless it is there: the address is the same in every life.
async fn make<K: Object>(client: &Client, object: K) -> anyhow::Result<()> {
    match client.create(&object).await {
        Err(error) if !error.is_already_exists() => Err(error.into()),
        _ => Ok(()),
    }
}
