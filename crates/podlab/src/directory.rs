//! The state directory: everything of one cluster lies under it, and two of them are two clusters.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A cluster's state directory; absolute, it need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateDirectory(PathBuf);

/// Why there is no usable state directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error(
        "nowhere to keep the cluster's state: neither PODLAB_DIR, XDG_STATE_HOME nor HOME is set\n\
         name a directory: podlab --dir DIR …"
    )]
    NoHome,
    #[error("{}: {error}\nname another directory: podlab --dir DIR …", .path.display())]
    Make { path: PathBuf, error: io::Error },
    #[error(
        "{} is not empty and holds no Podlab cluster\nname another directory, or empty this one", .0.display()
    )]
    Foreign(PathBuf),
}

/// Why a file of the directory could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", .path.display())]
pub(crate) struct WriteError {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

impl StateDirectory {
    /// `--dir`, else `$PODLAB_DIR`, else `$XDG_STATE_HOME/podlab`, else `~/.local/state/podlab` (XDG Base Directory
    /// Specification; relative values of its variables are to be ignored).
    ///
    /// # Errors
    ///
    /// When nothing of these is set, or the current directory of a relative `--dir` is gone.
    pub(crate) fn resolve(
        named: Option<&Path>,
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Self, DirectoryError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = named.map(Path::to_owned).or_else(|| set("PODLAB_DIR")) {
            let absolute = std::path::absolute(&path).map_err(|error| DirectoryError::Make { path, error })?;
            return Ok(Self(absolute));
        }
        Self::usual(variable)
    }

    /// The place when nothing names another one.
    ///
    /// # Errors
    ///
    /// When there is no home directory either.
    pub(crate) fn usual(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Self, DirectoryError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let state = state.or_else(|| set("HOME").map(|home| home.join(".local/state")));
        state.map(|state| Self(state.join("podlab"))).ok_or(DirectoryError::NoHome)
    }

    /// One that is absolute already: from another process of the same cluster.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes the directory and those in it, for their owner alone. From here on its path has no symbolic links: the
    /// names of cgroups are derived from it.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or is a directory of something else.
    pub(crate) fn create(&mut self) -> Result<(), DirectoryError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| DirectoryError::Make { path, error }
        };
        let ours = self.lock_file().exists();
        if !ours && fs::read_dir(&self.0).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(DirectoryError::Foreign(self.0.clone()));
        }
        make_private(&self.0).map_err(failed(&self.0))?;
        self.0 = self.0.canonicalize().map_err(failed(&self.0))?;
        // It is also the mark by which the directory is known as ours.
        let lock = self.lock_file();
        fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&lock).map_err(failed(&lock))?;
        for name in ["run", "nodes", "log", "bin", "images"] {
            let path = self.0.join(name);
            make_private(&path).map_err(failed(&path))?;
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Held by the machine process as long as it lives.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.0.join("podlab.lock")
    }

    pub(crate) fn machine_record(&self) -> PathBuf {
        self.0.join("machine.json")
    }

    /// The ports of the last run, so that addresses survive a restart.
    pub(crate) fn ports(&self) -> PathBuf {
        self.0.join("ports.json")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.0.join("kubeconfig")
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.0.join("pki")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store.redb")
    }

    pub(crate) fn nodes(&self) -> PathBuf {
        self.0.join("nodes")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// The built pages.
    pub(crate) fn book(&self) -> PathBuf {
        self.0.join("book")
    }

    /// What lets a browser press the book's Run buttons.
    pub(crate) fn book_token(&self) -> PathBuf {
        self.0.join("book-token")
    }

    /// What the printed `export PATH=…` line puts first.
    pub(crate) fn bin(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// What all processes of the cluster see: sockets, and the cluster's clock.
    pub(crate) fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    /// The API server's socket for the kubelet of `node`.
    pub(crate) fn node_socket(&self, node: &str) -> PathBuf {
        self.run().join(format!("{node}.sock"))
    }

    /// Where kubelets ask for images of registries.
    pub(crate) fn pulls_socket(&self) -> PathBuf {
        self.0.join("run").join(podlab_images::registry::door::SOCKET)
    }

    pub(crate) fn log(&self, part: &str) -> PathBuf {
        self.0.join("log").join(format!("{part}.log"))
    }
}

/// Makes a directory (and those above it) that only its owner enters; one that is there is made so.
fn make_private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Writes a file that only its owner reads, in one step: a reader sees the old content or the new.
///
/// # Errors
///
/// When it cannot be written.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    let next = path.with_extension("next");
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        io::Write::write_all(&mut file, content)?;
        fs::rename(&next, path)
    };
    write().map_err(|error| WriteError { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(named: Option<&str>, variables: &[(&str, &str)]) -> Result<PathBuf, DirectoryError> {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        StateDirectory::resolve(named.map(Path::new), variable).map(|directory| directory.0)
    }

    #[test]
    fn the_first_of_the_places_that_is_named_counts() {
        let all = [("PODLAB_DIR", "/p"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(resolve(Some("/d"), &all).unwrap(), Path::new("/d"));
        assert_eq!(resolve(None, &all).unwrap(), Path::new("/p"));
        assert_eq!(resolve(None, &all[1..]).unwrap(), Path::new("/x/podlab"));
        assert_eq!(resolve(None, &all[2..]).unwrap(), Path::new("/h/.local/state/podlab"));
        assert!(matches!(resolve(None, &[]), Err(DirectoryError::NoHome)));
    }

    #[test]
    fn empty_and_relative_variables_count_as_unset() {
        let home = ("HOME", "/h");
        assert_eq!(resolve(None, &[("PODLAB_DIR", ""), home]).unwrap(), Path::new("/h/.local/state/podlab"));
        assert_eq!(resolve(None, &[("XDG_STATE_HOME", "x"), home]).unwrap(), Path::new("/h/.local/state/podlab"));
    }

    #[test]
    fn a_directory_of_something_else_is_left_alone() {
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("thesis.tex"), "").unwrap();
        let mut directory = StateDirectory::at(other.path().to_owned());
        assert!(matches!(directory.create(), Err(DirectoryError::Foreign(_))));
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_made_is_for_the_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let mut directory = StateDirectory::at(place.path().join("a/b"));
        directory.create().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        directory.create().unwrap();
        assert_eq!(mode(directory.path()), 0o700);
        assert_eq!(mode(&directory.nodes()), 0o700);
        write_private(&directory.kubeconfig(), b"secret").unwrap();
        assert_eq!(mode(&directory.kubeconfig()), 0o600);
    }
}
