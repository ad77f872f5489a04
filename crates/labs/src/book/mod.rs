//! The book: mdBook in this process, with a preprocessor of ours, and a server for what it builds.
//!
//! What a chapter may say beyond Markdown is in [`directive`]. A console block is never written by hand: it names a step
//! of a lab, and shows that step's snapshot.

mod build;
mod directive;
mod html;
mod preprocessor;
mod serve;
mod teacher;

pub use build::{Edition, build};
pub use directive::DirectiveError;
pub use preprocessor::{Labs, supports};
pub use serve::router;
