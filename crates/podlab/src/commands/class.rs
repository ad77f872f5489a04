//! The commands of those who teach: `podlab grade`, `pack check` and `class report`.

use std::io::stdout;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use podlab_labs::commands::{self, GradeOptions, ReportFormat};

use super::lab::{cluster, code};
use super::{Context, runtime};

/// # Errors
///
/// When the folder holds no exercise at all, or the labs cannot be read.
pub(crate) fn grade(
    context: &Context,
    root: &Path,
    options: &GradeOptions,
    kubeconfig: Option<PathBuf>,
) -> anyhow::Result<ExitCode> {
    let (workbook, cluster) = (context.workbook()?, cluster(context, kubeconfig)?);
    let mut out = stdout();
    let grading = commands::grade_workspace(&workbook, root, &cluster, options, &mut out);
    Ok(code(runtime()?.block_on(grading)?))
}

/// # Errors
///
/// When the labs that the pack adds to cannot be read.
pub(crate) fn pack_check(
    context: &Context,
    pack: &Path,
    no_cluster: bool,
    kubeconfig: Option<PathBuf>,
) -> anyhow::Result<ExitCode> {
    let workbook = context.workbook()?;
    let cluster = if no_cluster { None } else { Some(cluster(context, kubeconfig)?) };
    let pack = std::path::absolute(pack)?;
    let mut out = stdout();
    let checking = commands::pack_check(&workbook, &pack, cluster.as_ref(), &mut out);
    Ok(code(runtime()?.block_on(checking)?))
}

/// # Errors
///
/// When a file is no result of a grading.
pub(crate) fn report(paths: &[PathBuf], format: ReportFormat) -> anyhow::Result<ExitCode> {
    commands::class_report(paths, format, &mut stdout())?;
    Ok(ExitCode::SUCCESS)
}
