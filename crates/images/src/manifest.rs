//! The documents that tie an image together: index, manifest, configuration.
//!
//! Upstream: the image specification (<https://github.com/opencontainers/image-spec>), and Docker's older names for the
//! same things, which most registries still hand out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{ImageConfig, architecture};
use crate::digest::Digest;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// Under which name an image of a layout is known.
pub(crate) const REFERENCE_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// Bytes of an index, manifest or configuration.
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;
/// Layers of one image: what an overlay mount can hold.
const LAYERS_LIMIT: usize = 500;

/// A blob, by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
}

/// Images of several platforms, or those of a layout.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default = "oci_index")]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

fn oci_index() -> String {
    OCI_INDEX.to_owned()
}

impl Default for Index {
    fn default() -> Index {
        Index { schema_version: 2, media_type: oci_index(), manifests: Vec::new() }
    }
}

impl Index {
    /// The image for this machine.
    pub(crate) fn for_this_machine(&self) -> Option<&Descriptor> {
        self.manifests
            .iter()
            .find(|manifest| {
                manifest
                    .platform
                    .as_ref()
                    .is_some_and(|platform| platform.os == "linux" && platform.architecture == architecture())
            })
            .or_else(|| match self.manifests.as_slice() {
                [only] if only.platform.is_none() => Some(only),
                _ => None,
            })
    }
}

/// Configuration and layers of an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    /// The lowest first.
    pub(crate) layers: Vec<Descriptor>,
}

/// The configuration document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Configuration {
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) config: ImageConfig,
    pub(crate) rootfs: RootFs,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RootFs {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The digests of the layers' tar archives before compression, the lowest first.
    pub(crate) diff_ids: Vec<Digest>,
}

/// How a layer's blob is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
}

impl Compression {
    pub(crate) fn of(media_type: &str) -> Option<Compression> {
        match media_type {
            OCI_LAYER | DOCKER_LAYER => Some(Compression::None),
            OCI_LAYER_GZIP | DOCKER_LAYER_GZIP => Some(Compression::Gzip),
            _ => None,
        }
    }
}

/// Why a document is of no use. The text goes behind its name.
pub(crate) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("not what the image specification says: {error}"))
}

impl Manifest {
    /// Checks manifest and configuration against each other.
    pub(crate) fn check(&self, configuration: &Configuration) -> Result<(), String> {
        let (layers, diff_ids) = (self.layers.len(), configuration.rootfs.diff_ids.len());
        if layers != diff_ids {
            return Err(format!("the manifest has {layers} layers, the configuration {diff_ids}"));
        }
        if layers > LAYERS_LIMIT {
            return Err(format!("{layers} layers: there can be {LAYERS_LIMIT}"));
        }
        if configuration.os != "linux" || configuration.architecture != architecture() {
            return Err(format!(
                "the image is for {}/{}, this machine is linux/{}",
                configuration.os,
                configuration.architecture,
                architecture()
            ));
        }
        for layer in &self.layers {
            if Compression::of(&layer.media_type).is_none() {
                return Err(format!("layers of type {:?} are not supported", layer.media_type));
            }
        }
        Ok(())
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
