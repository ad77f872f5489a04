//! The ports of nodes on the learner's own loopback: `curl localhost:30080` reaches a Service of type NodePort.
//!
//! A node's network cannot be reached from the host. For every node port we listen on 127.0.0.1, and pass each connection
//! on to that port of a node that is Ready, through a socket of the network between the nodes. From there on it goes as
//! on any cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Service};
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, ListOptions};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::inside;

/// Connections at one time, all ports together.
const CONNECTIONS: usize = 1024;

/// Keeps the ports open until the future is dropped.
pub(super) async fn keep(client: Client, directory: Arc<Path>) {
    let all = ListOptions::default;
    let services = Cache::<Service>::spawn(client.clone(), None, all(), Sleeper::wall());
    let nodes = Cache::<Node>::spawn(client, None, all(), Sleeper::wall());
    tokio::join!(services.synced(), nodes.synced());
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut changed = services.version();
    let mut open = BTreeMap::new();
    // Ended with this future.
    let mut listeners = JoinSet::new();
    loop {
        changed.mark_unchanged();
        let wanted = ports(&services.all());
        open.retain(|port, listener: &mut tokio::task::AbortHandle| {
            let stays = wanted.contains(port) && !listener.is_finished();
            if !stays {
                listener.abort();
            }
            stays
        });
        for port in wanted {
            if open.contains_key(&port) {
                continue;
            }
            // Waits for the port of a listener that was ended just now.
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => {
                    let accept = accept(listener, port, nodes.clone(), directory.clone(), slots.clone());
                    open.insert(port, listeners.spawn(accept));
                }
                Err(error) => tracing::warn!("port {port} of the nodes is not on this machine's loopback: {error}"),
            }
        }
        while listeners.try_join_next().is_some() {}
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// The TCP ports that Services have on every node.
fn ports(services: &[Arc<Service>]) -> BTreeSet<u16> {
    let specs = services.iter().filter_map(|service| service.spec.as_ref());
    let ports = specs.flat_map(|spec| spec.ports.iter().flatten());
    ports
        .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
        .filter_map(|port| u16::try_from(port.node_port?).ok().filter(|number| *number > 0))
        .collect()
}

/// The address of a node that is Ready, the first by name.
fn ready_node(nodes: &[Arc<Node>]) -> Option<IpAddr> {
    let ready = nodes.iter().filter(|node| super::readiness::is_ready(node));
    let node = ready.min_by_key(|node| node.metadata.name.clone())?;
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    addresses.iter().find(|address| address.type_ == "InternalIP")?.address.parse().ok()
}

async fn accept(listener: TcpListener, port: u16, nodes: Cache<Node>, directory: Arc<Path>, slots: Arc<Semaphore>) {
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        // For want of descriptors; the next connection waits as long as this one took.
        let Ok((client, _)) = listener.accept().await else { continue };
        let (node, directory) = (ready_node(&nodes.all()), directory.clone());
        tokio::spawn(async move {
            // Without a node that is Ready, the connection is closed, as by a load balancer without targets.
            if let Some(node) = node
                && let Err(error) = pass_on(client, SocketAddr::new(node, port), directory).await
            {
                tracing::debug!("a connection to node port {port}: {error:#}");
            }
            drop(slot);
        });
    }
}

async fn pass_on(mut client: TcpStream, address: SocketAddr, directory: Arc<Path>) -> anyhow::Result<()> {
    let mut node = inside::connect(directory, address).await?;
    // Small messages must not wait for acknowledgements, on either side.
    client.set_nodelay(true)?;
    node.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut node).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_tcp_ports_of_nodes() {
        let service = |ports: serde_json::Value| {
            Arc::new(serde_json::from_value::<Service>(json!({"metadata": {}, "spec": {"ports": ports}})).unwrap())
        };
        let services = [
            service(json!([{"port": 80, "nodePort": 30_080}, {"port": 53, "nodePort": 30_053, "protocol": "UDP"}])),
            service(json!([{"port": 80}, {"port": 81, "nodePort": 31_081, "protocol": "TCP"}])),
        ];
        assert_eq!(ports(&services), BTreeSet::from([30_080, 31_081]));
    }
}
