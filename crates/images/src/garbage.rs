//! Taking images out of a store that is in use.
//!
//! Who adds an image relies, from its first look on, on blobs and layers that are there already. So whoever adds holds a
//! lock together with others who add, and images are taken out only while nobody does.

use std::collections::BTreeSet;
use std::fs::{self, File};

use rustix::fs::{FlockOperation, flock};

use crate::digest::Digest;
use crate::error::ImageError;
use crate::layout::Layout;
use crate::store::Store;
use crate::stored::Stored;
use crate::work::WorkDirectory;

/// Held by who adds images: nothing that is in the store goes meanwhile.
pub(crate) struct Adding(#[expect(dead_code, reason = "the lock is all that it is for")] File);

impl Adding {
    pub(crate) fn to(layout: &Layout) -> Result<Adding, ImageError> {
        let (file, path) = lock_file(layout)?;
        flock(&file, FlockOperation::LockShared).map_err(ImageError::io("cannot lock", &path))?;
        Ok(Adding(file))
    }
}

fn lock_file(layout: &Layout) -> Result<(File, std::path::PathBuf), ImageError> {
    let path = layout.adding();
    let file = File::create(&path).map_err(ImageError::io("cannot create", &path))?;
    Ok((file, path))
}

impl Store {
    /// Removes images, by their ids, with those of their files that no other image has. Only for who knows that nothing
    /// runs on them. Returns false, having done nothing, when somebody adds an image at this moment.
    ///
    /// # Errors
    /// When the disk refuses. What is half removed is out of the way of all others.
    pub fn discard(&self, ids: &BTreeSet<String>) -> Result<bool, ImageError> {
        let layout = self.layout();
        let (lock, _) = lock_file(layout)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(false);
        }
        let (gone, kept): (Vec<Stored>, Vec<Stored>) =
            Stored::all(layout)?.into_iter().partition(|image| ids.contains(&image.id().to_string()));
        let manifests: BTreeSet<Digest> = gone.iter().map(|image| image.descriptor().digest).collect();
        layout.update(|index| index.manifests.retain(|image| !manifests.contains(&image.digest)))?;

        let blobs = |images: &[Stored]| -> BTreeSet<Digest> { images.iter().flat_map(Stored::blobs).collect() };
        let layers = |images: &[Stored]| -> BTreeSet<Digest> {
            images.iter().flat_map(|image| image.configuration.rootfs.diff_ids.iter().copied()).collect()
        };
        // A layer goes at once, like it came: half of one must never be taken for a whole one.
        let work = WorkDirectory::create(&layout.temporary(), "gone-")?;
        for diff_id in layers(&gone).difference(&layers(&kept)) {
            let (from, to) = (layout.layer(diff_id), work.path().join(diff_id.hex()));
            ignore_missing(fs::rename(&from, to)).map_err(ImageError::io("cannot remove", &from))?;
        }
        for digest in blobs(&gone).difference(&blobs(&kept)) {
            let path = layout.blob(digest);
            ignore_missing(fs::remove_file(&path)).map_err(ImageError::io("cannot remove", &path))?;
        }
        // Nobody has to wait until the files themselves are gone.
        drop(lock);
        Ok(true)
    }
}

fn ignore_missing(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
