//! Benchmarks: what is promised in numbers, measured.
//!
//! `just bench` prints a table: each [`Figure`] with its goal, what a real Kubernetes needs for the same (measured once, on
//! the reference cluster), the ratio of the two, and the figures of the debug build beside those of the release build:
//! readers run the debug build.
//!
//! **To add a figure**: write a function that measures it, add a [`Figure`] to the list of a file in `benches/`, and a row
//! to `SPECIFICATION.md` that names it (`bench:NAME`). A new file in `benches/` is a `[[bench]]` with `harness = false` in
//! `Cargo.toml`, and its `main` calls [`run()`] with its list.
//!
//! Every figure is measured in a process of its own, so that none inherits the memory or the threads of another. What
//! is measured should be a process of its own too, as [`server::Process`] is; `measure` may do anything, and returns
//! samples in the figure's unit. The table shows their median and range.
//!
//! The machine is never quiet: the table begins with its load and with two figures that depend on nothing of ours (a
//! loop, a durable write), so that tables can be compared.

mod figure;
pub mod floor;
pub mod process;
mod run;
pub mod server;
mod table;

pub use figure::{Absent, Figure, Goal, Reference, Unit};
pub use run::run;
