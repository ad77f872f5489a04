//! `podlab start`

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;

use super::node::describe;
use super::progress::Progress;
use super::{Context, quoted};
use crate::cli::StartArguments;
use crate::directory::StateDirectory;
use crate::machine::{self, MachineConfig, Report, Summary, detach};

/// # Errors
///
/// When the state directory cannot be used, or another cluster runs in it.
pub(crate) fn run(context: &Context, arguments: &StartArguments) -> anyhow::Result<ExitCode> {
    let mut directory = context.directory()?;
    directory.create()?;
    fill_bin(&directory)?;
    let book = if arguments.no_book { None } else { Some(context.workbook()) };
    let workbook = match book {
        Some(Ok(workbook)) => Some(workbook.root().to_owned()),
        Some(Err(error)) => {
            anstream::eprintln!("the book is left out: {error:#}");
            None
        }
        None => None,
    };
    if arguments.behind.is_some() && directory.store().exists() {
        bail!(
            "the cluster in {} has its time already: a clock is never set back\n\
             --behind is for a new one: name another directory, or delete this one with `{} stop --delete`",
            directory.path().display(),
            context.command(&directory)
        );
    }
    let config = MachineConfig {
        behind: arguments.behind,
        directory: directory.path().to_owned(),
        workbook,
        port: arguments.port,
        dns: !arguments.no_dns,
        default_storage_class: arguments.default_storage_class.clone(),
        image_garbage: arguments.image_garbage()?,
        nodes: (1..=arguments.nodes.max(1))
            .map(|index| describe(&format!("node{index}"), index, &arguments.node))
            .collect(),
    };
    let command = context.command(&directory);
    // `podlab` in another shell has to find this cluster too.
    let usual = StateDirectory::usual(|name| std::env::var_os(name)).is_ok_and(|usual| usual == directory);
    let progress = Progress::new();
    let say = move |report| {
        match &report {
            Report::Stage(what) => progress.now(Some(what.clone())),
            Report::Notice(_) => {}
            _ => progress.now(None),
        }
        print(report, &command, usual);
    };
    if arguments.detach { detach::start(&config, say) } else { Ok(machine::run(config, say)) }
}

fn print(report: Report, command: &str, usual: bool) {
    match report {
        // Said by the progress, when it takes long.
        Report::Stage(_) => {}
        Report::Notice(text) => anstream::eprintln!("{text}"),
        Report::Ready(summary) => print_summary(&summary, command, usual),
        Report::Stopping => anstream::eprintln!("stopping"),
        Report::Stopped => anstream::eprintln!("stopped"),
        Report::Failed(text) => anstream::eprintln!("\x1b[1;31merror:\x1b[0m {text}"),
    }
}

/// The lines a newcomer needs next. Those that start with `export` are made to be evaluated.
fn print_summary(summary: &Summary, command: &str, usual: bool) {
    let Summary { node, milliseconds, directory, kubeconfig, bin, book } = summary;
    let seconds = format!("{}.{:02}", milliseconds / 1000, milliseconds % 1000 / 10);
    anstream::println!("\x1b[1mPodlab runs.\x1b[0m Node {node} is Ready after {seconds} s.\n");
    if let Some(book) = book {
        anstream::println!("The book:  {book}\n");
    }
    anstream::println!("In every shell that uses the cluster:\n");
    anstream::println!("export KUBECONFIG={}", quoted(kubeconfig));
    if !usual {
        anstream::println!("export PODLAB_DIR={}", quoted(directory));
    }
    anstream::println!("export PATH={}:\"$PATH\"\n", quoted(bin));
    anstream::println!("Stop it with Ctrl-C here, or from any shell:  {command} stop");
}

/// `DIR/bin`: what the printed `PATH` line puts at hand.
fn fill_bin(directory: &StateDirectory) -> anyhow::Result<()> {
    let this = std::env::current_exe()?;
    link(&this, &directory.bin().join("podlab"))?;
    let kubectl = directory.bin().join("kubectl");
    // A kubectl that is installed is the one to be used.
    if installed("kubectl", &directory.bin()) {
        match std::fs::remove_file(&kubectl) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    } else {
        link(&this, &kubectl)?;
    }
    Ok(())
}

/// Whether `PATH` has such a program outside of our own folder.
fn installed(name: &str, own: &Path) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|folder| folder != own)
        .any(|folder| rustix::fs::access(folder.join(name), rustix::fs::Access::EXEC_OK).is_ok())
}

/// Makes `place` a link to `target`, whatever an earlier build left there.
fn link(target: &Path, place: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match symlink(target, place) {
        // Another start on the same directory was as fast; it is about to say that it runs.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
