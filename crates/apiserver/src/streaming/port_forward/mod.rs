//! `pods/NAME/portforward`: TCP connections into a Pod.
//!
//! Three dialects: SPDY on an upgraded connection (kubectl up to 1.30), the same frames inside a WebSocket (kubectl from
//! 1.31 on), and numbered channels of a WebSocket (client libraries).

mod channels;
mod streams;
mod tunnel;

use hyper_util::rt::TokioIo;
use podlab_api::error::ApiError;

use super::node::{self, NodeError, segment};
use super::pod::Place;
use super::{spdy, websocket};
use crate::http::{Answer, Call, Target, find};
use crate::server::{Body, Server};

/// SPDY frames inside WebSocket messages.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const STREAM_PROTOCOL: &str = "portforward.k8s.io";
/// Numbered channels, two a port.
const CHANNELS: [&str; 3] = ["v5.channel.k8s.io", "v4.channel.k8s.io", "portforward.k8s.io"];

/// The Pod that connections go to.
#[derive(Clone)]
struct Destination {
    server: Server,
    node: String,
    namespace: String,
    pod: String,
}

/// The upgraded connection to a port of a Pod.
type Connection = TokioIo<hyper::upgrade::Upgraded>;

impl Destination {
    async fn connect(&self, port: u16) -> Result<Connection, NodeError> {
        let path = format!("/portForward/{}/{}?port={port}", segment(&self.namespace), segment(&self.pod));
        node::upgrade(&self.server, &self.node, &path).await
    }
}

pub(crate) async fn port_forward(call: &mut Call, target: &Target) -> Answer {
    let pod = find(call, target)?.value();
    let place = Place {
        namespace: target.namespace().to_owned(),
        pod: target.name().to_owned(),
        container: String::new(),
        node: pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned(),
    };
    place.require_node()?;
    let Place { namespace, pod, node, .. } = place;
    let destination = Destination { server: call.server.clone(), node, namespace, pod };
    let tasks = call.server.inner.tasks.clone();
    if spdy::is_upgrade(&call.parts) {
        let (response, promise) = spdy::upgrade(call, &[STREAM_PROTOCOL])?;
        tasks.spawn(async move {
            // A client that breaks off during the upgrade wants nothing forwarded.
            if let Ok(connection) = promise.await {
                streams::serve(destination, TokioIo::new(connection)).await;
            }
        });
        return Ok(response);
    }
    if !websocket::is_upgrade(&call.parts) {
        return Err(ApiError::BadRequest("Upgrade request required".to_owned()));
    }
    let ports = channels::ports(call)?;
    let known: Vec<&'static str> = if ports.is_empty() { vec![TUNNEL] } else { CHANNELS.to_vec() };
    let upgrade = websocket::upgrade(call, &known).await?;
    let response = upgrade.on_upgrade(move |socket| async move {
        // Counted among the server's tasks, so that a shutdown waits for them.
        let done = if ports.is_empty() {
            let connection = tunnel::unwrap(socket, &tasks);
            tasks.spawn(streams::serve(destination, connection))
        } else {
            tasks.spawn(channels::serve(destination, ports, socket))
        };
        let _ = done.await;
    });
    Ok(response.map(Body::new))
}
