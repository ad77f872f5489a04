//! How the server reaches the HTTP of a node, for logs, exec, attach and port-forward.

use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection to a node; HTTP/1.1 is spoken over it.
pub trait NodeStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> NodeStream for T {}

/// What [`NodeDialer::dial`] gives.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn NodeStream>>> + Send>>;

/// Connects to nodes by name. A real cluster has [`UnixNodes`]; a simulated one answers in this process.
pub trait NodeDialer: Send + Sync + 'static {
    /// A new connection to the HTTP server of `node`.
    fn dial(&self, node: &str) -> Dialing;
}

/// Nodes whose kubelets listen on `DIR/nodes/NAME/kubelet.sock`.
#[derive(Clone, Debug)]
pub struct UnixNodes {
    /// The folder that holds a folder per node.
    pub nodes: PathBuf,
}

impl NodeDialer for UnixNodes {
    fn dial(&self, node: &str) -> Dialing {
        // Node names are DNS subdomains, but this one came from an object: nothing but a plain file name may pass.
        let plain = !node.is_empty() && !node.contains('/') && node != "." && node != "..";
        let directory = plain.then(|| self.nodes.join(node));
        Box::pin(async move {
            let directory =
                directory.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a node's name"))?;
            // A path longer than 107 bytes does not fit a socket address, a descriptor of its folder does.
            let opened = std::fs::File::open(directory)?;
            let path = format!("/proc/self/fd/{}/kubelet.sock", opened.as_raw_fd());
            let stream = tokio::net::UnixStream::connect(path).await?;
            drop(opened);
            Ok(Box::new(stream) as Box<dyn NodeStream>)
        })
    }
}
