//! What the commands `podlab lab`, `podlab check` and `podlab book` do.
//!
//! Everything a learner reads is written to `out`; what is returned decides the exit status.

use std::future::Future;
use std::io::{BufRead, Write};
use std::path::Path;

use axum::Router;

pub use self::lab::{lab_list, lab_run, lab_verify};
use crate::{Cluster, Workbook};

mod lab;

/// How `podlab lab run` behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Go on without waiting for Enter before each command.
    pub auto: bool,
    /// Colour what is written; the caller knows whether it is a terminal.
    pub colour: bool,
}

/// How an exercise, or a whole verification, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything that was checked holds.
    Pass,
    /// Something does not hold.
    Fail,
    /// The checks could not be made: no cluster, or the host refuses what they need. Never counts as passed.
    CouldNotCheck,
}

impl Outcome {
    /// The exit status of the command: 0, 1 or 2.
    pub fn exit_code(self) -> u8 {
        self as u8
    }
}

/// Resolves at Ctrl-C, or when we are asked to end: whoever waits for it then undoes what was done.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// `podlab check EXERCISE [FILE]`: grades a learner's file; without one, the exercise's answer file in the current folder.
///
/// # Errors
///
/// When the exercise does not exist or the file cannot be read. A cluster that does not answer is not an error: it is
/// [`Outcome::CouldNotCheck`].
pub async fn check(
    workbook: &Workbook,
    exercise: &str,
    file: Option<&Path>,
    cluster: &Cluster,
    options: RunOptions,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Outcome> {
    let _ = (workbook, exercise, file, cluster, options, out);
    anyhow::bail!("not built yet")
}

/// `podlab book build DIR`: renders the book into `destination`.
///
/// # Errors
///
/// When a chapter names a lab, step or exercise that does not exist, or a file cannot be written.
pub fn book_build(workbook: &Workbook, destination: &Path) -> anyhow::Result<()> {
    let _ = (workbook, destination);
    anyhow::bail!("not built yet")
}

/// The book as a service: the built pages in `built`, and the Run buttons when there is a `cluster`.
///
/// `token` is what a Run request must carry (the served pages know it); `port` is the one that the listener has, which
/// the Host and Origin headers are held against.
pub fn book_router(workbook: &Workbook, built: &Path, cluster: Option<Cluster>, port: u16, token: &str) -> Router {
    let _ = (workbook, built, cluster, port, token);
    Router::new()
}

/// `podlab book serve`: builds the book into `built` and serves it on `listener` (a loopback one) until `stop` resolves.
///
/// # Errors
///
/// When the book cannot be built, or the listener fails.
pub async fn book_serve(
    workbook: &Workbook,
    built: &Path,
    cluster: Option<Cluster>,
    listener: tokio::net::TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    book_build(workbook, built)?;
    let port = listener.local_addr()?.port();
    let router = book_router(workbook, built, cluster, port, "");
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
    let _ = (workbook, arguments, input, out);
    anyhow::bail!("not built yet")
}
