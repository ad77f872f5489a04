//! The lab format, its runner, the checks and grading, and the book's preprocessor.

pub mod cluster;
pub mod commands;
pub mod workbook;

pub use cluster::{Cluster, Kubectl};
pub use workbook::Workbook;
