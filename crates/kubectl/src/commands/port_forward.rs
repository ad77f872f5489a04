//! `kubectl port-forward`: a WebSocket a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use podlab_api::json::{at, integer, list, text};
use podlab_client::Path;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::common::pause;
use crate::failure::{Failure, Outcome, fail};
use crate::http_call::log_line;
use crate::print::{complain, say_line};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// POD or TYPE/NAME, and [LOCAL:]PORT...
    words: Vec<String>,
    /// Addresses to listen on
    #[arg(long, value_delimiter = ',', default_value = "localhost")]
    address: Vec<String>,
    /// How long to wait until it runs
    #[arg(long, default_value = "1m0s")]
    pod_running_timeout: String,
}

const PROTOCOLS: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
const ERROR: u8 = 1;
/// Read from a connection at once.
const PIECE: usize = 32 << 10;
/// How long the answer to what was said last may pause.
const LINGER: Duration = Duration::from_secs(10);
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let Some((word, ports)) = arguments.words.split_first() else {
        return fail(
            "TYPE/NAME and list of ports are required for port-forward\nSee 'kubectl port-forward -h' for help and examples",
        );
    };
    if ports.is_empty() {
        return fail(
            "TYPE/NAME and list of ports are required for port-forward\nSee 'kubectl port-forward -h' for help and examples",
        );
    }
    let pod = session.pod(word).await?;
    let mut pairs = Vec::new();
    for port in ports {
        pairs.push(pair(session, word, &pod, port).await?);
    }
    let phase = text(&pod, &["status", "phase"]);
    if phase != "Running" {
        return fail(format!("unable to forward port because pod is not running. Current status={phase}"));
    }
    let path = super::exec::of(&pod, "portforward");
    let (lost, mut is_lost) = tokio::sync::mpsc::channel::<()>(1);
    let mut listeners = Vec::new();
    for (local, remote) in pairs {
        listen(&arguments.address, local, remote, &mut listeners).await?;
    }
    let accepted = futures_util::future::join_all(listeners.into_iter().map(|(listener, remote)| {
        let (path, lost) = (path.clone(), lost.clone());
        accept(session, listener, remote, path, lost)
    }));
    let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| Failure::Text(error.to_string()))?;
    tokio::select! {
        _ = accepted => Ok(()),
        _ = is_lost.recv() => fail("lost connection to pod"),
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = ended.recv() => Err(Failure::Exit(143)),
    }
}

/// `8080`, `:80`, `8080:80`, `8080:http`
async fn pair(session: &Session, word: &str, pod: &Value, port: &str) -> Outcome<(u16, u16)> {
    let (local, remote) = match port.split_once(':') {
        Some(("", remote)) => ("0", remote),
        Some(pair) => pair,
        None => (port, port),
    };
    let mut wanted = Value::from(remote);
    if word.starts_with("svc/") || word.starts_with("service") {
        let name = word.split_once('/').map_or("", |(_, name)| name);
        let path = Path::new("/api/v1/namespaces").segment(&session.namespace()?).segment("services").segment(name);
        let service = session.get(&path).await?;
        let found = list(&service, &["spec", "ports"])
            .iter()
            .find(|port| text(port, &["name"]) == remote || integer(port, &["port"]).to_string() == remote);
        match found {
            Some(port) => wanted = at(port, &["targetPort"]).clone(),
            None => return fail(format!("Service {name} does not have a service port {remote}")),
        }
    }
    let number = match &wanted {
        Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
        Value::String(name) => name.parse::<u16>().ok().or_else(|| {
            let ports = list(pod, &["spec", "containers"]).iter().flat_map(|container| list(container, &["ports"]));
            ports
                .filter(|port| text(port, &["name"]) == name)
                .find_map(|port| u16::try_from(integer(port, &["containerPort"])).ok())
        }),
        _ => None,
    };
    let Some(number) = number.filter(|number| *number > 0) else {
        return fail(format!("Pod '{}' does not have a named port '{remote}'", text(pod, &["metadata", "name"])));
    };
    match (local.parse::<u16>(), local == remote) {
        (Ok(local), _) => Ok((local, number)),
        (Err(_), true) => Ok((number, number)),
        (Err(_), false) => {
            fail(format!("error parsing local port '{local}': strconv.ParseUint: parsing \"{local}\": invalid syntax"))
        }
    }
}

async fn listen(names: &[String], local: u16, remote: u16, listeners: &mut Vec<(TcpListener, u16)>) -> Outcome {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for name in names {
        match name.as_str() {
            "localhost" => addresses.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]),
            other => match other.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => return fail(format!("{other} is not a valid IP")),
            },
        }
    }
    let before = listeners.len();
    let mut local = local;
    let mut refused = Vec::new();
    for address in addresses {
        match TcpListener::bind(SocketAddr::new(address, local)).await {
            Ok(listener) => {
                local = listener.local_addr().map_or(local, |address| address.port());
                say_line(&format!("Forwarding from {} -> {remote}", SocketAddr::new(address, local)));
                listeners.push((listener, remote));
            }
            Err(error) => {
                refused.push(format!("unable to create listener: Error listen tcp4 {address}:{local}: bind: {error}"));
            }
        }
    }
    if listeners.len() == before {
        complain(&format!(
            "Unable to listen on port {local}: Listeners failed to create with the following errors: [{}]",
            refused.join(" ")
        ));
        return fail(format!("unable to listen on any of the requested ports: [{{{local} {remote}}}]"));
    }
    Ok(())
}

async fn accept(
    session: &Session,
    listener: TcpListener,
    remote: u16,
    path: Path,
    lost: tokio::sync::mpsc::Sender<()>,
) {
    let local = listener.local_addr().map_or(0, |address| address.port());
    let mut open = futures_util::stream::FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((connection, _)) => {
                    say_line(&format!("Handling connection for {local}"));
                    open.push(forward(session, connection, local, remote, path.clone(), lost.clone()));
                }
                // Out of descriptors, say; the next try may do.
                Err(_) => pause(Duration::from_millis(100)).await,
            },
            _ = futures_util::StreamExt::next(&mut open), if !open.is_empty() => {}
        }
    }
}

async fn forward(
    session: &Session,
    connection: TcpStream,
    local: u16,
    remote: u16,
    path: Path,
    lost: tokio::sync::mpsc::Sender<()>,
) {
    let told = |why: &str| {
        let text = format!("an error occurred forwarding {local} -> {remote}: {why}");
        complain(&log_line(
            'E',
            "portforward.go:424",
            &format!("\"Unhandled Error\" err={}", crate::print::quoted(&text)),
        ));
    };
    let (mut sender, mut receiver) = match session.channels(&path.query("ports", &remote.to_string()), PROTOCOLS).await
    {
        Ok(channels) => channels,
        Err(failure) => {
            told(&failure.message());
            // Nobody listens for it any more when the program is ending.
            let _ = lost.send(()).await;
            return;
        }
    };
    let (mut reader, mut writer) = connection.into_split();
    let mut piece = vec![0; PIECE];
    // Each channel begins with the number of its port.
    let mut begun = [false; 2];
    let mut reading = true;
    loop {
        tokio::select! {
                   message = tokio::time::timeout(if reading { FOREVER } else { LINGER }, receiver.next()) => {
                       let Ok(Some((channel, bytes))) = message else {
                           sender.close().await;
                           return;
                       };
                       if let Some(begun) = begun.get_mut(usize::from(channel)) && !std::mem::replace(begun, true) {
                           continue;
                       }
                       match channel {
                           DATA => {
        let written = writer.write_all(&bytes).await;
        if written.is_err() {
        sender.close().await;
        return;
        }
        }
                           ERROR => {
                               told(&String::from_utf8_lossy(&bytes));
                               sender.close().await;
                               drop(writer);
                               let _ = lost.send(()).await;
                               return;
                           }
                           _ => {}
                       }
                   },
                   read = reader.read(&mut piece), if reading => match read {
                       Ok(read) if read > 0 => reading = sender.send(DATA, &piece[..read]).await,
                       // The other side may still have something to say, and cannot be told that this one has not.
                       _ => reading = false,
                   },
               }
    }
}
