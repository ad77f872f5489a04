//! The store's files: an OCI image layout, with the layers unpacked beside it.
//!
//! Upstream: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>. Whatever comes into being is
//! written under `tmp/` and renamed, so a reader sees all of it or nothing. What changes the index does so under a lock;
//! readers need none.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::error::ImageError;
use crate::manifest::{Compression, DOCUMENT_LIMIT, Descriptor, Index, parse};
use crate::unpack::{Limits, unpack};
use crate::work::{self, WorkDirectory};

/// Bytes of a layer as it is stored or sent.
pub(crate) const BLOB_LIMIT: u64 = 20 << 30;

#[derive(Debug)]
pub(crate) struct Layout {
    directory: PathBuf,
}

/// A blob that is written and whose digest is known, but that has no name yet.
pub(crate) struct Blob {
    file: tempfile::NamedTempFile,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// A blob being written.
pub(crate) struct BlobWriter {
    file: tempfile::NamedTempFile,
    hash: Sha256,
    size: u64,
}

impl BlobWriter {
    /// Bytes so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn write(&mut self, piece: &[u8]) -> Result<(), ImageError> {
        self.file.write_all(piece).map_err(ImageError::io("cannot write", self.file.path()))?;
        self.hash.update(piece);
        self.size += piece.len() as u64;
        Ok(())
    }

    pub(crate) fn finish(self) -> Blob {
        Blob { file: self.file, digest: Digest::from_hash(self.hash), size: self.size }
    }
}

impl Layout {
    /// Opens the layout in `directory`; makes what is missing.
    pub(crate) fn open(directory: &Path) -> Result<Layout, ImageError> {
        for part in ["blobs/sha256", "layers", "tmp"] {
            let path = directory.join(part);
            if !path.is_dir() {
                fs::create_dir_all(&path).map_err(ImageError::io("cannot create", &path))?;
            }
        }
        let layout = Layout { directory: directory.to_owned() };
        let marker = directory.join("oci-layout");
        if !marker.exists() {
            layout.replace(&marker, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        Ok(layout)
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    /// Locked by who adds images, and by who takes some out.
    pub(crate) fn adding(&self) -> PathBuf {
        self.directory.join("adding")
    }

    /// Removes the work of processes that were killed at it.
    pub(crate) fn tidy(&self) -> Result<(), ImageError> {
        work::tidy(&self.temporary())
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.directory.join("blobs/sha256").join(digest.hex())
    }

    /// Where the unpacked files of a layer lie or will lie. Half the digest: the paths of all layers of an image have to
    /// fit into the one page that mount(2) takes.
    pub(crate) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.directory.join("layers").join(&diff_id.hex()[..32])
    }

    /// The images of the layout.
    pub(crate) fn index(&self) -> Result<Index, ImageError> {
        let path = self.directory.join("index.json");
        match fs::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(|problem| ImageError::Corrupt { path, problem }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
            Err(error) => Err(ImageError::io("cannot read", &path)(error)),
        }
    }

    /// Changes the index while nobody else does.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Index)) -> Result<(), ImageError> {
        let path = self.directory.join("lock");
        let lock = File::create(&path).map_err(ImageError::io("cannot create", &path))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(ImageError::io("cannot lock", &path))?;
        let mut index = self.index()?;
        change(&mut index);
        self.replace(&self.directory.join("index.json"), &serde_json::to_vec(&index).unwrap_or_default())
    }

    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), ImageError> {
        let mut file = self.new_file()?;
        file.write_all(content)
            .and_then(|()| file.as_file().sync_all())
            .map_err(ImageError::io("cannot write", path))?;
        file.persist(path).map_err(|error| ImageError::io("cannot write", path)(error.error))?;
        Ok(())
    }

    /// A file in the layout's own file system that vanishes unless it gets a name.
    pub(crate) fn new_file(&self) -> Result<tempfile::NamedTempFile, ImageError> {
        work::file(&self.temporary())
    }

    /// For a blob that arrives in pieces.
    pub(crate) fn blob_writer(&self) -> Result<BlobWriter, ImageError> {
        Ok(BlobWriter { file: self.new_file()?, hash: Sha256::new(), size: 0 })
    }

    /// Writes a blob, taking its digest on the way.
    pub(crate) fn write_blob(&self, content: impl Read) -> Result<Blob, ImageError> {
        let mut file = self.new_file()?;
        let mut hash = Hashing::new(content.take(BLOB_LIMIT + 1));
        let size = io::copy(&mut hash, &mut file).map_err(ImageError::io("cannot write a blob in", &self.directory))?;
        if size > BLOB_LIMIT {
            return Err(ImageError::TooLarge { what: "a blob".to_owned(), limit: BLOB_LIMIT });
        }
        Ok(Blob { file, digest: hash.digest(), size })
    }

    /// Gives a blob its name, which is its digest.
    pub(crate) fn keep(&self, blob: Blob) -> Result<(), ImageError> {
        let path = self.blob(&blob.digest);
        // A name that survives the loss of power with a content that did not would be a lie.
        blob.file.as_file().sync_data().map_err(ImageError::io("cannot write", &path))?;
        blob.file.persist(&path).map_err(|error| ImageError::io("cannot write", &path)(error.error))?;
        Ok(())
    }

    pub(crate) fn has_blob(&self, digest: &Digest) -> bool {
        self.blob(digest).is_file()
    }

    /// A document of the layout, checked against its digest.
    pub(crate) fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let path = self.blob(&descriptor.digest);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(DOCUMENT_LIMIT).read_to_end(&mut bytes))
            .map_err(ImageError::io("cannot read", &path))?;
        if Digest::of(&bytes) != descriptor.digest {
            return Err(ImageError::Corrupt { path, problem: "its content does not have its digest".to_owned() });
        }
        Ok(bytes)
    }

    /// A blob for reading, unchecked: the reader compares the digest.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<File, ImageError> {
        let path = self.blob(digest);
        File::open(&path).map_err(ImageError::io("cannot open", &path))
    }

    /// Unpacks a layer's blob, unless it is unpacked already.
    ///
    /// # Errors
    /// When the archive is hostile or broken, or is not the one that the configuration promises.
    pub(crate) fn unpack(&self, layer: &Descriptor, diff_id: &Digest) -> Result<(), ImageError> {
        let destination = self.layer(diff_id);
        if destination.is_dir() {
            return Ok(());
        }
        let work = WorkDirectory::create(&self.temporary(), "layer-")?;
        let root = work.path().join("root");
        fs::create_dir(&root).map_err(ImageError::io("cannot create", &root))?;
        rustix::fs::chmod(&root, rustix::fs::Mode::from_raw_mode(0o755))
            .map_err(ImageError::io("cannot set the mode of", &root))?;

        let blob = BufReader::with_capacity(256 * 1024, self.open_blob(&layer.digest)?);
        let archive: Box<dyn Read> = match Compression::of(&layer.media_type) {
            Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(blob)),
            Some(Compression::None) => Box::new(blob),
            None => {
                let problem = format!("layers of type {:?} are not supported", layer.media_type);
                return Err(ImageError::Corrupt { path: self.blob(&layer.digest), problem });
            }
        };
        let mut archive = Hashing::new(archive);
        let limits = Limits::default();
        let failed = |problem: String| ImageError::Corrupt { path: self.blob(&layer.digest), problem };
        unpack(&mut archive, &root, limits).map_err(|error| ImageError::Unpack { layer: layer.digest, error })?;
        // What follows the last member is padding, and part of the digest.
        io::copy(&mut (&mut archive).take(limits.bytes), &mut io::sink()).map_err(|error| failed(error.to_string()))?;
        let found = archive.digest();
        if found != *diff_id {
            return Err(failed(format!("it unpacks to {found}, the configuration says {diff_id}")));
        }
        match fs::rename(&root, &destination) {
            Ok(()) => Ok(()),
            // Someone else unpacked the same layer meanwhile.
            Err(_) if destination.is_dir() => Ok(()),
            Err(error) => Err(ImageError::io("cannot create", &destination)(error)),
        }
    }

    /// Removes blobs and layers that no image of the index needs, and what was left half done. Only for who knows that
    /// nothing runs and nothing else writes.
    pub(crate) fn sweep(&self, blobs: &[Digest], diff_ids: &[Digest]) -> Result<(), ImageError> {
        let blobs: Vec<PathBuf> = blobs.iter().map(|digest| self.blob(digest)).collect();
        let mut layers: Vec<PathBuf> = diff_ids.iter().map(|digest| self.layer(digest)).collect();
        // Layers are not synced to the disk, file by file: after a boot they are unpacked again from their blobs.
        let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let unpacked_in = self.directory.join("boot");
        if fs::read(&unpacked_in).ok().as_ref() != Some(&boot) {
            layers.clear();
            self.replace(&unpacked_in, &boot)?;
        }
        for (directory, kept) in [("blobs/sha256", &blobs), ("layers", &layers), ("tmp", &Vec::new())] {
            let directory = self.directory.join(directory);
            for entry in fs::read_dir(&directory).map_err(ImageError::io("cannot list", &directory))? {
                let path = entry.map_err(ImageError::io("cannot list", &directory))?.path();
                if kept.contains(&path) {
                    continue;
                }
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                match removed {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(ImageError::io("cannot remove", &path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Takes the digest of what is read through it.
pub(crate) struct Hashing<R> {
    reader: R,
    hash: Sha256,
}

impl<R> Hashing<R> {
    pub(crate) fn new(reader: R) -> Hashing<R> {
        Hashing { reader, hash: Sha256::new() }
    }

    pub(crate) fn digest(self) -> Digest {
        Digest::from_hash(self.hash)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.hash.update(&buffer[..length]);
        Ok(length)
    }
}
