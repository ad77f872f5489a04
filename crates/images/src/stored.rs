//! The images of the layout: what was loaded or pulled.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::ImageRecord;
use crate::digest::Digest;
use crate::error::ImageError;
use crate::layout::{Blob, Layout};
use crate::manifest::{Configuration, Descriptor, Index, Manifest, OCI_MANIFEST, REFERENCE_ANNOTATION, parse};
use crate::reference::Reference;

/// An image of the layout with its documents read.
pub(crate) struct Stored {
    descriptor: Descriptor,
    pub(crate) manifest: Manifest,
    pub(crate) configuration: Configuration,
}

fn corrupt(descriptor: &Descriptor) -> impl Fn(String) -> ImageError {
    let path = PathBuf::from(descriptor.digest.to_string());
    move |problem| ImageError::Corrupt { path: path.clone(), problem }
}

/// The full references of the index that lead to the same image, and it.
fn references<'a>(index: &'a Index, digest: &'a Digest) -> impl Iterator<Item = Reference> + use<'a> {
    index
        .manifests
        .iter()
        .filter(move |descriptor| descriptor.digest == *digest)
        .filter_map(|descriptor| descriptor.annotations.get(REFERENCE_ANNOTATION)?.parse().ok())
}

impl Stored {
    fn read(layout: &Layout, descriptor: &Descriptor) -> Result<Stored, ImageError> {
        let manifest: Manifest = parse(&layout.document(descriptor)?).map_err(corrupt(descriptor))?;
        let configuration: Configuration =
            parse(&layout.document(&manifest.config)?).map_err(corrupt(&manifest.config))?;
        manifest.check(&configuration).map_err(corrupt(descriptor))?;
        Ok(Stored { descriptor: descriptor.clone(), manifest, configuration })
    }

    /// The image a reference means, if the layout has it.
    pub(crate) fn find(layout: &Layout, reference: &Reference) -> Result<Option<Stored>, ImageError> {
        let index = layout.index()?;
        let found = index.manifests.iter().find(|descriptor| {
            let Some(known) = descriptor.annotations.get(REFERENCE_ANNOTATION) else { return false };
            match reference.digest() {
                Some(digest) => {
                    digest == descriptor.digest.to_string()
                        && known.parse::<Reference>().is_ok_and(|known| known.repository() == reference.repository())
                }
                None => *known == reference.to_string(),
            }
        });
        found.map(|descriptor| Stored::read(layout, descriptor)).transpose()
    }

    /// All images. One whose documents are damaged is left out: it must not keep the others from being used.
    pub(crate) fn all(layout: &Layout) -> Result<Vec<Stored>, ImageError> {
        let mut by_digest = BTreeMap::new();
        for descriptor in layout.index()?.manifests {
            by_digest.entry(descriptor.digest).or_insert(descriptor);
        }
        Ok(by_digest.values().filter_map(|descriptor| Stored::read(layout, descriptor).ok()).collect())
    }

    pub(crate) fn id(&self) -> Digest {
        self.manifest.config.digest
    }

    /// As the store shows it; the reference that was asked for comes first.
    pub(crate) fn record(&self, layout: &Layout, asked: Option<&Reference>) -> Result<ImageRecord, ImageError> {
        let index = layout.index()?;
        let known: Vec<Reference> = references(&index, &self.descriptor.digest).collect();
        let repository = match asked.or(known.first()) {
            Some(reference) => reference.repository(),
            None => String::new(),
        };
        let mut repo_tags: Vec<String> =
            known.iter().filter(|known| known.digest().is_none()).map(Reference::to_string).collect();
        repo_tags.sort_by_key(|tag| asked.is_none_or(|asked| *tag != asked.to_string()));
        Ok(ImageRecord {
            id: self.id().to_string(),
            repo_tags,
            repo_digest: format!("{repository}@{}", self.descriptor.digest),
            size: self.manifest.layers.iter().map(|layer| layer.size).sum(),
            config: self.configuration.config.clone(),
            built_in: None,
        })
    }

    /// The unpacked layers, topmost first; unpacks what is not yet.
    pub(crate) fn layers(&self, layout: &Layout) -> Result<Vec<PathBuf>, ImageError> {
        let diff_ids = &self.configuration.rootfs.diff_ids;
        for (layer, diff_id) in self.manifest.layers.iter().zip(diff_ids) {
            layout.unpack(layer, diff_id)?;
        }
        Ok(diff_ids.iter().rev().map(|diff_id| layout.layer(diff_id)).collect())
    }

    /// Every blob the image needs.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = Digest> {
        let layers = self.manifest.layers.iter().map(|layer| layer.digest);
        [self.descriptor.digest, self.manifest.config.digest].into_iter().chain(layers)
    }

    /// The manifest's own blob.
    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
}

/// Adds an image to the layout under the given names: its blobs, its unpacked layers, and last its entries in the index.
/// Blobs that the layout has already need not be given. Without names the blobs are all there is of it.
pub(crate) fn add(
    layout: &Layout,
    names: &[Reference],
    manifest: Blob,
    media_type: &str,
    blobs: Vec<Blob>,
) -> Result<Stored, ImageError> {
    let descriptor = Descriptor {
        media_type: if media_type.is_empty() { OCI_MANIFEST.to_owned() } else { media_type.to_owned() },
        digest: manifest.digest,
        size: manifest.size,
        platform: None,
        annotations: BTreeMap::new(),
    };
    for blob in blobs {
        layout.keep(blob)?;
    }
    layout.keep(manifest)?;
    let stored = Stored::read(layout, &descriptor)?;
    if let Some(missing) = stored.manifest.layers.iter().find(|layer| !layout.has_blob(&layer.digest)) {
        return Err(ImageError::Archive(format!("layer {} is missing", missing.digest)));
    }
    if names.is_empty() {
        return Ok(stored);
    }
    // Hostile or broken layers are found now, and not when a container starts.
    stored.layers(layout)?;
    layout.update(|index| {
        for name in names {
            index.manifests.retain(|other| other.annotations.get(REFERENCE_ANNOTATION) != Some(&name.to_string()));
            let annotations = BTreeMap::from([(REFERENCE_ANNOTATION.to_owned(), name.to_string())]);
            index.manifests.push(Descriptor { annotations, ..descriptor.clone() });
        }
    })?;
    Ok(stored)
}
