//! A gRPC probe: the one call `grpc.health.v1.Health/Check`
//! (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>), made by hand: a message of one string out, one
//! number back.

use std::time::Duration;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{dial, join};
use crate::backend::ProbeOutcome;

/// An answer is a few bytes.
const ANSWER_LIMIT: usize = 4096;

pub(super) async fn attempt(address: &str, port: u16, service: &str, timeout: Duration) -> ProbeOutcome {
    let target = join(address, port);
    let late = || {
        let seconds = timeout.as_secs_f64();
        format!("timeout: failed to connect service {target:?} within {seconds}s: context deadline exceeded")
    };
    match tokio::time::timeout(timeout, check(address, port, service)).await {
        Ok(Ok(1)) => ProbeOutcome::Success,
        Ok(Ok(status)) => {
            let name = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"].get(usize::from(status));
            let name = name.copied().unwrap_or("UNKNOWN");
            ProbeOutcome::Failure(format!("service unhealthy (responded with {name:?})"))
        }
        Ok(Err(Failed::Connect)) | Err(_) => ProbeOutcome::Failure(late()),
        Ok(Err(Failed::Call(message))) => ProbeOutcome::Failure(format!("error: {message}")),
    }
}

enum Failed {
    /// Go's client tries again until its time is over.
    Connect,
    Call(String),
}

/// The status of a service: 1 is `SERVING`.
async fn check(address: &str, port: u16, service: &str) -> Result<u8, Failed> {
    let stream = dial(address, port).await.map_err(|_| Failed::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|_| Failed::Connect)?;
    let connection = tokio::spawn(connection);
    let answer = call(&mut sender, &join(address, port), service).await;
    connection.abort();
    answer
}

async fn call(
    sender: &mut hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    authority: &str,
    service: &str,
) -> Result<u8, Failed> {
    let failed = |error: &dyn std::fmt::Display| Failed::Call(format!("health rpc failed: {error}"));
    let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.32")
        .body(Full::new(encode(service)))
        .map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    // A call that fails at once has its status among the headers.
    status(response.headers())?;
    let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await.map_err(|error| failed(&error))?;
    if let Some(trailers) = body.trailers() {
        status(trailers)?;
    }
    Ok(decode(&body.to_bytes()))
}

fn status(headers: &HeaderMap) -> Result<(), Failed> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text("grpc-status") {
        "" | "0" => Ok(()),
        "12" => Err(Failed::Call(
            "this server does not implement the grpc health protocol (grpc.health.v1.Health)".to_owned(),
        )),
        code => {
            let code = match code {
                "4" => "DeadlineExceeded",
                "5" => "NotFound",
                "7" => "PermissionDenied",
                "14" => "Unavailable",
                "16" => "Unauthenticated",
                _ => "Unknown",
            };
            let message = text("grpc-message");
            Err(Failed::Call(format!("health rpc failed: rpc error: code = {code} desc = {message}")))
        }
    }
}

/// `HealthCheckRequest { string service = 1; }` behind gRPC's prefix: not compressed, and the length.
fn encode(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(&message);
    frame.into()
}

/// `HealthCheckResponse { ServingStatus status = 1; }`; a message without it says 0, `UNKNOWN`.
fn decode(frame: &[u8]) -> u8 {
    match frame.get(5..) {
        Some([0x08, status, ..]) => *status,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        assert_eq!(&encode("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&encode("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(&encode(&"x".repeat(200))[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
        assert_eq!(decode(&[0, 0, 0, 0, 2, 8, 1]), 1);
        assert_eq!(decode(&[0, 0, 0, 0, 0]), 0);
        assert_eq!(decode(&[]), 0);
    }
}
