//! `podlab kubeconfig`

use std::process::ExitCode;

use super::{Context, NotRunning};

/// Prints the path, also of a cluster that is stopped: its file stays true over restarts.
///
/// # Errors
///
/// When no cluster was ever started here.
pub(crate) fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let directory = context.directory()?;
    let path = directory.kubeconfig();
    if !path.is_file() {
        return Err(NotRunning(directory.path().to_owned()).into());
    }
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}
