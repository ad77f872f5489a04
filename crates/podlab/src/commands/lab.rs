//! `podlab lab …` and `podlab check`

use std::io::stdout;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use podlab_labs::Cluster;
use podlab_labs::commands::{self, Asked, Outcome, RunOptions};
use tokio::io::{BufReader, stdin};

use super::{Context, colour, runtime};

/// # Errors
///
/// When the labs cannot be read.
pub(crate) fn list(context: &Context) -> anyhow::Result<ExitCode> {
    commands::lab_list(&context.workbook()?, &mut stdout())?;
    Ok(ExitCode::SUCCESS)
}

/// # Errors
///
/// When the lab cannot be read or a command cannot be started.
pub(crate) fn run(context: &Context, lab: &str, auto: bool, kubeconfig: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let (workbook, cluster) = (context.workbook()?, cluster(context, kubeconfig)?);
    let options = RunOptions { auto, colour: colour(), seed: None };
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let mut input = BufReader::new(stdin());
        commands::lab_run(&workbook, lab, &cluster, options, &mut input, &mut stdout()).await
    });
    // A read of standard input that nobody answers must not keep us.
    runtime.shutdown_background();
    Ok(code(outcome?))
}

/// # Errors
///
/// When the lab cannot be read, the cluster does not answer, or the shell cannot be started.
pub(crate) fn shell(context: &Context, lab: &str, kubeconfig: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let (workbook, cluster) = (context.workbook()?, cluster(context, kubeconfig)?);
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "sh".into());
    let mut out = stdout();
    let working = commands::lab_shell(&workbook, lab, &cluster, &shell, &mut out);
    Ok(ExitCode::from(runtime()?.block_on(working)?))
}

/// # Errors
///
/// When a lab cannot be read or a command cannot be started.
pub(crate) fn verify(context: &Context, labs: &[String], kubeconfig: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let (workbook, cluster) = (context.workbook()?, cluster(context, kubeconfig)?);
    let outcome = runtime()?.block_on(commands::lab_verify(&workbook, labs, &cluster, &mut stdout()))?;
    Ok(code(outcome))
}

/// # Errors
///
/// When there is no such exercise, or the answer cannot be read.
pub(crate) fn check(
    context: &Context,
    exercise: Option<&str>,
    file: Option<&Path>,
    seed: Option<u32>,
    kubeconfig: Option<PathBuf>,
) -> anyhow::Result<ExitCode> {
    let (workbook, cluster) = (context.workbook()?, cluster(context, kubeconfig)?);
    let options = RunOptions { auto: true, colour: colour(), seed };
    let here = std::env::current_dir()?;
    let asked = Asked { here: &here, exercise };
    let outcome = runtime()?.block_on(commands::check(&workbook, asked, file, &cluster, options, &mut stdout()))?;
    Ok(code(outcome))
}

/// The named cluster, else Podlab's own. Whether it answers is for the command to find out: a check that cannot be made
/// has an exit status of its own.
pub(super) fn cluster(context: &Context, kubeconfig: Option<PathBuf>) -> anyhow::Result<Cluster> {
    if let Some(kubeconfig) = kubeconfig {
        return Ok(Cluster::new(std::path::absolute(kubeconfig)?));
    }
    let directory = context.directory()?;
    Ok(Cluster::new(directory.kubeconfig()).with_dir(directory.path()).trying(crate::doctor::has))
}

pub(super) fn code(outcome: Outcome) -> ExitCode {
    ExitCode::from(outcome.exit_code())
}
