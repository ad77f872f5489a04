//! The role `control-plane`: API server, scheduler, controllers and book server in one process.
//!
//! It may be killed at any moment: what it acknowledged is in the store, Pods go on without it, and the machine starts it
//! again. It ends when the plug, its standard input, is pulled. To the machine it speaks in lines of JSON on standard
//! output ([`Message`]); standard error is its log.

mod book;
mod dns;
mod image_garbage;
mod inside;
mod loops;
mod node_doors;
mod node_ports;
mod pulls;
mod readiness;
mod storage;

pub(crate) use image_garbage::Thresholds;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use podlab_apiserver::{Identity, Pki, Server, ServerConfig, Storage, UnixNodes};
use podlab_client::Client;
use podlab_runtime::clock::{Clock, Shared};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::directory::{StateDirectory, write_private};
use crate::record::Ports;

/// The hidden role word.
pub(crate) const ROLE: &str = "control-plane";

/// How long tasks that are left at the end may take.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// What a control plane is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ControlPlaneConfig {
    /// The state directory, absolute.
    pub(crate) directory: PathBuf,
    /// The folder of the labs and the book; `None` leaves the book out.
    pub(crate) workbook: Option<PathBuf>,
    /// The book's port, when no other one will do.
    pub(crate) port: Option<u16>,
    /// Whether the cluster is to have a DNS.
    pub(crate) dns: bool,
    /// The class of claims that name none, where that is to change.
    pub(crate) default_storage_class: Option<String>,
    /// How full the disk may become before unused images go.
    pub(crate) image_garbage: Thresholds,
    /// Names of the nodes, each of which gets a socket.
    pub(crate) nodes: Vec<String>,
}

/// What the control plane tells the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "camelCase")]
pub(crate) enum Message {
    /// All doors are open.
    #[serde(rename_all = "camelCase")]
    Serving { server: String, api_port: u16, book: Option<BookAddress> },
    /// A node is Ready, and Pods can be created.
    Ready { node: String },
    /// It cannot do what was asked, and starting again would not help.
    Refused { why: String },
}

/// Where the book is served.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BookAddress {
    pub(crate) address: String,
    pub(crate) port: u16,
}

/// Runs the control plane until the plug is pulled.
pub(crate) fn main(config: ControlPlaneConfig) -> ExitCode {
    crate::logging::to_standard_error();
    // Every watch is a descriptor, and the API server takes more of them than a process may usually have.
    podlab_linux::descriptors::allow_many();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(run(config));
            // All that matters has ended in order; what still waits for something must not hold up the end.
            runtime.shutdown_timeout(LAST_TASKS);
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            say(&Message::Refused { why: format!("{error:#}") });
            ExitCode::FAILURE
        }
    }
}

async fn run(config: ControlPlaneConfig) -> anyhow::Result<()> {
    let unplugged = crate::plug::pulled();
    let directory = StateDirectory::at(config.directory.clone());
    let clock = Arc::new(Shared::open(&directory.run())?);
    let (started, now) = (clock.now(), clock.clone());
    let ports = Ports::remembered(&directory);
    let pki = Pki::open(&directory.pki())?;
    let server = Server::start(ServerConfig {
        storage: Storage::File(directory.store()),
        pki: pki.clone(),
        now: Arc::new(move || now.now()),
        nodes: Arc::new(UnixNodes { nodes: directory.nodes() }),
    })
    .await?;

    let address = listen_tls(&server, ports.api).await?;
    let url = format!("https://{address}");
    write_private(&directory.kubeconfig(), pki.kubeconfig(&url).as_bytes())?;
    let client = Client::from_service(server.service(Identity::admin()));
    let stop = CancellationToken::new();
    let loops = loops::start(&server, pki.ca_certificate.clone(), clock.clone(), &stop);
    let book = match config.workbook {
        Some(workbook) => Some(book::serve(&directory, workbook, config.port, ports.book, stop.clone()).await?),
        None => None,
    };
    say(&Message::Serving { server: url, api_port: address.port(), book });

    let mut doors = tokio::task::JoinSet::new();
    doors.spawn(node_doors::keep(server.clone(), directory.clone(), config.nodes));
    doors.spawn(inside::keep(server.clone(), client.clone(), directory.path().to_owned()));
    doors.spawn(node_ports::keep(client.clone(), directory.path().into()));
    doors.spawn(pulls::keep(directory.clone()));
    doors.spawn(image_garbage::keep(directory.clone(), client.clone(), clock, config.image_garbage));
    doors.spawn(storage::install(client.clone(), config.default_storage_class));
    if config.dns {
        doors.spawn(dns::install(client.clone()));
    }
    let ready = tokio::spawn(readiness::watch(client, started, |node| say(&Message::Ready { node })));
    // A lost sender means that the thread is gone, which it is only at end of file.
    let _ = unplugged.await;
    tracing::info!("the plug was pulled");
    ready.abort();
    doors.shutdown().await;
    stop.cancel();
    loops.close();
    loops.wait().await;
    server.shutdown().await;
    Ok(())
}

/// The port of the last run, so that kubeconfigs stay true; another one when something else has taken it meanwhile.
async fn listen_tls(server: &Server, remembered: Option<u16>) -> anyhow::Result<SocketAddr> {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = remembered {
        match server.listen_tls(local(port)).await {
            Ok(address) => return Ok(address),
            Err(error) => tracing::warn!(%error, "the port of the last run is taken"),
        }
    }
    Ok(server.listen_tls(local(0)).await?)
}

/// One line to the machine. It reads as long as it lives, and without it we are about to end.
fn say(message: &Message) {
    if let Ok(mut line) = serde_json::to_vec(message) {
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

/// A listener for the book; shared by `book serve`.
pub(crate) async fn bind_local(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}
