//! The commands of a learner's workspace: `podlab init`, `hint`, `solution`, `reset` and `list`.

use std::io::stdout;
use std::path::Path;
use std::process::ExitCode;

use podlab_labs::commands::{self, Asked};

use super::{Context, colour};

/// # Errors
///
/// When the folder holds something else, or cannot be written to.
pub(crate) fn init(context: &Context, root: &Path) -> anyhow::Result<ExitCode> {
    commands::init(&context.workbook()?, root, &std::env::current_dir()?, &mut stdout())?;
    Ok(ExitCode::SUCCESS)
}

/// # Errors
///
/// When the exercise does not exist, or the progress cannot be written.
pub(crate) fn hint(context: &Context, exercise: Option<&str>, tier: Option<u8>) -> anyhow::Result<ExitCode> {
    let here = std::env::current_dir()?;
    commands::hint(&context.workbook()?, Asked { here: &here, exercise }, tier, &mut stdout())?;
    Ok(ExitCode::SUCCESS)
}

/// # Errors
///
/// When the exercise is neither passed nor given up.
pub(crate) fn solution(context: &Context, exercise: Option<&str>, give_up: bool) -> anyhow::Result<ExitCode> {
    let here = std::env::current_dir()?;
    commands::solution(&context.workbook()?, Asked { here: &here, exercise }, give_up, &mut stdout())?;
    Ok(ExitCode::SUCCESS)
}

/// # Errors
///
/// When this is no workspace, or a file cannot be written.
pub(crate) fn reset(context: &Context, exercise: Option<&str>) -> anyhow::Result<ExitCode> {
    let here = std::env::current_dir()?;
    commands::reset(&context.workbook()?, Asked { here: &here, exercise }, &mut stdout())?;
    Ok(ExitCode::SUCCESS)
}

/// # Errors
///
/// When this is no workspace.
pub(crate) fn list(context: &Context) -> anyhow::Result<ExitCode> {
    commands::list(&context.workbook()?, &std::env::current_dir()?, colour(), &mut stdout())?;
    Ok(ExitCode::SUCCESS)
}
