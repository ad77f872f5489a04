//! Into Pods: logs, exec, attach, port-forward, proxy. The server looks the Pod up, speaks to the node that runs it, and
//! passes bytes between the two.
//!
//! There is no connection to a node that a client could go on to use after a refusal: an upgrade that the node refuses
//! is answered here, as an error, and the node's connection is dropped.

mod exec;
mod frames;
mod log;
mod node;
mod pod;
mod port_forward;
mod proxy;
mod spdy;
mod status;
mod websocket;

pub(crate) use exec::exec;
pub(crate) use log::log;
pub(crate) use node::summary;
pub(crate) use port_forward::port_forward;
pub(crate) use proxy::proxy;
