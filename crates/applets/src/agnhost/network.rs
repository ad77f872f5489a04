//! `netexec`: says who it is and who asks, over HTTP, TCP and UDP; and `dns`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use podlab_client::sleeper::Sleeper;
use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};

use super::Flags;
use crate::server::{accept, on_one_thread, plain};

/// The longest message by UDP.
const MESSAGE: usize = 2048;

pub(super) fn main(flags: &Flags) -> ExitCode {
    let (http, udp) = (flags.port("http_port", 8080), flags.port("udp_port", 8081));
    match on_one_thread(serve(http, udp)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("netexec: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(http: u16, udp: u16) -> io::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(("0.0.0.0", http)).await?;
    let socket = UdpSocket::bind(("0.0.0.0", udp)).await?;
    println!("Started HTTP server on port {http}\nStarted UDP server on port {udp}");
    tokio::select! {
        never = accept(listener, router()) => match never {},
        error = datagrams(&socket) => Err(error),
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
    }
}

pub(super) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

type Parameters = Query<HashMap<String, String>>;

fn router() -> Router {
    let wanted = |query: &Parameters, name: &str| query.get(name).cloned().unwrap_or_default();
    Router::new()
        .route("/", get(async || format!("NOW: {}", jiff::Timestamp::now())))
        .route("/healthz", get(async || StatusCode::OK))
        .route("/hostname", get(async || hostname()))
        .route("/hostName", get(async || hostname()))
        .route("/clientip", get(async |ConnectInfo(client): ConnectInfo<SocketAddr>| plain(client).to_string()))
        .route("/echo", get(async move |query: Parameters| wanted(&query, "msg")))
        .route(
            "/header",
            get(async move |query: Parameters, headers: HeaderMap| shown(&headers, &wanted(&query, "key"))),
        )
        .route(
            "/redirect",
            get(async move |query: Parameters| redirect(&wanted(&query, "location"), &wanted(&query, "code"))),
        )
        .route("/exit", get(async |query: Parameters| -> Infallible { exit(&query).await }))
}

fn shown(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn redirect(location: &str, code: &str) -> Response {
    let status = code.parse().ok().and_then(|code| StatusCode::from_u16(code).ok());
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
    (status.unwrap_or(StatusCode::FOUND), [(header::LOCATION, location)]).into_response()
}

/// `/exit?code=3&wait=1s`
async fn exit(query: &Parameters) -> Infallible {
    let wait = query.get("wait").and_then(|wait| wait.trim_end_matches('s').parse().ok()).unwrap_or(0);
    Sleeper::wall().sleep(Duration::from_secs(wait)).await;
    std::process::exit(query.get("code").and_then(|code| code.parse().ok()).unwrap_or(0))
}

/// `hostname`, `clientip` and `echo TEXT`.
async fn datagrams(socket: &UdpSocket) -> io::Error {
    let mut buffer = vec![0; MESSAGE];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return error,
        };
        let text = String::from_utf8_lossy(&buffer[..length]).trim().to_owned();
        let answer = match text.split_once(' ').unwrap_or((&text, "")) {
            ("hostname" | "hostName", _) => hostname(),
            ("clientip", _) => client.to_string(),
            ("echo", text) => text.to_owned(),
            ("exit", code) => std::process::exit(code.parse().unwrap_or(0)),
            _ => continue,
        };
        let _ = socket.send_to(answer.as_bytes(), client).await;
    }
}

/// `agnhost dns NAME…`: a line for each address.
pub(super) fn look_up(names: &[String]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for name in names {
        match (name.as_str(), 0).to_socket_addrs() {
            Ok(found) => {
                let mut addresses: Vec<String> = found.map(|address| address.ip().to_string()).collect();
                addresses.dedup();
                addresses.iter().for_each(|address| println!("{name} {address}"));
            }
            Err(error) => {
                println!("{name} {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn ask(path: &str) -> (StatusCode, String) {
        let mut request = hyper::Request::get(path).header("x-a", "b").body(axum::body::Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, 1, 2, 3], 4))));
        let answer = router().oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn it_says_who_it_is_and_who_asks() {
        assert_eq!(ask("/hostname").await, (StatusCode::OK, hostname()));
        assert_eq!(ask("/clientip").await.1, "10.1.2.3:4");
        assert_eq!(ask("/echo?msg=a%20b").await.1, "a b");
        assert_eq!(ask("/header?key=X-A").await.1, "b");
        assert_eq!(ask("/redirect?location=/x&code=301").await.0, StatusCode::MOVED_PERMANENTLY);
        assert_eq!(ask("/redirect?location=/x&code=no").await.0, StatusCode::FOUND);
    }
}
