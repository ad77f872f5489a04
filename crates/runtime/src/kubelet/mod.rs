//! The kubelet: what makes a Pod that is written down a Pod that runs.
//!
//! Read in this order. [`observed`] is what the kubelet knows of a Pod besides its spec. [`decide`] looks at both and
//! says what to do next, one file per stage of a Pod's life; it is a pure function. [`status`] says what to tell the
//! API server; it is one too. [`worker`] is the loop around them: it does what was decided, and puts what came of it
//! back into what is known.

pub mod admission;
pub mod config;
pub mod decide;
pub mod effects;
pub mod env;
pub mod events;
pub mod eviction;
pub mod fields;
pub mod follow;
pub mod go;
pub mod local_storage;
pub mod members;
pub mod metrics;
pub mod node;
pub mod observed;
mod pull_secrets;
pub mod resources;
pub mod restart;
mod run;
pub mod sources;
pub mod status;
mod table;
pub mod worker;

pub use run::{KubeletConfig, run};
