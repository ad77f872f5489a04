//! What can go wrong with an image.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::reference::InvalidReference;
use crate::unpack::UnpackError;

/// Why an image cannot be had. The texts of [`ImageError::Reference`] are the ones the kubelet shows in a Pod's status.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// What was written names no image.
    #[error(transparent)]
    Reference(#[from] InvalidReference),

    /// No image of the store has this id or reference.
    #[error("no such image: {0}")]
    NotFound(String),

    /// Built-in images are part of the program and cannot be removed.
    #[error("{0} is built in: it takes no space of its own and cannot be removed")]
    BuiltIn(String),

    /// A file of the store does not hold what its name or the format says.
    #[error("{path}: {problem}")]
    Corrupt { path: PathBuf, problem: String },

    /// A layer is hostile or broken.
    #[error("layer {layer}: {error}")]
    Unpack {
        layer: Digest,
        #[source]
        error: UnpackError,
    },

    /// An archive holds no image, or not a whole one.
    #[error("not an image archive: {0}")]
    Archive(String),

    /// Something arrived that is larger than anything may be.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge { what: String, limit: u64 },

    /// The operating system refused a step.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried, as in "cannot create".
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl ImageError {
    /// For `map_err`: remembers what was tried, and on what.
    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> ImageError {
        let path = path.to_owned();
        move |source| ImageError::Io { action, path, source: source.into() }
    }
}
