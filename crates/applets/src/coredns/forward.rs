//! Names that are not the cluster's: others are asked, in the order of the Corefile.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// What one server may take; the asking program's own patience is five seconds (resolv.conf(5)).
const PATIENCE: Duration = Duration::from_secs(2);

/// The first answer that a server gives; `None` when none does.
pub(super) async fn ask(servers: &[SocketAddr], id: u16, question: &[u8], datagram: bool) -> Option<Vec<u8>> {
    for server in servers {
        let answer = async {
            match datagram {
                true => by_datagram(*server, id, question).await,
                false => by_stream(*server, question).await,
            }
        };
        if let Ok(Ok(answer)) = timeout(PATIENCE, answer).await {
            return Some(answer);
        }
    }
    None
}

/// From a port of its own, which the kernel draws: who wants to slip in a wrong answer has to guess it, and the id.
async fn by_datagram(server: SocketAddr, id: u16, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut answer).await?;
        if answer[..length].starts_with(&id.to_be_bytes()) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn by_stream(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(question).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
