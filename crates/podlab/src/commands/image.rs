//! `podlab image …`

use std::process::ExitCode;

use super::Context;

/// # Errors
///
/// When the store cannot be read.
pub(crate) fn list(context: &Context) -> anyhow::Result<ExitCode> {
    let directory = context.directory()?;
    let _ = directory.images();
    anyhow::bail!("the image store is not there yet")
}
