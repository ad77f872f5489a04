//! Builds the book.

use std::path::Path;

use anyhow::Context;
use mdbook_driver::MDBook;

use super::Labs;
use crate::Workbook;

/// Whose book it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edition {
    /// What everybody reads.
    #[default]
    Reader,
    /// The same with a page for teachers behind each chapter that has a lab.
    Teacher,
}

/// Renders the book of `workbook` into `destination`, which is made if it is not there; what it held is replaced.
///
/// # Errors
///
/// When a chapter names a lab, step or exercise that does not exist, or a file cannot be written.
pub fn build(workbook: &Workbook, edition: Edition, destination: &Path) -> anyhow::Result<()> {
    let root = workbook.book();
    let mut book = MDBook::load(&root).with_context(|| format!("cannot read the book in {}", root.display()))?;
    book.config.build.build_dir = std::path::absolute(destination)?;
    book.with_preprocessor(Labs::new(workbook, edition));
    book.build().context("the book cannot be built")
}
