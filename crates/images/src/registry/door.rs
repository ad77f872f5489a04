//! Pulling for others: a node has no way out of the cluster's network, so somebody outside of it pulls in its name.
//!
//! They meet at a Unix socket. Who wants an image says so in one line, a [`PullRequest`], and waits for one line in return,
//! a [`PullReply`]; the image is in the store then. Who hangs up before wants it no longer.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::Credentials;

/// The socket's name. Those of nodes have an ending, so no node can be called like it.
pub const SOCKET: &str = "image-pulls";

/// Bytes of a request or a reply.
pub const LINE_LIMIT: u64 = 64 << 10;

/// What somebody wants.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PullRequest {
    /// The image, as the Pod has it.
    pub reference: String,
    /// The node that wants it: each has its own turn.
    pub node: String,
    /// Whom to say one is, when the registry asks.
    pub credentials: Option<Credentials>,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PullReply {
    /// The store has the image.
    Pulled,
    /// Why it has not, as a Pod's event shows it.
    Failed(String),
}

/// Has an image pulled by who listens at `socket`, and waits until it is there or cannot be had.
///
/// # Errors
/// When nobody listens there, or hangs up without an answer.
pub async fn ask(socket: &Path, request: &PullRequest) -> io::Result<PullReply> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut reply = Vec::new();
    BufReader::new(stream.take(LINE_LIMIT)).read_until(b'\n', &mut reply).await?;
    if reply.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up without an answer"));
    }
    Ok(serde_json::from_slice(&reply)?)
}
