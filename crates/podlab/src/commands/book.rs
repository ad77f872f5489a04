//! `podlab book …`

use std::ffi::OsString;
use std::io::{BufReader, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use podlab_labs::book::Edition;
use podlab_labs::commands;

use super::{Context, print_error, runtime};
use crate::control_plane::bind_local;

/// # Errors
///
/// When a chapter names something that does not exist, or a file cannot be written.
pub(crate) fn build(context: &Context, edition: Edition, destination: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let destination = match destination {
        Some(destination) => std::path::absolute(destination)?,
        None => context.directory()?.book(),
    };
    commands::book_build(&context.workbook()?, edition, &destination)?;
    println!("{}", destination.join("index.html").display());
    Ok(ExitCode::SUCCESS)
}

/// Serves the book without a cluster until Ctrl-C.
///
/// # Errors
///
/// When the book cannot be built, or the port is taken.
pub(crate) fn serve(context: &Context, port: u16) -> anyhow::Result<ExitCode> {
    let (workbook, built) = (context.workbook()?, tempfile::tempdir()?);
    runtime()?.block_on(async {
        let listener = bind_local(port).await.map_err(|error| {
            anyhow::anyhow!("cannot serve on port {port}: {error}\nname another port, or none for any free one")
        })?;
        println!("The book:  http://{}/\nStop it with Ctrl-C.", listener.local_addr()?);
        let stop = async {
            // Without a handler Ctrl-C ends us all the same.
            let _ = tokio::signal::ctrl_c().await;
        };
        // Nothing can be run, and nobody is let in.
        commands::book_serve(&workbook, built.path(), None, listener, "", stop).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// mdBook's preprocessor protocol, for readers who have the `mdbook` program.
pub(crate) fn preprocess(arguments: &[OsString]) -> ExitCode {
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let workbook = std::env::var_os("PODLAB_WORKBOOK").map(PathBuf::from);
    let context = Context { dir: None, workbook, packs: Vec::new(), plain: false };
    let outcome = context.workbook().and_then(|workbook| {
        commands::book_preprocess(&workbook, &arguments, &mut BufReader::new(stdin()), &mut stdout())
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}
