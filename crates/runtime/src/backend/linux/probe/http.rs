//! An HTTP probe: any answer from 200 to 399 is success.

use std::fmt;
use std::time::Duration;

use http::header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{Error as TlsError, InvalidMessage};

use super::{dial, join};
use crate::backend::ProbeOutcome;

/// As Go's client, which the kubelet uses.
const REDIRECTS: usize = 10;

/// Where to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) https: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", join(&self.host, self.port), self.path_from_root())
    }
}

impl Target {
    fn path_from_root(&self) -> String {
        if self.path.starts_with('/') { self.path.clone() } else { format!("/{}", self.path) }
    }

    /// Where a redirect leads: `None` when that is another host, to which a probe must not be led (CVE-2020-8559).
    fn redirect(&self, location: &str) -> Option<Self> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Some(Self { path: location.to_owned(), ..self.clone() });
        }
        let uri: http::Uri = location.parse().ok()?;
        let https = uri.scheme_str()? == "https";
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        (host == self.host).then_some(Self { https, host, port, path })
    }
}

pub(super) async fn attempt(mut target: Target, headers: &[(String, String)], timeout: Duration) -> ProbeOutcome {
    let first = target.to_string();
    let ask = async {
        for _ in 0..=REDIRECTS {
            let (status, location) = get(&target, headers).await?;
            match location.filter(|_| status.is_redirection()) {
                Some(location) => match target.redirect(&location) {
                    Some(next) => target = next,
                    None => return Ok(status),
                },
                None => return Ok(status),
            }
        }
        Err(format!("stopped after {REDIRECTS} redirects"))
    };
    match tokio::time::timeout(timeout, ask).await {
        Ok(Ok(status)) if (200..400).contains(&status.as_u16()) => ProbeOutcome::Success,
        Ok(Ok(status)) => ProbeOutcome::Failure(format!("HTTP probe failed with statuscode: {}", status.as_u16())),
        Ok(Err(error)) => ProbeOutcome::Failure(format!("Get \"{first}\": {error}")),
        Err(_) => ProbeOutcome::Failure(format!(
            "Get \"{first}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )),
    }
}

async fn get(target: &Target, headers: &[(String, String)]) -> Result<(StatusCode, Option<String>), String> {
    let stream = dial(&target.host, target.port).await?;
    match target.https {
        true => exchange(encrypt(target, stream).await?, target, headers).await,
        false => exchange(stream, target, headers).await,
    }
}

/// The certificate is not checked: a container's is its own affair, and a probe carries no secret.
async fn encrypt(target: &Target, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
    let connected = TlsConnector::from(podlab_client::unchecked_tls()?).connect(name, stream).await;
    connected.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(TlsError::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "http: server gave HTTP response to HTTPS client".to_owned()
        }
        _ if error.kind() == std::io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        Some(other) => format!("tls: {other}"),
        None => format!("read: {}", super::text(&error)),
    })
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    target: &Target,
    headers: &[(String, String)],
) -> Result<(StatusCode, Option<String>), String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = request(target, headers)?;
    let exchange = async {
        tokio::select! {
            response = sender.send_request(request) => response.map_err(describe),
            _ = async { let _ = connection.await; std::future::pending::<()>().await } => Err("EOF".to_owned()),
        }
    };
    let response = exchange.await?;
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok((response.status(), location))
}

fn request(target: &Target, headers: &[(String, String)]) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::get(target.path_from_root()).body(Empty::new()).map_err(|error| error.to_string())?;
    let map = request.headers_mut();
    let host = HeaderValue::from_str(&join(&target.host, target.port)).map_err(|error| error.to_string())?;
    map.insert(HOST, host);
    map.insert(USER_AGENT, HeaderValue::from_static("kube-probe/1.32"));
    map.insert(ACCEPT, HeaderValue::from_static("*/*"));
    map.insert(CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
        if name == HOST || name == USER_AGENT || name == ACCEPT {
            map.insert(name, value);
        } else {
            map.append(name, value);
        }
    }
    Ok(request)
}

/// A connection that ends before its answer does is `EOF` to Go.
fn describe(error: hyper::Error) -> String {
    use std::error::Error;
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return "EOF".to_owned();
    }
    match error.source().and_then(|source| source.downcast_ref::<std::io::Error>()) {
        Some(io) => format!("read: {}", super::text(io)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Answers every connection with the bytes of `answers` in turn; nothing after them, without closing.
    async fn server(answers: &'static [&'static str]) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut open = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await.unwrap();
                if *answer == "wait" {
                    open.push(stream);
                    continue;
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            std::future::pending::<()>().await;
            drop(open);
        });
        port
    }

    async fn probe(answers: &'static [&'static str], timeout: Duration) -> (u16, ProbeOutcome) {
        let port = server(answers).await;
        let target = Target { https: false, host: "127.0.0.1".to_owned(), port, path: "/healthy".to_owned() };
        (port, attempt(target, &[], timeout).await)
    }

    /// Any certificate will do; and who speaks no TLS is told apart.
    #[tokio::test]
    async fn encrypted() {
        use podlab_apiserver::{Pki, Server, ServerConfig, Storage, UnixNodes};
        let server = Server::start(ServerConfig {
            storage: Storage::Memory,
            pki: Pki::ephemeral().unwrap(),
            now: std::sync::Arc::new(jiff::Timestamp::now),
            nodes: std::sync::Arc::new(UnixNodes { nodes: "/nonexistent".into() }),
        })
        .await
        .unwrap();
        let port = server.listen_tls(([127, 0, 0, 1], 0).into()).await.unwrap().port();
        let target =
            |port, path: &str| Target { https: true, host: "127.0.0.1".to_owned(), port, path: path.to_owned() };
        assert_eq!(attempt(target(port, "/livez"), &[], LONG).await, ProbeOutcome::Success);
        let ProbeOutcome::Failure(text) = attempt(target(port, "/no/such/path"), &[], LONG).await else {
            panic!("there is no such path")
        };
        assert!(text.starts_with("HTTP probe failed with statuscode: 4"), "{text}");
        let plain = self::server(&["HTTP/1.1 400 Bad Request\r\n\r\n"]).await;
        let text = format!("Get \"https://127.0.0.1:{plain}/\": http: server gave HTTP response to HTTPS client");
        assert_eq!(attempt(target(plain, "/"), &[], LONG).await, ProbeOutcome::Failure(text));
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn statuses() {
        assert_eq!(probe(&["HTTP/1.1 200 OK\r\n\r\n"], LONG).await.1, ProbeOutcome::Success);
        assert_eq!(probe(&["HTTP/1.1 399 Odd\r\n\r\n"], LONG).await.1, ProbeOutcome::Success);
        let failure = ProbeOutcome::Failure("HTTP probe failed with statuscode: 500".to_owned());
        assert_eq!(probe(&["HTTP/1.1 500 No\r\n\r\n"], LONG).await.1, failure);
    }

    #[tokio::test]
    async fn redirects_stay_on_the_host() {
        let here = &["HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n", "HTTP/1.1 404 No\r\n\r\n"];
        let failure = ProbeOutcome::Failure("HTTP probe failed with statuscode: 404".to_owned());
        assert_eq!(probe(here, LONG).await.1, failure);
        // Not followed; the redirect itself is a success.
        let elsewhere = &["HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n"];
        assert_eq!(probe(elsewhere, LONG).await.1, ProbeOutcome::Success);
    }

    #[tokio::test]
    async fn failures_in_gos_words() {
        let (port, outcome) = probe(&["wait"], Duration::from_millis(50)).await;
        let text = format!(
            "Get \"http://127.0.0.1:{port}/healthy\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        );
        assert_eq!(outcome, ProbeOutcome::Failure(text));
        let (port, outcome) = probe(&[""], LONG).await;
        assert_eq!(outcome, ProbeOutcome::Failure(format!("Get \"http://127.0.0.1:{port}/healthy\": EOF")));
        let target = Target { https: false, host: "127.0.0.1".to_owned(), port: 1, path: String::new() };
        let text = "Get \"http://127.0.0.1:1/\": dial tcp 127.0.0.1:1: connect: connection refused";
        assert_eq!(attempt(target, &[], LONG).await, ProbeOutcome::Failure(text.to_owned()));
    }
}
