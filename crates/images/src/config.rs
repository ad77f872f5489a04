//! What an image says about itself: the parts of the OCI image configuration that running it needs.
//!
//! Upstream: <https://github.com/opencontainers/image-spec/blob/main/config.md>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How to run the image where the Pod does not say. Field names on disk are the specification's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// Empty, a number, a name, or `user:group`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports it says it listens on, as `8080/tcp`: information only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `NAME=value`, in order.
    #[serde(deserialize_with = "null_as_default")]
    pub env: Vec<String>,
    /// What `command` in a Pod replaces.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub entrypoint: Vec<String>,
    /// What `args` in a Pod replaces.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub cmd: Vec<String>,
    /// Directories that want a volume of their own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub volumes: BTreeMap<String, Empty>,
    /// Empty: `/`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// What ends it politely, as `SIGQUIT`. Empty: `SIGTERM`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
}

/// The empty object that the specification writes where Go had a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Docker writes `null` for an empty list or map.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// An image of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// The digest of its configuration, `sha256:…`: the same files run the same way have the same id.
    pub id: String,
    /// The references in full that lead here, as a Pod's status shows them: `docker.io/library/nginx:latest`.
    pub repo_tags: Vec<String>,
    /// `repository@sha256:…` of the manifest, as a Pod's status shows it under `imageID`.
    pub repo_digest: String,
    /// Of all layers together, in bytes.
    pub size: u64,
    /// How to run it.
    pub config: ImageConfig,
    /// For a built-in image: what it stands in for, in a few words.
    pub built_in: Option<&'static str>,
}

/// This machine's architecture in the specification's (that is, Go's) words.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
