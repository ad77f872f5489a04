//! A gRPC probe: the one call `grpc.health.v1.Health/Check`
//! (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>), made by hand: a message of one string out, one
//! number back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;
use tokio_util::io::InspectReader;

use super::{dial, join};
use crate::backend::ProbeOutcome;
use crate::kubelet::go;

/// An answer is a few bytes.
const ANSWER_LIMIT: usize = 4096;

const CONTENT_TYPE: &str = "application/grpc";

/// The names of status codes, as Go prints them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

pub(super) async fn attempt(address: &str, port: u16, service: &str, timeout: Duration) -> ProbeOutcome {
    let late = async { drop(tokio::time::timeout(timeout, std::future::pending::<()>()).await) };
    attempt_until(late, address, port, service, timeout).await
}

/// An attempt until `late`, which is after `timeout`.
async fn attempt_until(
    late: impl Future<Output = ()>,
    address: &str,
    port: u16,
    service: &str,
    timeout: Duration,
) -> ProbeOutcome {
    let connected = Arc::new(AtomicBool::new(false));
    let answer = tokio::select! {
        answer = check(address, port, service, &connected) => Some(answer),
        () = late => None,
    };
    let within = go::duration(timeout);
    match answer {
        Some(Ok(1)) => ProbeOutcome::Success,
        Some(Ok(status)) => {
            let name = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"].get(usize::from(status));
            let name = name.map_or_else(|| status.to_string(), |name| (*name).to_owned());
            ProbeOutcome::Failure(format!("service unhealthy (responded with {name:?})"))
        }
        Some(Err(Failed::Call(message))) => ProbeOutcome::Failure(message),
        None if connected.load(Ordering::Relaxed) => {
            ProbeOutcome::Failure(format!("timeout: health rpc did not complete within {within}"))
        }
        // Go's client tries again until its time is over, and that is what it tells.
        Some(Err(Failed::Connect)) | None => ProbeOutcome::Failure(format!(
            "timeout: failed to connect service {:?} within {within}: context deadline exceeded",
            join(address, port)
        )),
    }
}

enum Failed {
    /// Nobody is there who speaks HTTP/2.
    Connect,
    /// What became of the call, in words.
    Call(String),
}

/// The status of a service: 1 is `SERVING`. `connected` is set when the server has said anything: a connection is one when
/// both sides have greeted each other.
async fn check(address: &str, port: u16, service: &str, connected: &Arc<AtomicBool>) -> Result<u8, Failed> {
    let stream = dial(address, port).await.map_err(|_| Failed::Connect)?;
    let connected = Arc::clone(connected);
    let stream = InspectReader::new(stream, move |_: &[u8]| connected.store(true, Ordering::Relaxed));
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|_| Failed::Connect)?;
    // With whatever becomes of the call, the connection ends.
    let mut connection = JoinSet::from_iter([connection]);
    let answer = call(&mut sender, &join(address, port), service).await;
    connection.abort_all();
    answer
}

async fn call(
    sender: &mut hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    authority: &str,
    service: &str,
) -> Result<u8, Failed> {
    let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header("content-type", CONTENT_TYPE)
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.32")
        .body(Full::new(encode(service)))
        .map_err(|error| failed("Internal", &error.to_string()))?;
    // Who answers with something else than HTTP/2 was never connected to, as Go sees it.
    let response = sender.send_request(request).await.map_err(|_| Failed::Connect)?;
    if !response.headers().contains_key("grpc-status") && response.status() != StatusCode::OK {
        return Err(no_grpc(response.status(), response.headers()));
    }
    // A call that fails at once has its status among the headers.
    status(response.headers())?;
    let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    let body = body.map_err(|error| failed("Unavailable", &error.to_string()))?;
    if let Some(trailers) = body.trailers() {
        status(trailers)?;
    }
    Ok(decode(&body.to_bytes()))
}

/// A server of something else has answered (internal/transport/http_util.go of grpc-go knows which status means what).
fn no_grpc(status: StatusCode, headers: &HeaderMap) -> Failed {
    let code = match status.as_u16() {
        400 => "Internal",
        401 => "Unauthenticated",
        403 => "PermissionDenied",
        404 => "Unimplemented",
        429 | 502..=504 => "Unavailable",
        _ => "Unknown",
    };
    let reason = status.canonical_reason().unwrap_or_default();
    let mut message = format!("unexpected HTTP status code received from server: {} ({reason})", status.as_u16());
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.is_empty() {
        message.push_str("; malformed header: missing HTTP content-type");
    } else if !kind.starts_with(CONTENT_TYPE) {
        message.push_str(&format!("; transport: received unexpected content-type {kind:?}"));
    }
    failed(code, &message)
}

fn status(headers: &HeaderMap) -> Result<(), Failed> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let code = text("grpc-status");
    if matches!(code, "" | "0") {
        return Ok(());
    }
    let name = code.parse::<usize>().ok().and_then(|code| CODES.get(code)).copied().unwrap_or("Unknown");
    // It travels as a part of a URL would.
    let message = percent_encoding::percent_decode_str(text("grpc-message")).decode_utf8_lossy();
    Err(failed(name, &message))
}

/// What the kubelet says of a call that failed so (pkg/probe/grpc/grpc.go).
fn failed(code: &str, message: &str) -> Failed {
    Failed::Call(match code {
        "Unimplemented" => {
            format!("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {message}")
        }
        _ => format!("error: health rpc probe failed: rpc error: code = {code} desc = {message}"),
    })
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
    use std::pin::Pin;

    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A gRPC server whose every answer has these headers, this message and these trailers; its address.
    async fn server(
        status: u16,
        headers: &'static [(&'static str, &'static str)],
        message: Option<u8>,
        trailers: &'static [(&'static str, &'static str)],
    ) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = move |request: http::Request<hyper::body::Incoming>| async move {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            let asked = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(asked, encode("shop"));
            let map = |pairs: &[(&'static str, &'static str)]| {
                let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
                pairs.collect::<HeaderMap>()
            };
            let frame = message.map(|status| Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status])));
            let frames = frame.into_iter().chain((!trailers.is_empty()).then(|| Frame::trailers(map(trailers))));
            let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, std::convert::Infallible>)));
            let mut response = http::Response::builder().status(status).body(body).unwrap();
            *response.headers_mut() = map(headers);
            Ok::<_, std::convert::Infallible>(response)
        };
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper::service::service_fn(answer);
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        port
    }

    const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc")];
    const FINE: &[(&str, &str)] = &[("grpc-status", "0")];
    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_health_service_decides() {
        let ask = async |status, headers, message, trailers| {
            let port = server(status, headers, message, trailers).await;
            match attempt("127.0.0.1", port, "shop", MINUTE).await {
                ProbeOutcome::Success => "fine".to_owned(),
                ProbeOutcome::Failure(text) => text,
            }
        };
        assert_eq!(ask(200, GRPC, Some(1), FINE).await, "fine");
        assert_eq!(ask(200, GRPC, Some(2), FINE).await, "service unhealthy (responded with \"NOT_SERVING\")");
        assert_eq!(ask(200, GRPC, None, FINE).await, "service unhealthy (responded with \"UNKNOWN\")");
        const UNKNOWN: &[(&str, &str)] = &[("grpc-status", "5"), ("grpc-message", "unknown%20service")];
        assert_eq!(
            ask(200, GRPC, None, UNKNOWN).await,
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service"
        );
        const NOT_THERE: &[(&str, &str)] = &[
            ("content-type", "application/grpc"),
            ("grpc-status", "12"),
            ("grpc-message", "unknown service grpc.health.v1.Health"),
        ];
        assert_eq!(
            ask(200, NOT_THERE, None, &[]).await,
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): \
             unknown service grpc.health.v1.Health"
        );
        assert_eq!(
            ask(503, &[("content-type", "text/html")], None, &[]).await,
            "error: health rpc probe failed: rpc error: code = Unavailable desc = unexpected HTTP status code received \
             from server: 503 (Service Unavailable); transport: received unexpected content-type \"text/html\""
        );
    }

    /// Takes a connection, says `greeting`, and reads until `wanted` has come.
    async fn take(listener: &TcpListener, greeting: &[u8], wanted: &[u8]) -> TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(greeting).await.unwrap();
        let mut read = Vec::new();
        while !read.windows(wanted.len()).any(|window| window == wanted) {
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
        }
        stream
    }

    #[tokio::test]
    async fn who_is_not_there_or_does_not_answer_is_late() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let failure = async |late: Pin<Box<dyn Future<Output = ()> + Send>>| match attempt_until(
            late,
            "127.0.0.1",
            port,
            "",
            Duration::from_millis(1500),
        )
        .await
        {
            ProbeOutcome::Success => panic!("nobody is there"),
            ProbeOutcome::Failure(text) => text,
        };
        let not_connected =
            format!("timeout: failed to connect service \"127.0.0.1:{port}\" within 1.5s: context deadline exceeded");
        // Settings: none, and that they were taken note of (RFC 9113, 6.5).
        let (settings, noted) = ([0, 0, 0, 4, 0, 0, 0, 0, 0], [0, 0, 0, 4, 1, 0, 0, 0, 0]);
        for (greeting, wanted, text) in [
            (&[][..], &b"PRI * HTTP/2.0"[..], not_connected.as_str()),
            (&settings, &noted, "timeout: health rpc did not complete within 1.5s"),
        ] {
            let (over, late) = tokio::sync::oneshot::channel::<()>();
            let server = async {
                let stream = take(&listener, greeting, wanted).await;
                over.send(()).unwrap();
                stream
            };
            let (told, _stream) = tokio::join!(failure(Box::pin(async { late.await.unwrap() })), server);
            assert_eq!(told, text);
        }
        drop(listener);
        assert_eq!(failure(Box::pin(std::future::pending())).await, not_connected);
    }

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
