//! The heart of Podlab: what a node decides about its Pods, and the seams through which it acts.
//!
//! Decisions are pure functions; effects go through [`backend::Backend`], time through [`clock::Clock`]. The same
//! decisions therefore run on real Linux and in the deterministic simulator.

pub mod backend;
pub mod clock;
pub mod kubelet;
pub mod probes;
pub mod scheduler;
pub mod server;
pub mod services;
pub mod volumes;

pub use podlab_linux::{cgroups, namespaces, network, rootfs};
