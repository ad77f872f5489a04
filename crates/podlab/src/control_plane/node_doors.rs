//! A door for each node: the Unix socket by which its kubelet speaks to the API server, in the node's name.

use std::collections::HashSet;
use std::path::Path;

use podlab_apiserver::{Identity, Server};
use podlab_linux::fabric::registered;
use rustix::fs::inotify;
use tokio::sync::mpsc;

use crate::directory::StateDirectory;

/// Opens doors for the nodes that are known now and for those that come, until the future is dropped.
pub(super) async fn keep(server: Server, directory: StateDirectory, nodes: Vec<String>) {
    let mut open = HashSet::new();
    let (sender, mut changed) = mpsc::channel(1);
    // Watched before the first look, so that nothing comes in between.
    if let Err(error) = watch(directory.path(), sender) {
        tracing::warn!("nodes that are added cannot be seen: {error}");
    }
    loop {
        let known = registered(directory.path()).into_iter().map(|node| node.config.name);
        for node in nodes.iter().cloned().chain(known) {
            if open.contains(&node) {
                continue;
            }
            match server.listen_unix(&directory.node_socket(&node), Identity::node(&node)).await {
                Ok(()) => drop(open.insert(node)),
                Err(error) => tracing::warn!("node {node} has no way to the API server: {error}"),
            }
        }
        if changed.recv().await.is_none() {
            return std::future::pending().await;
        }
    }
}

/// Tells each time that a file of the state directory was replaced. A thread of its own: reading blocks.
fn watch(directory: &Path, changed: mpsc::Sender<()>) -> std::io::Result<()> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, directory, inotify::WatchFlags::MOVED_TO)?;
    std::thread::spawn(move || {
        let mut events = [0; 4096];
        while rustix::io::read(&watch, &mut events).is_ok() {
            // When one is waiting to be heard already, it stands for this one too.
            if let Err(mpsc::error::TrySendError::Closed(())) = changed.try_send(()) {
                return;
            }
        }
    });
    Ok(())
}
