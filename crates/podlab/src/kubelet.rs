//! The role `kubelet`: the node agent, in its node's namespaces.
//!
//! It may be killed at any moment; its node's init starts it again, and it goes on from what runs.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use podlab_client::Client;
use podlab_linux::node::KubeletConfig;
use podlab_runtime::backend::linux::Linux;
use podlab_runtime::clock::Shared;
use podlab_runtime::kubelet;
use tokio::net::UnixListener;

/// Runs the kubelet until its node's init ends it.
pub(crate) fn main(config: KubeletConfig) -> ExitCode {
    crate::logging::to_standard_error();
    // A conversation with each Pod's supervisor is one.
    podlab_linux::descriptors::allow_many();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(config)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: KubeletConfig) -> anyhow::Result<()> {
    for line in &config.cgroups.could_not {
        tracing::warn!("this host does not give the node {line}");
    }
    let socket = &config.kubelet_socket;
    // One that was left by a kubelet that was killed.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| socket.display().to_string());
        }
        _ => {}
    }
    let listener = UnixListener::bind(socket).with_context(|| format!("listen on {}", socket.display()))?;
    // A node without one is a node whose Pods resolve nothing but their own names.
    let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let client = Client::unix(&config.api_socket).user_agent("kubelet");
    // The hand on the clock and the API server's socket are in the same directory.
    let clock = Shared::open(config.api_socket.parent().unwrap_or(Path::new("/")))?;
    let backend = Arc::new(Linux::new(config, clock.clone())?);
    let config = kubelet::KubeletConfig { listener, resolv_conf };
    Ok(kubelet::run(config, backend, Arc::new(clock), client).await?)
}
