//! `grpc-health-checking`: gRPC's health service, for probes of the kind grpc.
//!
//! Upstream: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>. One method, whose messages have one
//! field each, is read and written by hand.

use std::convert::Infallible;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::Flags;
use crate::server::{accept, on_one_thread};

const CHECK: &str = "/grpc.health.v1.Health/Check";
/// Bytes of a request.
const LIMIT: usize = 4096;
/// Status codes of gRPC: <https://grpc.io/docs/guides/status-codes/>.
const OK: &str = "0";
const NOT_FOUND: &str = "5";
const UNIMPLEMENTED: &str = "12";

/// What is said about whom.
struct Health {
    service: String,
    serving: AtomicBool,
}

pub(super) fn main(flags: &Flags) -> ExitCode {
    let health = Arc::new(Health {
        service: flags.get("service").unwrap_or_default().to_owned(),
        serving: AtomicBool::new(true),
    });
    let (port, http) = (flags.port("port", 5000), flags.port("http_port", 8080));
    match on_one_thread(serve(health, port, http)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("grpc-health-checking: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(health: Arc<Health>, port: u16, http: u16) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let switch = |to: bool| {
        let health = health.clone();
        get(move || async move { health.serving.store(to, Ordering::Relaxed) })
    };
    let router = Router::new().route("/make-serving", switch(true)).route("/make-not-serving", switch(false));
    let switches = TcpListener::bind(("0.0.0.0", http)).await?;
    let calls = TcpListener::bind(("0.0.0.0", port)).await?;
    println!("Http server starting to listen on :{http}\ngRPC server starting to listen on :{port}");
    tokio::select! {
        never = accept(switches, router) => match never {},
        ended = answer_calls(&calls, &health) => ended,
        _ = terminate.recv() => Ok(()),
    }
}

async fn answer_calls(listener: &TcpListener, health: &Arc<Health>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let health = health.clone();
        let service = service_fn(move |request| answer(health.clone(), request));
        // A client that breaks off is its own business.
        tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
    }
}

type Answer = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

async fn answer(health: Arc<Health>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let known = request.uri().path() == CHECK;
    let body = Limited::new(request.into_body(), LIMIT).collect().await;
    let asked = body.map(|body| service_of(&body.to_bytes())).unwrap_or_default();
    let (code, message) = match asked {
        _ if !known => (UNIMPLEMENTED, Bytes::new()),
        Some(service) if service.is_empty() || service == health.service => {
            (OK, message(health.serving.load(Ordering::Relaxed)))
        }
        _ => (NOT_FOUND, Bytes::new()),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    let body = Full::new(message).with_trailers(async move { Some(Ok(trailers)) }).boxed();
    let mut response = Response::new(body);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// The one field of a HealthCheckRequest, a text. `None` when it is no such message.
fn service_of(framed: &[u8]) -> Option<String> {
    // Not compressed, and its length in four bytes.
    let [0, a, b, c, d, message @ ..] = framed else { return None };
    if u32::from_be_bytes([*a, *b, *c, *d]) as usize != message.len() {
        return None;
    }
    match message {
        [] => Some(String::new()),
        // Field 1, of the type that has a length; shorter than 128 bytes.
        [0x0a, length, text @ ..] if usize::from(*length) == text.len() => String::from_utf8(text.to_vec()).ok(),
        _ => None,
    }
}

/// A HealthCheckResponse: field 1 is 1 for SERVING, 2 for NOT_SERVING.
fn message(serving: bool) -> Bytes {
    Bytes::from(vec![0, 0, 0, 0, 2, 0x08, if serving { 1 } else { 2 }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_what_is_none_is_refused() {
        assert_eq!(service_of(&[0, 0, 0, 0, 0]).as_deref(), Some(""));
        assert_eq!(service_of(&[0, 0, 0, 0, 4, 0x0a, 2, b'd', b'b']).as_deref(), Some("db"));
        for wrong in
            [&b""[..], &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 9], &[0, 0, 0, 0, 3, 0x0a, 2, b'd'], &[0, 0, 0, 0, 1, 8]]
        {
            assert_eq!(service_of(wrong), None, "{wrong:?}");
        }
    }
}
