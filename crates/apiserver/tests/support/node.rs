//! A node that runs nothing: it answers logs, exec, attach and port-forward as a kubelet would, in this process.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use podlab_apiserver::NodeDialer;
use podlab_apiserver::NodeStream;
use podlab_apiserver::node::Dialing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Its commands: `cat` (until its input ends), `exit N`, `flood N` (so many bytes), `fail TEXT`.
/// Its ports: 8080 sends everything back; all others refuse.
pub struct FakeNode;

impl NodeDialer for FakeNode {
    fn dial(&self, _: &str) -> Dialing {
        Box::pin(async {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(serve);
                // A peer that breaks off is part of the tests.
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(ours), service);
                let _ = connection.with_upgrades().await;
            });
            Ok(Box::new(theirs) as Box<dyn NodeStream>)
        })
    }
}

async fn serve(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let answer = |code: StatusCode, text: String| Ok(Response::builder().status(code).body(Full::from(text)).unwrap());
    if path.starts_with("/containerLogs/") {
        return match query.contains("previous") {
            true => {
                answer(StatusCode::BAD_REQUEST, "previous terminated container \"a\" in pod \"p\" not found".into())
            }
            false => answer(StatusCode::OK, format!("log of {path}?{query}\n")),
        };
    }
    let forwarding = path.starts_with("/portForward/");
    if forwarding && query != "port=8080" {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, "error forwarding: connection refused".into());
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        if forwarding {
            let (mut reader, mut writer) = tokio::io::split(stream);
            // The echo ends when the client is done, or gone.
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
        } else {
            // The client may be gone before the end.
            let _ = run(&query, &mut stream).await;
        }
    });
    let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    Ok(response.header("connection", "Upgrade").header("upgrade", "podlab-stream").body(Full::default()).unwrap())
}

async fn run(query: &str, stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> std::io::Result<()> {
    let words: Vec<String> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "command")
        .map(|(_, word)| word.into())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let end = match words.as_slice() {
        ["cat"] => {
            loop {
                let (channel, payload) = read(stream).await?;
                match channel {
                    0 => write(stream, 1, &payload).await?,
                    255 => break,
                    _ => {}
                }
            }
            r#"{"code":0}"#.to_owned()
        }
        ["exit", code] => {
            write(stream, 1, b"out\n").await?;
            write(stream, 2, b"err\n").await?;
            format!(r#"{{"code":{code}}}"#)
        }
        ["flood", bytes] => {
            let mut left: usize = bytes.parse().unwrap();
            while left > 0 {
                let piece = left.min(60_000);
                write(stream, 1, &vec![b'x'; piece]).await?;
                left -= piece;
            }
            r#"{"code":0}"#.to_owned()
        }
        [] => {
            write(stream, 1, b"attached\n").await?;
            r#"{"code":0}"#.to_owned()
        }
        other => format!(
            r#"{{"error":"error executing command in container: {}","reason":"InternalError"}}"#,
            other.join(" ")
        ),
    };
    write(stream, 3, end.as_bytes()).await
}

async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let channel = stream.read_u8().await?;
    let mut payload = vec![0; stream.read_u32().await? as usize];
    stream.read_exact(&mut payload).await?;
    Ok((channel, payload))
}

async fn write(stream: &mut (impl AsyncWriteExt + Unpin), channel: u8, payload: &[u8]) -> std::io::Result<()> {
    stream.write_u8(channel).await?;
    stream.write_u32(payload.len() as u32).await?;
    stream.write_all(payload).await?;
    stream.flush().await
}
