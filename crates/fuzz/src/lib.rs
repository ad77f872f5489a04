//! Fuzz targets: everything that reads what others wrote.
//!
//! A [`Target`] takes any bytes, and panics when something is wrong with what it tests: beyond "no panic", each says what
//! holds for whatever was accepted. They are run in two ways:
//!
//! - `just fuzz`: each for a minute under libFuzzer, guided by coverage (the package in `fuzz/`; stable Rust is enough).
//! - `cargo test`: each for a few seconds on its seeds and changes of them ([`mutate`]), the same ones every time.
//!
//! **To add a target**: a function in `targets/`, and a line in [`TARGETS`]. What libFuzzer found and was mended becomes a
//! test where the defect was.
#![expect(clippy::unwrap_used, reason = "a target panics when something is wrong")]

pub mod mutate;
mod targets;

/// A way to feed bytes to some code.
pub struct Target {
    pub name: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
    /// Inputs that get far into the code.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "yaml", run: targets::bodies::yaml, seeds: targets::bodies::yaml_seeds },
    Target { name: "json", run: targets::bodies::json, seeds: targets::bodies::json_seeds },
    Target { name: "protobuf", run: targets::bodies::protobuf, seeds: targets::bodies::protobuf_seeds },
    Target { name: "json-patch", run: targets::patches::json, seeds: targets::patches::json_seeds },
    Target { name: "merge-patch", run: targets::patches::merge, seeds: targets::patches::merge_seeds },
    Target { name: "strategic-patch", run: targets::patches::strategic, seeds: targets::patches::strategic_seeds },
    Target { name: "selectors", run: targets::texts::selectors, seeds: targets::texts::selector_seeds },
    Target { name: "quantities", run: targets::texts::quantities, seeds: targets::texts::quantity_seeds },
    Target { name: "http", run: targets::streams::http, seeds: targets::streams::http_seeds },
    Target { name: "websocket", run: targets::streams::websocket, seeds: targets::streams::websocket_seeds },
    Target { name: "spdy", run: targets::streams::spdy, seeds: targets::streams::spdy_seeds },
    Target { name: "tunnel", run: targets::streams::tunnel, seeds: targets::streams::tunnel_seeds },
    Target { name: "nfs", run: targets::calls::nfs, seeds: targets::calls::nfs_seeds },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
