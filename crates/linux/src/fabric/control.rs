//! Adding, stopping and listing nodes while the cluster runs: a socket in the state directory.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RunningNode;
use super::nodes::Nodes;
use crate::error::{During, Refusal};
use crate::network;
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
    /// Stop a node and forget it, with its disk.
    RemoveNode { name: String },
    /// The nodes that run.
    Nodes,
    /// A socket that listens on a port of [`FABRIC_ADDRESS`](network::FABRIC_ADDRESS): all nodes and Pods reach it.
    Listen { port: u16 },
    /// A socket from which nodes and Pods can be reached, not connected yet.
    Socket,
}

/// Said by a fabric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FabricReply {
    Done,
    NotRunning,
    Nodes(Vec<RunningNode>),
    /// With a TCP socket. It belongs to the network between the nodes, whoever holds it, and ends with it.
    Socket,
    Failed {
        message: String,
    },
}

impl Message for FabricRequest {}
impl Message for FabricReply {
    fn descriptors(&self) -> usize {
        usize::from(matches!(self, Self::Socket))
    }
}

/// Why a fabric did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No fabric runs in this directory.
    #[error("no cluster runs in {directory}")]
    NotRunning { directory: String },
    /// It went away in the middle.
    #[error("the cluster's fabric did not answer: {0}")]
    Wire(#[from] WireError),
    /// It could not do it.
    #[error("{message}")]
    Failed { message: String },
}

/// Asks the fabric of a state directory for something, and waits for the answer.
pub fn ask(directory: &Path, request: &FabricRequest) -> Result<FabricReply, ControlError> {
    Ok(connect(directory)?.ask(request, &[])?.0)
}

/// Asks for a socket in the network between the nodes. The connection that comes with it ends when the fabric does.
pub fn ask_for_socket(directory: &Path, request: &FabricRequest) -> Result<(OwnedFd, Connection), ControlError> {
    let mut connection = connect(directory)?;
    match connection.ask(request, &[])? {
        (FabricReply::Socket, descriptors) => {
            let socket = descriptors.into_iter().next().ok_or(WireError::Descriptors)?;
            Ok((socket, connection))
        }
        (FabricReply::Failed { message }, _) => Err(ControlError::Failed { message }),
        _ => Err(WireError::Descriptors.into()),
    }
}

fn connect(directory: &Path) -> Result<Connection, ControlError> {
    let not_running = |_| ControlError::NotRunning { directory: directory.display().to_string() };
    let run = std::fs::File::open(State(directory).run()).map_err(not_running)?;
    let socket = UnixStream::connect(socket_in(&run)).map_err(not_running)?;
    Ok(Connection::from(socket))
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
        let (reply, socket) = match client.receive::<FabricRequest>() {
            Ok(Some((FabricRequest::StartNode(node), _))) => (done(nodes.start(&node).map(|()| true)), None),
            Ok(Some((FabricRequest::StopNode { name }, _))) => (done(nodes.stop(&name)), None),
            Ok(Some((FabricRequest::RemoveNode { name }, _))) => (done(nodes.remove(&name).map(|()| true)), None),
            Ok(Some((FabricRequest::Nodes, _))) => (FabricReply::Nodes(nodes.list()), None),
            Ok(Some((FabricRequest::Listen { port }, _))) => socket(network::listen_for_nodes(port)),
            Ok(Some((FabricRequest::Socket, _))) => socket(network::socket_to_nodes()),
            Ok(None) => return true,
            Err(_) => return false,
        };
        let descriptors: Vec<_> = socket.iter().map(AsFd::as_fd).collect();
        if client.send(&reply, &descriptors).is_err() {
            return false;
        }
    }
}

fn socket(result: Result<OwnedFd, Refusal>) -> (FabricReply, Option<OwnedFd>) {
    match result {
        Ok(socket) => (FabricReply::Socket, Some(socket)),
        Err(refusal) => (FabricReply::Failed { message: refusal.to_string() }, None),
    }
}

fn done(result: Result<bool, Refusal>) -> FabricReply {
    match result {
        Ok(true) => FabricReply::Done,
        Ok(false) => FabricReply::NotRunning,
        Err(refusal) => FabricReply::Failed { message: refusal.to_string() },
    }
}
