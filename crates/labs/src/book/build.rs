//! Builds the book.

use std::path::Path;

use anyhow::Context;
use mdbook_driver::MDBook;

use super::Labs;
use crate::Workbook;

/// Renders the book of `workbook` into `destination`, which is made if it is not there; what it held is replaced.
///
/// # Errors
///
/// When a chapter names a lab, step or exercise that does not exist, or a file cannot be written.
pub fn build(workbook: &Workbook, destination: &Path) -> anyhow::Result<()> {
    let root = workbook.book();
    let mut book = MDBook::load(&root).with_context(|| format!("cannot read the book in {}", root.display()))?;
    book.config.build.build_dir = std::path::absolute(destination)?;
    book.with_preprocessor(Labs::new(workbook));
    book.build().context("the book cannot be built")
}
