//! A small client of the Kubernetes API over a Unix socket, TLS, or a call in the same process.
//!
//! ```no_run
//! # async fn example() -> Result<(), podlab_client::Error> {
//! use k8s_openapi::api::core::v1::Pod;
//! use podlab_client::{Client, ListOptions};
//!
//! let client = Client::unix("/run/podlab/api.sock");
//! let pod: Pod = client.get("default", "kuard").await?;
//! let mine = client.list::<Pod>(None, &ListOptions::default().fields("spec.nodeName=node1")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A namespace is `"name"` or `None`; `None` addresses the objects of no namespace (Nodes), or lists those of all.
//!
//! Three layers, each usable alone: [`Client`] sends one request and turns a failed one into a typed [`Error`];
//! [`Cache`] keeps a copy of a collection up to date by list and watch; [`events::Recorder`] writes Events and counts
//! repeats.
//!
//! Why not kube-rs: it adds a third to the time of a first build, and the parts of Podlab need five verbs and a watch.
//! The tests do use kube-rs, as a second client that nobody here wrote.

pub mod cache;
mod client;
pub mod error;
pub mod events;
pub mod kubeconfig;
mod lines;
mod params;
mod path;
pub mod sleeper;
mod transport;
mod typed;
mod watch;

pub use cache::Cache;
pub use client::{Body, Client, MAX_ANSWER};
pub use error::{Error, Request as RequestLine};
pub use params::{DeleteOptions, ListOptions, Patch, Propagation};
pub use path::Path;
pub use transport::{BoxError, unchecked_tls};
pub use typed::{Object, ObjectList};
pub use watch::{Watch, WatchEvent};
