//! Our preprocessor, as mdBook calls it: in this process, or over standard input and output.

use anyhow::Context;
use mdbook_preprocessor::book::{Book, BookItem};
use mdbook_preprocessor::errors::Result;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use super::directive::Sources;
use super::{Edition, teacher};
use crate::Workbook;

/// Replaces the directives of every chapter.
pub struct Labs {
    workbook: Workbook,
    edition: Edition,
}

impl Labs {
    /// A preprocessor for the chapters of `workbook`.
    pub fn new(workbook: &Workbook, edition: Edition) -> Labs {
        Labs { workbook: workbook.clone(), edition }
    }
}

/// Whether a renderer can show what the preprocessor makes: it makes HTML.
pub fn supports(renderer: &str) -> bool {
    renderer == "html"
}

impl Preprocessor for Labs {
    fn name(&self) -> &str {
        "podlab"
    }

    fn supports_renderer(&self, renderer: &str) -> Result<bool> {
        Ok(supports(renderer))
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let sources = Sources::load(&self.workbook)?;
        let mut failed = Ok(());
        book.for_each_mut(|item| {
            if let BookItem::Chapter(chapter) = item
                && failed.is_ok()
            {
                match sources.expand(&chapter.content) {
                    Ok(content) => chapter.content = content,
                    Err(error) => failed = Err(error).with_context(|| format!("in the chapter {:?}", chapter.name)),
                }
            }
        });
        if self.edition == Edition::Teacher && failed.is_ok() {
            teacher::add_pages(&mut book.items, &sources)?;
        }
        failed.map(|()| book)
    }
}
