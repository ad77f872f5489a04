//! Names that are not the cluster's: others are asked, all at once, and the first answer counts.
//!
//! Where nobody can be reached (in a class without a network, say) a program must not wait for each such name as long as
//! its resolver likes. So silence is remembered: for a while questions are answered at once, with a failure.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What others may take; a program's own patience is five seconds (resolv.conf(5)).
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nobody is asked after nobody has answered.
const SILENCE: Duration = Duration::from_secs(30);
/// `. IN NS`, which every server answers: how CoreDNS finds out whether one is there.
const ANYBODY: &[u8] = &[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

/// Those who may be asked.
#[derive(Default)]
pub(super) struct Others {
    silent_since: Mutex<Option<Instant>>,
}

impl Others {
    /// Finds out whether anybody is there, before somebody waits for it.
    pub(super) async fn call(&self, servers: &[SocketAddr]) {
        self.ask(servers, ANYBODY, true).await;
    }

    /// The first answer of a server; `None` when none gives one.
    pub(super) async fn ask(&self, servers: &[SocketAddr], question: &[u8], datagram: bool) -> Option<Vec<u8>> {
        if servers.is_empty() || self.are_silent() {
            return None;
        }
        let mut asked = JoinSet::new();
        for server in servers.iter().copied() {
            let question = question.to_vec();
            asked.spawn(async move {
                match datagram {
                    true => by_datagram(server, &question).await,
                    false => by_stream(server, &question).await,
                }
            });
        }
        let first = async {
            while let Some(answer) = asked.join_next().await {
                if let Ok(Ok(answer)) = answer {
                    return Some(answer);
                }
            }
            None
        };
        let answer = timeout(PATIENCE, first).await.ok().flatten();
        let silent_since = if answer.is_none() { Some(Instant::now()) } else { None };
        *self.silent_since.lock().unwrap_or_else(PoisonError::into_inner) = silent_since;
        answer
    }

    /// True as long as it is no use to ask. Of those who come when it is time to try again, one does.
    fn are_silent(&self) -> bool {
        let mut since = self.silent_since.lock().unwrap_or_else(PoisonError::into_inner);
        match *since {
            Some(time) if time.elapsed() < SILENCE => true,
            Some(_) => {
                *since = Some(Instant::now());
                false
            }
            None => false,
        }
    }
}

/// From a port of its own, which the kernel draws: who wants to slip in a wrong answer has to guess it, and the id.
async fn by_datagram(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut answer).await?;
        if length >= 2 && answer.get(..2) == question.get(..2) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_answer_counts_and_silence_is_remembered() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let mute = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            let (length, client) = server.recv_from(&mut buffer).await.unwrap();
            // What somebody slips in has another id.
            server.send_to(&[9, 9, 9], client).await.unwrap();
            server.send_to(&buffer[..length], client).await.unwrap();
        });
        let others = Others::default();
        let servers = [mute.local_addr().unwrap(), address];
        assert_eq!(others.ask(&servers, b"\x00\x07question", true).await.unwrap(), b"\x00\x07question");
        assert!(!others.are_silent());

        // Nobody listens there any more: refused at once, and then not asked again.
        let gone = TcpStream::connect(address).await;
        assert!(gone.is_err());
        assert_eq!(others.ask(&[address], b"\x00\x08question", false).await, None);
        assert!(others.are_silent());
        assert_eq!(others.ask(&servers, b"\x00\x09question", true).await, None);
    }
}
