//! Where questions arrive: by UDP and TCP, and two small pages for probes.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use simple_dns::RCODE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Dns;
use super::answer::{self, Outcome};

/// Questions that wait for other servers, and connections, at one time; more are not answered.
const WAITING: usize = 256;
/// Between two questions of a connection (RFC 7766, section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// Bytes of a datagram that is read.
const DATAGRAM: usize = 4096;

/// Serves until SIGTERM.
pub(super) async fn serve(dns: Arc<Dns>) -> io::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let corefile = dns.corefile();
    let port = corefile.port;
    // Who is told to end before the cluster was seen ends.
    for (port, router) in [(corefile.health, health()), (corefile.ready, ready(dns.clone()))] {
        let Some(port) = port else { continue };
        let listener = TcpListener::bind(("0.0.0.0", port)).await?;
        tokio::spawn(crate::server::accept(listener, router));
    }
    if let Some(cluster) = &dns.cluster
        && !cluster.is_synced()
    {
        println!("[INFO] plugin/kubernetes: waiting for Kubernetes API before starting server");
        tokio::select! {
            () = cluster.synced() => {}
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        }
    }
    let datagrams = UdpSocket::bind(("0.0.0.0", port)).await?;
    let streams = TcpListener::bind(("0.0.0.0", port)).await?;
    println!(".:{port}");
    println!("Podlab's stand-in for CoreDNS");
    let slots = Arc::new(Semaphore::new(WAITING));
    let others = dns.clone();
    tokio::spawn(async move { others.others.call(&others.corefile().forward).await });
    tokio::select! {
        error = serve_datagrams(&dns, Arc::new(datagrams), &slots) => Err(error),
        never = serve_streams(&dns, &streams, &slots) => match never {},
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
    }
}

fn health() -> Router {
    Router::new().route("/health", get(async || "OK"))
}

fn ready(dns: Arc<Dns>) -> Router {
    let ready = async move || match &dns.cluster {
        Some(cluster) if !cluster.is_synced() => (StatusCode::SERVICE_UNAVAILABLE, "kubernetes"),
        _ => (StatusCode::OK, "OK"),
    };
    Router::new().route("/ready", get(ready))
}

async fn serve_datagrams(dns: &Arc<Dns>, socket: Arc<UdpSocket>, slots: &Arc<Semaphore>) -> io::Error {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An answer that could not be delivered comes back as an error of the next call.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return error,
        };
        let (begun, question) = (Instant::now(), &buffer[..length]);
        match answer::answer(dns, question, true) {
            Outcome::Answered { message, code } => {
                log(dns, client, "udp", question, &message, code, begun);
                let _ = socket.send_to(&message, client).await;
            }
            Outcome::Forward => {
                let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
                let (dns, socket, question) = (dns.clone(), socket.clone(), question.to_vec());
                tokio::spawn(async move {
                    if let Some(message) = elsewhere(&dns, client, "udp", &question, begun).await {
                        let _ = socket.send_to(&message, client).await;
                    }
                    drop(slot);
                });
            }
            Outcome::Nothing => {}
        }
    }
}

async fn serve_streams(dns: &Arc<Dns>, listener: &TcpListener, slots: &Arc<Semaphore>) -> std::convert::Infallible {
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
        let dns = dns.clone();
        tokio::spawn(async move {
            // Whatever ends it, the client knows.
            let _ = conversation(&dns, stream, client).await;
            drop(slot);
        });
    }
}

async fn conversation(dns: &Dns, mut stream: TcpStream, client: SocketAddr) -> io::Result<()> {
    loop {
        let length = timeout(IDLE, stream.read_u16()).await??;
        let mut question = vec![0; usize::from(length)];
        timeout(IDLE, stream.read_exact(&mut question)).await??;
        let begun = Instant::now();
        let message = match answer::answer(dns, &question, false) {
            Outcome::Answered { message, code } => {
                log(dns, client, "tcp", &question, &message, code, begun);
                message
            }
            Outcome::Forward => match elsewhere(dns, client, "tcp", &question, begun).await {
                Some(message) => message,
                None => return Ok(()),
            },
            Outcome::Nothing => return Ok(()),
        };
        let length = u16::try_from(message.len()).map_err(io::Error::other)?;
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(&message).await?;
    }
}

/// What others answer; that nobody did is an answer too.
async fn elsewhere(dns: &Dns, client: SocketAddr, by: &str, question: &[u8], begun: Instant) -> Option<Vec<u8>> {
    let servers = dns.corefile().forward.clone();
    match dns.others.ask(&servers, question, by == "udp").await {
        Some(message) => {
            let code = simple_dns::Packet::parse(&message).map_or(RCODE::NoError, |packet| packet.rcode());
            log(dns, client, by, question, &message, code, begun);
            Some(message)
        }
        None => {
            let message = answer::failure(question)?;
            log(dns, client, by, question, &message, RCODE::ServerFailure, begun);
            Some(message)
        }
    }
}

/// A line for each question, when the Corefile says `log`, in CoreDNS's form.
fn log(dns: &Dns, client: SocketAddr, by: &str, question: &[u8], message: &[u8], code: RCODE, begun: Instant) {
    if !dns.corefile().log {
        return;
    }
    let Some(asked) = answer::asked(question) else { return };
    let code = match code {
        RCODE::NoError => "NOERROR".to_owned(),
        RCODE::NameError => "NXDOMAIN".to_owned(),
        RCODE::ServerFailure => "SERVFAIL".to_owned(),
        other => format!("{other:?}").to_uppercase(),
    };
    let took = begun.elapsed().as_secs_f64();
    let (id, kind, name) = (asked.id, asked.kind, asked.name);
    let (asked, answered) = (question.len(), message.len());
    println!("[INFO] {client} - {id} \"{kind} IN {name} {by} {asked} false 512\" {code} qr,rd {answered} {took:.9}s");
}
