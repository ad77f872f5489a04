//! The store: which images are here, and where their layers lie.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::builtin::{self, CATALOGUE, Filled, Sources};
use crate::config::ImageRecord;
use crate::error::ImageError;
use crate::reference::Reference;

/// An open image store. Cheap to clone; any number of processes may have the same one open.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    built_in: Filled,
}

impl Store {
    /// Opens the store in `directory`, making what is missing. `program` is the `podlab` binary that the built-in images
    /// run (`/proc/self/exe` will do). Some milliseconds the first time for a build of `program`, microseconds later.
    pub fn open(directory: &Path, program: &Path) -> Result<Store, ImageError> {
        Store::open_from(directory, &Sources { program: program.to_owned(), host: PathBuf::from("/") })
    }

    /// [`Store::open`] with another place to take the shell and tools of the built-in images from.
    pub fn open_from(directory: &Path, sources: &Sources) -> Result<Store, ImageError> {
        fs::create_dir_all(directory).map_err(ImageError::io("cannot create", directory))?;
        let built_in = Filled::ensure(directory, sources)?;
        Ok(Store { inner: Arc::new(Inner { directory: directory.to_owned(), built_in }) })
    }

    /// Where the store lies.
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// The image that `reference` means, if it is here. The reference may be short (`nginx`), or an image's id.
    ///
    /// # Errors
    /// [`ImageError::Reference`] when it is no reference at all.
    pub fn resolve(&self, reference: &str) -> Result<Option<ImageRecord>, ImageError> {
        if reference.starts_with("sha256:") {
            return Ok(self.by_id(reference).map(|(record, _)| record));
        }
        let reference: Reference = reference.parse()?;
        Ok(builtin::find(&reference).map(|(image, tag)| image.record(tag, self.inner.built_in.size(image))))
    }

    /// The directories of an image's files, topmost first: the lower directories of a container's overlay. Read-only by
    /// agreement: every container of the image shares them.
    pub fn layers(&self, image_id: &str) -> Result<Vec<PathBuf>, ImageError> {
        self.by_id(image_id).map(|(_, layers)| layers).ok_or_else(|| ImageError::NotFound(image_id.to_owned()))
    }

    /// All images.
    pub fn list(&self) -> Result<Vec<ImageRecord>, ImageError> {
        let filled = &self.inner.built_in;
        Ok(CATALOGUE.iter().map(|image| image.record("", filled.size(image))).collect())
    }

    /// Removes what no container can need any more: layers of earlier builds. Only for who knows that no container of
    /// this store runs, as `podlab start` does.
    pub fn sweep(&self) -> Result<(), ImageError> {
        self.inner.built_in.sweep()
    }

    fn by_id(&self, id: &str) -> Option<(ImageRecord, Vec<PathBuf>)> {
        let filled = &self.inner.built_in;
        let image = CATALOGUE.iter().find(|image| image.manifest().id().to_string() == id)?;
        Some((image.record("", filled.size(image)), filled.layers(image)))
    }
}
