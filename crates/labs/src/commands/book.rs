//! `podlab book build` and `serve`, and mdBook's preprocessor protocol.

use std::future::Future;
use std::io::{BufRead, Write};
use std::path::Path;

use anyhow::Context;
use axum::Router;
use mdbook_preprocessor::Preprocessor;

use crate::book::{self, Edition, Labs};
use crate::{Cluster, Workbook};

/// `podlab book build DIR`: renders the book into `destination`.
///
/// # Errors
///
/// When a chapter names a lab, step or exercise that does not exist, or a file cannot be written.
pub fn book_build(workbook: &Workbook, edition: Edition, destination: &Path) -> anyhow::Result<()> {
    book::build(workbook, edition, destination)
}

/// The book as a service: the built pages in `built`, and the Run buttons when there is a `cluster`.
///
/// `token` is what a Run request must carry (the link that `podlab start` prints has it); `port` is the one that the listener has, which
/// the Host and Origin headers are held against.
pub fn book_router(workbook: &Workbook, built: &Path, cluster: Option<Cluster>, port: u16, token: &str) -> Router {
    book::router(workbook, built, cluster, port, token)
}

/// `podlab book serve`: builds the book into `built` and serves it on `listener` (a loopback one) until `stop` resolves.
/// Whoever has `token` may press its Run buttons.
///
/// # Errors
///
/// When the book cannot be built, or the listener fails.
pub async fn book_serve(
    workbook: &Workbook,
    built: &Path,
    cluster: Option<Cluster>,
    listener: tokio::net::TcpListener,
    token: &str,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (source, destination) = (workbook.clone(), built.to_owned());
    tokio::task::spawn_blocking(move || book::build(&source, Edition::Reader, &destination)).await??;
    let port = listener.local_addr()?.port();
    let router = book_router(workbook, built, cluster, port, token);
    axum::serve(listener, router).with_graceful_shutdown(stop).await?;
    Ok(())
}

/// mdBook's preprocessor protocol, for a reader who has the `mdbook` program: `supports RENDERER`, or a book on `input`.
/// Returns the exit status. Reached as `podlab internal mdbook-preprocessor [ARGS…]`.
///
/// # Errors
///
/// When the input is not what mdBook sends, or a chapter names something that does not exist.
pub fn book_preprocess(
    workbook: &Workbook,
    arguments: &[String],
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> anyhow::Result<u8> {
    match arguments {
        [supports, renderer] if supports == "supports" => Ok(u8::from(!book::supports(renderer))),
        [] => {
            let (context, book) = mdbook_preprocessor::parse_input(input)?;
            let book = Labs::new(workbook, Edition::Reader).run(&context, book)?;
            serde_json::to_writer(&mut *out, &book).context("the book cannot be written")?;
            Ok(0)
        }
        _ => anyhow::bail!("mdBook calls this with no argument, or with: supports RENDERER"),
    }
}
