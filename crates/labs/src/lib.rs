//! The lab format, its runner, the checks and grading, and the book's preprocessor.
//!
//! A *lab* ([`mod@format`]) is a list of commands and of conditions between them. The [`runner`] executes it on any cluster;
//! what a command prints is a [`transcript`], which the [`normalise`] rules make comparable and the [`snapshot`]s of the
//! lab are held against. The [`book`] shows the same snapshots. An *exercise* is graded ([`grade`]) by what the learner's
//! Pods do, seen through the API ([`api`]) with conditions written in CEL ([`condition`]).

pub mod api;
pub mod book;
pub mod claims;
pub mod cluster;
pub mod commands;
pub mod condition;
pub mod format;
pub mod grade;
pub mod needs;
pub mod normalise;
pub mod pack;
mod paint;
pub mod results;
pub mod runner;
pub mod snapshot;
pub mod transcript;
mod words;
pub mod workbook;
pub mod workspace;
pub mod yaml;

pub use cluster::{Cluster, Kubectl};
pub use workbook::Workbook;
