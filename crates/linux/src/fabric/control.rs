//! Adding, stopping and listing nodes while the cluster runs: a socket in the state directory.

use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RunningNode;
use super::nodes::Nodes;
use crate::error::{During, Refusal};
use crate::node::NodeConfig;
use crate::paths::State;
use crate::wire::{Connection, Message, WireError};

const SOCKET: &str = "fabric.sock";

/// Asked of a running fabric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FabricRequest {
    /// Start a node: a new one, or one that was stopped. One that runs is left alone.
    StartNode(NodeConfig),
    /// Stop a node as if its plug were pulled. Its disk stays.
    StopNode { name: String },
    /// The nodes that run.
    Nodes,
}

/// Said by a fabric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FabricReply {
    Done,
    NotRunning,
    Nodes(Vec<RunningNode>),
    Failed { message: String },
}

impl Message for FabricRequest {}
impl Message for FabricReply {}

/// Why a fabric did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No fabric runs in this directory.
    #[error("no cluster runs in {directory}")]
    NotRunning { directory: String },
    /// It went away in the middle.
    #[error("the cluster's fabric did not answer: {0}")]
    Wire(#[from] WireError),
}

/// Asks the fabric of a state directory for something, and waits for the answer.
pub fn ask(directory: &Path, request: &FabricRequest) -> Result<FabricReply, ControlError> {
    let not_running = |_| ControlError::NotRunning { directory: directory.display().to_string() };
    let run = std::fs::File::open(State(directory).run()).map_err(not_running)?;
    let socket = UnixStream::connect(socket_in(&run)).map_err(not_running)?;
    let mut connection = Connection::from(socket);
    connection.send(request, &[])?;
    let (reply, _) = connection.receive()?.ok_or(WireError::Closed)?;
    Ok(reply)
}

/// Makes the socket. Who may open the state directory (its owner) may ask.
pub(super) fn listen(state: &State<'_>) -> Result<UnixListener, Refusal> {
    let directory = state.run();
    std::fs::create_dir_all(&directory).during("create directory", directory.display())?;
    let directory = std::fs::File::open(&directory).during("open", directory.display())?;
    let path = socket_in(&directory);
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).during("listen on", SOCKET)?;
    listener.set_nonblocking(true).during("listen on", SOCKET)?;
    Ok(listener)
}

/// A socket's path may have 107 bytes (unix(7)), which a state directory can exceed; through the descriptor of the
/// directory it is always short.
fn socket_in(directory: &std::fs::File) -> String {
    format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd())
}

/// Serves what a client asks. False: it is gone.
pub(super) fn serve(client: &mut Connection, nodes: &mut Nodes<'_>) -> bool {
    loop {
        let reply = match client.receive::<FabricRequest>() {
            Ok(Some((FabricRequest::StartNode(node), _))) => done(nodes.start(&node).map(|()| true)),
            Ok(Some((FabricRequest::StopNode { name }, _))) => done(nodes.stop(&name)),
            Ok(Some((FabricRequest::Nodes, _))) => FabricReply::Nodes(nodes.list()),
            Ok(None) => return true,
            Err(_) => return false,
        };
        if client.send(&reply, &[]).is_err() {
            return false;
        }
    }
}

fn done(result: Result<bool, Refusal>) -> FabricReply {
    match result {
        Ok(true) => FabricReply::Done,
        Ok(false) => FabricReply::NotRunning,
        Err(refusal) => FabricReply::Failed { message: refusal.to_string() },
    }
}
