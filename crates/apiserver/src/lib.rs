//! The API server: store, HTTP, watch, discovery, OpenAPI, and the streams into Pods.
//!
//! A [`Server`] owns the store and answers the Kubernetes API in three ways: as a [`Service`] in this process
//! ([`Server::service`]), over TLS ([`Server::listen_tls`]), and over Unix sockets whose peers have one fixed identity
//! ([`Server::listen_unix`]). What it knows about kinds comes from [`podlab_api::registry`]; no kind has code of its own
//! here, apart from what really differs (deleting a Pod, binding it, streams into it).

mod admission;
pub mod auth;
mod bootstrap;
mod http;
mod listen;
pub mod node;
pub mod pki;
pub mod server;
pub mod store;
mod streaming;

pub use auth::Identity;
pub use node::{NodeDialer, NodeStream, UnixNodes};
pub use pki::Pki;
pub use server::{Body, Server, ServerConfig, Service, StartError, Storage};
