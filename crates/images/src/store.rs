//! The store: which images are here, and where their layers lie.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive;
use crate::builtin::{self, CATALOGUE, Filled, Sources};
use crate::config::ImageRecord;
use crate::digest::Digest;
use crate::error::ImageError;
use crate::garbage::Adding;
use crate::layout::Layout;
use crate::manifest::REFERENCE_ANNOTATION;
use crate::reference::Reference;
use crate::stored::Stored;

/// An open image store. Cheap to clone; any number of processes may have the same one open.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    built_in: Filled,
    layout: Layout,
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
        let layout = Layout::open(directory)?;
        let built_in = Filled::ensure(directory, sources)?;
        Ok(Store { inner: Arc::new(Inner { directory: directory.to_owned(), built_in, layout }) })
    }

    /// Where the store lies.
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    /// The image that `reference` means, if it is here. The reference may be short (`nginx`), or an image's id. What was
    /// loaded or pulled comes before what is built in.
    ///
    /// # Errors
    /// [`ImageError::Reference`] when it is no reference at all; [`ImageError::Corrupt`] when the image is damaged.
    pub fn resolve(&self, reference: &str) -> Result<Option<ImageRecord>, ImageError> {
        let layout = self.layout();
        if let Ok(id) = reference.parse::<Digest>() {
            if let Some(stored) = self.stored(&id)? {
                return stored.record(layout, None).map(Some);
            }
            return Ok(self.built_in(&id).map(|image| image.record("", self.inner.built_in.size(image))));
        }
        let reference: Reference = reference.parse()?;
        if let Some(stored) = Stored::find(layout, &reference)? {
            return stored.record(layout, Some(&reference)).map(Some);
        }
        Ok(builtin::find(&reference).map(|(image, tag)| image.record(tag, self.inner.built_in.size(image))))
    }

    /// The directories of an image's files, topmost first: the lower directories of a container's overlay. Read-only by
    /// agreement: every container of the image shares them.
    pub fn layers(&self, image_id: &str) -> Result<Vec<PathBuf>, ImageError> {
        let unknown = || ImageError::NotFound(image_id.to_owned());
        let id: Digest = image_id.parse().map_err(|_| unknown())?;
        match self.stored(&id)? {
            Some(stored) => stored.layers(self.layout()),
            None => self.built_in(&id).map(|image| self.inner.built_in.layers(image)).ok_or_else(unknown),
        }
    }

    /// All images: those that were loaded or pulled, then the built-in ones.
    pub fn list(&self) -> Result<Vec<ImageRecord>, ImageError> {
        let mut images = Vec::new();
        for stored in Stored::all(self.layout())? {
            images.push(stored.record(self.layout(), None)?);
        }
        let taken: BTreeSet<String> = images.iter().flat_map(|image| image.repo_tags.iter().cloned()).collect();
        images.extend(CATALOGUE.iter().filter_map(|image| {
            let mut record = image.record("", self.inner.built_in.size(image));
            // A name that now leads to a loaded image leads to the built-in one no longer.
            record.repo_tags.retain(|tag| !taken.contains(tag));
            (!record.repo_tags.is_empty()).then_some(record)
        }));
        Ok(images)
    }

    /// Adds the images of an archive, as `docker save` and its like write them, gzipped or not.
    ///
    /// # Errors
    /// When the archive is damaged, hostile, or for another kind of machine. The store is then as it was.
    pub fn load(&self, archive: impl Read) -> Result<Vec<ImageRecord>, ImageError> {
        let _adding = Adding::to(self.layout())?;
        let images = archive::load(self.layout(), archive)?;
        images.iter().map(|image| image.record(self.layout(), None)).collect()
    }

    /// Writes images as an archive that `docker load`, `podman load` and [`Store::load`] read.
    ///
    /// # Errors
    /// [`ImageError::NotFound`] before anything is written, when an image is not here.
    pub fn save(&self, references: &[&str], out: impl Write) -> Result<(), ImageError> {
        let mut images = Vec::new();
        for text in references {
            let reference: Reference = text.parse()?;
            let stored = match Stored::find(self.layout(), &reference)? {
                Some(stored) => stored,
                None => {
                    let (image, _) =
                        builtin::find(&reference).ok_or_else(|| ImageError::NotFound((*text).to_owned()))?;
                    archive::materialise(self.layout(), image, &self.inner.built_in)?
                }
            };
            images.push((reference, stored));
        }
        archive::save(self.layout(), &images, out)
    }

    /// Forgets a name. The image's files stay for the containers that run on them, until [`Store::sweep`].
    pub fn remove(&self, reference: &str) -> Result<(), ImageError> {
        let reference: Reference = reference.parse()?;
        let name = reference.to_string();
        let mut found = false;
        self.layout().update(|index| {
            let before = index.manifests.len();
            index.manifests.retain(|image| image.annotations.get(REFERENCE_ANNOTATION) != Some(&name));
            found = index.manifests.len() < before;
        })?;
        match found {
            true => Ok(()),
            false if builtin::find(&reference).is_some() => Err(ImageError::BuiltIn(name)),
            false => Err(ImageError::NotFound(name)),
        }
    }

    /// Removes what no container can need any more: layers of earlier builds, files of images without a name, work that
    /// was never finished. Only for who knows that nothing of this store runs, as `podlab start` does.
    pub fn sweep(&self) -> Result<(), ImageError> {
        let images = Stored::all(self.layout())?;
        let blobs: Vec<Digest> = images.iter().flat_map(Stored::blobs).collect();
        let diff_ids: Vec<Digest> =
            images.iter().flat_map(|image| image.configuration.rootfs.diff_ids.iter().copied()).collect();
        self.layout().sweep(&blobs, &diff_ids)?;
        self.inner.built_in.sweep()
    }

    /// Removes what processes that were killed left half done. Others may be at work in the store.
    pub fn tidy(&self) -> Result<(), ImageError> {
        self.layout().tidy()
    }

    fn stored(&self, id: &Digest) -> Result<Option<Stored>, ImageError> {
        Ok(Stored::all(self.layout())?.into_iter().find(|stored| stored.id() == *id))
    }

    fn built_in(&self, id: &Digest) -> Option<&'static builtin::BuiltIn> {
        CATALOGUE.iter().find(|image| image.manifest().id() == *id)
    }
}
