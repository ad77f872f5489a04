//! The folder of credentials.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Pair, PkiError};

pub(super) enum Files {
    In(PathBuf),
    /// Nothing is found, nothing is kept.
    Nowhere,
}

impl Files {
    pub(super) fn prepare(&self) -> Result<(), PkiError> {
        let Self::In(directory) = self else { return Ok(()) };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| PkiError::File { path: directory.clone(), source })
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<String>, PkiError> {
        let Self::In(directory) = self else { return Ok(None) };
        let path = directory.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PkiError::File { path, source }),
        }
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), PkiError> {
        let Self::In(directory) = self else { return Ok(()) };
        write_private(&directory.join(name), text.as_bytes())
    }

    /// Both files of a pair, or nothing when one is missing.
    pub(super) fn read_pair(&self, name: &str) -> Result<Option<Pair>, PkiError> {
        let certificate = self.read(&format!("{name}.crt"))?;
        let key = self.read(&format!("{name}.key"))?;
        Ok(certificate.zip(key).map(|(certificate, key)| Pair { certificate, key }))
    }

    pub(super) fn write_pair(&self, name: &str, pair: &Pair) -> Result<(), PkiError> {
        self.write(&format!("{name}.key"), &pair.key)?;
        self.write(&format!("{name}.crt"), &pair.certificate)
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    let failed = |source| PkiError::File { path: path.to_owned(), source };
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    // One that was left behind may have other permissions.
    let _ = std::fs::remove_file(&new);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)
}
