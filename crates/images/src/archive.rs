//! Images as files: what `docker save`, `podman save` and `skopeo copy` write, in and out.
//!
//! Two formats exist. `docker save` writes `manifest.json`, which lists for each image its configuration, its names and
//! its layers; newer versions write an OCI layout in the same archive. An OCI archive is just a layout in a tar. Both
//! are read; what is written is both at once, as Docker does it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};

use crate::builtin::{BuiltIn, Filled};
use crate::digest::Digest;
use crate::error::ImageError;
use crate::layout::{BLOB_LIMIT, Blob, Hashing, Layout};
use crate::manifest::{
    Configuration, DOCKER_MANIFEST, DOCUMENT_LIMIT, Descriptor, Index, Manifest, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST,
    REFERENCE_ANNOTATION, parse,
};
use crate::reference::Reference;
use crate::stored::{self, Stored};
use crate::work::WorkDirectory;

/// Members of an image archive.
const MEMBERS: usize = 10_000;
/// The whole name, in layouts that newer Dockers write (where the usual annotation is the tag alone).
const NAME_ANNOTATION: &str = "io.containerd.image.name";

/// An entry of Docker's `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The members of an archive, as files whose names are ours.
struct Members {
    directory: WorkDirectory,
    files: HashMap<String, PathBuf>,
    links: HashMap<String, String>,
}

/// `./a//b` is `a/b`. Names are looked up, never opened, so `..` does no harm and finds nothing.
fn normal(name: &str) -> String {
    name.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

impl Members {
    fn read(layout: &Layout, reader: impl Read) -> Result<Members, ImageError> {
        let directory = WorkDirectory::create(&layout.temporary(), "load-")?;
        let mut members = Members { directory, files: HashMap::new(), links: HashMap::new() };
        let unreadable = |error: io::Error| ImageError::Archive(error.to_string());
        let mut reader = BufReader::with_capacity(256 * 1024, reader);
        let gzip = reader.fill_buf().map_err(unreadable)?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read> = if gzip { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) };
        let mut left = BLOB_LIMIT;
        for (number, entry) in Archive::new(reader).entries().map_err(unreadable)?.raw(true).enumerate() {
            let entry = entry.map_err(unreadable)?;
            if number >= MEMBERS {
                return Err(ImageError::Archive(format!("more than {MEMBERS} members")));
            }
            let name = normal(&String::from_utf8_lossy(&entry.path_bytes()));
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    let path = members.directory.path().join(number.to_string());
                    let mut file = File::create(&path).map_err(ImageError::io("cannot create", &path))?;
                    let length = io::copy(&mut entry.take(left), &mut file).map_err(unreadable)?;
                    left -= length;
                    if left == 0 {
                        return Err(ImageError::TooLarge { what: "the archive".to_owned(), limit: BLOB_LIMIT });
                    }
                    members.files.insert(name, path);
                }
                // Older Dockers write a layer once and link to it.
                EntryType::Symlink | EntryType::Link => {
                    let Some(target) = entry.header().link_name_bytes() else { continue };
                    let target = String::from_utf8_lossy(&target).into_owned();
                    members.links.insert(name, target);
                }
                _ => {}
            }
        }
        Ok(members)
    }

    fn find(&self, name: &str) -> Option<&Path> {
        let name = normal(name);
        if let Some(path) = self.files.get(&name) {
            return Some(path);
        }
        // `ID/layer.tar -> ../OTHER/layer.tar`: one step, from the link's own directory.
        let target = self.links.get(&name)?;
        let mut parts: Vec<&str> = name.split('/').collect();
        parts.pop();
        for part in target.split('/') {
            match part {
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        self.files.get(&normal(&parts.join("/"))).or_else(|| self.files.get(&normal(target))).map(PathBuf::as_path)
    }

    fn open(&self, name: &str) -> Result<File, ImageError> {
        let path = self.find(name).ok_or_else(|| ImageError::Archive(format!("{name} is missing")))?;
        File::open(path).map_err(ImageError::io("cannot open", path))
    }

    fn document(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        let read = self.open(name)?.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes);
        read.map_err(|error| ImageError::Archive(format!("{name}: {error}")))?;
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            return Err(ImageError::TooLarge { what: name.to_owned(), limit: DOCUMENT_LIMIT });
        }
        Ok(bytes)
    }

    /// A blob of an OCI layout, checked.
    fn blob(&self, layout: &Layout, descriptor: &Descriptor) -> Result<Blob, ImageError> {
        let name = format!("blobs/sha256/{}", descriptor.digest.hex());
        let blob = layout.write_blob(self.open(&name)?)?;
        if blob.digest != descriptor.digest {
            return Err(ImageError::Archive(format!("{name} does not have its digest")));
        }
        Ok(blob)
    }
}

/// Adds the images of an archive to the layout.
pub(crate) fn load(layout: &Layout, reader: impl Read) -> Result<Vec<Stored>, ImageError> {
    let members = Members::read(layout, reader)?;
    if members.find("manifest.json").is_some() {
        load_saved(layout, &members)
    } else if members.find("index.json").is_some() {
        load_layout(layout, &members)
    } else {
        Err(ImageError::Archive("it has neither manifest.json nor index.json".to_owned()))
    }
}

fn load_saved(layout: &Layout, members: &Members) -> Result<Vec<Stored>, ImageError> {
    let list: Vec<Saved> = parse(&members.document("manifest.json")?)
        .map_err(|problem| ImageError::Archive(format!("manifest.json: {problem}")))?;
    let mut images = Vec::new();
    for saved in list {
        let names = saved
            .repo_tags
            .unwrap_or_default()
            .iter()
            .map(|name| name.parse())
            .collect::<Result<Vec<Reference>, _>>()?;
        let config = layout.write_blob(members.document(&saved.config)?.as_slice())?;
        let mut layers = Vec::new();
        let mut blobs = Vec::new();
        for layer in &saved.layers {
            let mut file = members.open(layer)?;
            let mut magic = [0; 2];
            let gzip = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
            let blob = layout.write_blob(members.open(layer)?)?;
            let media_type = if gzip { format!("{OCI_LAYER}+gzip") } else { OCI_LAYER.to_owned() };
            layers.push(descriptor(&blob, &media_type));
            blobs.push(blob);
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: OCI_MANIFEST.to_owned(),
            config: descriptor(&config, OCI_CONFIG),
            layers,
        };
        blobs.push(config);
        let bytes = serde_json::to_vec(&manifest).unwrap_or_default();
        let manifest = layout.write_blob(bytes.as_slice())?;
        images.push(stored::add(layout, &names, manifest, OCI_MANIFEST, blobs)?);
    }
    Ok(images)
}

fn descriptor(blob: &Blob, media_type: &str) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: blob.digest,
        size: blob.size,
        platform: None,
        annotations: BTreeMap::new(),
    }
}

fn load_layout(layout: &Layout, members: &Members) -> Result<Vec<Stored>, ImageError> {
    let problem = |what: &str| {
        let what = what.to_owned();
        move |problem: String| ImageError::Archive(format!("{what}: {problem}"))
    };
    let index: Index = parse(&members.document("index.json")?).map_err(problem("index.json"))?;
    let mut images = Vec::new();
    for entry in &index.manifests {
        let name = [NAME_ANNOTATION, REFERENCE_ANNOTATION]
            .iter()
            .find_map(|annotation| entry.annotations.get(*annotation)?.parse::<Reference>().ok());
        let Some(name) = name else { continue };
        // An entry may be an index of platforms.
        let bytes = members.document(&format!("blobs/sha256/{}", entry.digest.hex()))?;
        let chosen = match parse::<Index>(&bytes) {
            Ok(nested) => nested
                .for_this_machine()
                .cloned()
                .ok_or_else(|| ImageError::Archive(format!("{name} has no image for this machine")))?,
            Err(_) => entry.clone(),
        };
        let manifest_blob = members.blob(layout, &chosen)?;
        let bytes = members.document(&format!("blobs/sha256/{}", chosen.digest.hex()))?;
        let manifest: Manifest = parse(&bytes).map_err(problem(&chosen.digest.to_string()))?;
        let mut blobs = vec![members.blob(layout, &manifest.config)?];
        for layer in &manifest.layers {
            blobs.push(members.blob(layout, layer)?);
        }
        let media_type = if manifest.media_type == DOCKER_MANIFEST { DOCKER_MANIFEST } else { OCI_MANIFEST };
        images.push(stored::add(layout, &[name], manifest_blob, media_type, blobs)?);
    }
    if images.is_empty() {
        return Err(ImageError::Archive("none of its images has a name".to_owned()));
    }
    Ok(images)
}

/// Makes an ordinary image of a built-in one, whose digests are those of its files. It gets no name: in this store the
/// name goes on meaning what is built in.
pub(crate) fn materialise(layout: &Layout, image: &BuiltIn, filled: &Filled) -> Result<Stored, ImageError> {
    let mut layers = Vec::new();
    let mut blobs = Vec::new();
    for directory in filled.layers(image).iter().rev() {
        let mut file = layout.new_file()?;
        let mut builder = Builder::new(&mut file);
        builder.follow_symlinks(false);
        builder.mode(tar::HeaderMode::Complete);
        let written = builder.append_dir_all(".", directory).and_then(|()| builder.into_inner().map(drop));
        written.map_err(ImageError::io("cannot pack", directory))?;
        let blob = layout.write_blob(file.reopen().map_err(ImageError::io("cannot pack", directory))?)?;
        layers.push(descriptor(&blob, OCI_LAYER));
        blobs.push(blob);
    }
    let built_in: Configuration = parse(&image.manifest().config).map_err(ImageError::Archive)?;
    let rootfs = crate::manifest::RootFs {
        kind: "layers".to_owned(),
        diff_ids: layers.iter().map(|layer| layer.digest).collect(),
    };
    let bytes = serde_json::to_vec(&Configuration { rootfs, ..built_in }).unwrap_or_default();
    let config = layout.write_blob(bytes.as_slice())?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        config: descriptor(&config, OCI_CONFIG),
        layers,
    };
    blobs.push(config);
    let bytes = serde_json::to_vec(&manifest).unwrap_or_default();
    let manifest = layout.write_blob(bytes.as_slice())?;
    stored::add(layout, &[], manifest, OCI_MANIFEST, blobs)
}

/// Writes images as an archive that Docker, podman and [`load`] read.
pub(crate) fn save(layout: &Layout, images: &[(Reference, Stored)], out: impl Write) -> Result<(), ImageError> {
    let failed = |error: io::Error| ImageError::Archive(format!("cannot write it: {error}"));
    let mut builder = Builder::new(out);
    let mut written = std::collections::BTreeSet::new();
    let mut index = Index::default();
    let mut list = Vec::new();
    for (name, image) in images {
        for digest in image.blobs() {
            if written.insert(digest) {
                append_blob(layout, &mut builder, &digest)?;
            }
        }
        let annotations = BTreeMap::from([
            (REFERENCE_ANNOTATION.to_owned(), name.to_string()),
            (NAME_ANNOTATION.to_owned(), name.to_string()),
        ]);
        index.manifests.push(Descriptor { annotations, ..image.descriptor().clone() });
        let member = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
        list.push(Saved {
            config: member(&image.id()),
            repo_tags: Some(vec![name.to_string()]),
            layers: image.manifest.layers.iter().map(|layer| member(&layer.digest)).collect(),
        });
    }
    let documents = [
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json", serde_json::to_vec(&index).unwrap_or_default()),
        ("manifest.json", serde_json::to_vec(&list).unwrap_or_default()),
    ];
    for (name, content) in documents {
        append(&mut builder, name, content.len() as u64, content.as_slice()).map_err(failed)?;
    }
    builder.into_inner().and_then(|mut out| out.flush()).map_err(failed)
}

fn append(builder: &mut Builder<impl Write>, name: &str, size: u64, content: impl Read) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(size);
    header.set_mtime(0);
    builder.append_data(&mut header, name, content)
}

fn append_blob(layout: &Layout, builder: &mut Builder<impl Write>, digest: &Digest) -> Result<(), ImageError> {
    let file = layout.open_blob(digest)?;
    let path = PathBuf::from(digest.to_string());
    let size = file.metadata().map_err(ImageError::io("cannot look at", &path))?.len();
    let mut content = Hashing::new(file);
    append(builder, &format!("blobs/sha256/{}", digest.hex()), size, &mut content)
        .map_err(ImageError::io("cannot copy", &path))?;
    if content.digest() != *digest {
        return Err(ImageError::Corrupt { path, problem: "its content does not have its digest".to_owned() });
    }
    Ok(())
}
