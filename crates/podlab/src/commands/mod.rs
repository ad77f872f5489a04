//! What the commands do: one file each.

pub(crate) mod book;
pub(crate) mod class;
pub(crate) mod clock;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod image;
pub(crate) mod kubeconfig;
pub(crate) mod kubectl;
pub(crate) mod lab;
pub(crate) mod nfs;
pub(crate) mod node;
mod progress;
pub(crate) mod remove;
pub(crate) mod simulate;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod watch;
pub(crate) mod workspace;
pub(crate) mod xray;

use std::io::IsTerminal;
use std::path::PathBuf;

use podlab_labs::Workbook;

use crate::directory::{DirectoryError, StateDirectory};
use crate::machine;

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// What holds for every command.
#[derive(Debug)]
pub(crate) struct Context {
    /// `--dir`
    pub(crate) dir: Option<PathBuf>,
    /// `--workbook`
    pub(crate) workbook: Option<PathBuf>,
    /// `--pack`
    pub(crate) packs: Vec<PathBuf>,
    /// `--plain`
    pub(crate) plain: bool,
}

/// There is no cluster to work with.
#[derive(Debug, thiserror::Error)]
#[error("no cluster runs in {}\nstart one: podlab start", .0.display())]
pub(crate) struct NotRunning(pub(crate) PathBuf);

impl Context {
    /// # Errors
    ///
    /// When nothing says where it should be.
    pub(crate) fn directory(&self) -> Result<StateDirectory, DirectoryError> {
        StateDirectory::resolve(self.dir.as_deref(), |name| std::env::var_os(name))
    }

    /// The directory of a cluster that runs.
    ///
    /// # Errors
    ///
    /// When none does.
    pub(crate) fn running(&self) -> anyhow::Result<StateDirectory> {
        let directory = self.directory()?;
        if !machine::is_locked(&directory) {
            return Err(NotRunning(directory.path().to_owned()).into());
        }
        Ok(directory)
    }

    /// The labs and the book: where `--workbook` says, else found from the current folder.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub(crate) fn workbook(&self) -> anyhow::Result<Workbook> {
        let workbook = match &self.workbook {
            Some(root) => Workbook::at(std::path::absolute(root)?),
            None => Workbook::find(&std::env::current_dir()?)?,
        };
        let packs = self.packs.iter().filter(|pack| !pack.as_os_str().is_empty()).map(std::path::absolute);
        Ok(workbook.with_packs(packs.collect::<Result<_, _>>()?))
    }

    /// `podlab`, with the `--dir` that reaches this cluster from another shell; for texts that tell what to type.
    pub(crate) fn command(&self, directory: &StateDirectory) -> String {
        match self.dir {
            Some(_) => format!("podlab --dir {}", quoted(directory.path())),
            None => "podlab".to_owned(),
        }
    }
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&byte);
    if text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Writes an error and its causes to standard error; red on a terminal only.
pub(crate) fn print_error(error: &anyhow::Error) {
    anstream::eprintln!("\x1b[1;31merror:\x1b[0m {error:#}");
}

/// Whether what is printed is read by a person at a terminal that takes colours.
pub(crate) fn colour() -> bool {
    anstream::ColorChoice::global() != anstream::ColorChoice::Never
        && std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// An asynchronous command's runtime.
///
/// # Errors
///
/// When the system gives no more threads or descriptors.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn paths_are_quoted_as_shells_need_it() {
        for (path, text) in
            [("/a/b-c_1.d", "/a/b-c_1.d"), ("/a b", "'/a b'"), ("/it's", r"'/it'\''s'"), ("/$x", "'/$x'")]
        {
            assert_eq!(quoted(Path::new(path)), text);
        }
    }
}
