//! Pulling images from registries, by the OCI distribution protocol.
//!
//! Upstream: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>. A pull is: ask for the manifest of
//! a tag (it may be an index of platforms: then for ours), then for the blobs it names. Nothing is believed that has no
//! digest, and everything with a digest is checked against it while it arrives.

mod challenge;
mod connection;
pub mod door;
mod hosts;

use futures_util::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use self::connection::{Connection, PATIENCE};
pub use self::hosts::Registries;
use crate::config::ImageRecord;
use crate::digest::Digest;
use crate::error::ImageError;
use crate::garbage::Adding;
use crate::layout::Blob;
use crate::manifest::{
    DOCKER_LIST, DOCKER_MANIFEST, DOCUMENT_LIMIT, Descriptor, Index, Manifest, OCI_INDEX, OCI_MANIFEST, parse,
};
use crate::reference::Reference;
use crate::store::Store;
use crate::stored;

/// Layers fetched at the same time.
const PARALLEL: usize = 3;
/// How often one blob is tried.
const ATTEMPTS: usize = 3;

/// Who asks, where a registry wants to know.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What the `auth` of a login file says: `user:password`, in base64. `None` when it is nothing of the kind.
pub fn decode_basic(encoded: &str) -> Option<String> {
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded.trim()).ok()?;
    String::from_utf8(bytes).ok()
}

/// How far a pull is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The manifest is here: so many layers, of so many bytes together, are still to come.
    Resolved { layers: usize, bytes: u64 },
    /// More of the layers' bytes have arrived.
    Received { bytes: u64 },
    /// All is here; the layers are unpacked now.
    Unpacking,
}

/// Why an image was not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry has no such image.
    #[error("{0}: not found")]
    NotFound(String),
    /// The registry has it for others.
    #[error("pull access denied, repository does not exist or may require authorization: {problem}")]
    Denied { problem: String },
    /// A registry could not be asked, or answered nonsense.
    #[error("failed to do request: {problem}")]
    Failed { endpoint: String, problem: String },
    /// What arrived is not an image for this machine, or cannot be stored.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl PullError {
    /// As the kubelet's event shows it, in containerd's words.
    pub fn status(&self, reference: &Reference) -> String {
        let resolve = |code: &str| {
            format!(
                "rpc error: code = {code} desc = failed to pull and unpack image \"{reference}\": \
                 failed to resolve reference \"{reference}\": {self}"
            )
        };
        match self {
            PullError::NotFound(_) => resolve("NotFound"),
            PullError::Denied { .. } | PullError::Failed { .. } => resolve("Unknown"),
            PullError::Image(_) => {
                format!("rpc error: code = Unknown desc = failed to pull and unpack image \"{reference}\": {self}")
            }
        }
    }
}

impl Store {
    /// Brings an image from its registry (or a mirror of it) into the store, even when there is one of that name.
    ///
    /// # Errors
    /// The last registry's, when none had the image. The store is then as it was, but for blobs that a later pull needs
    /// not fetch again.
    pub async fn pull(
        &self,
        reference: &Reference,
        registries: &Registries,
        credentials: Option<Credentials>,
        progress: impl Fn(Progress) + Sync,
    ) -> Result<ImageRecord, PullError> {
        let _adding = Adding::to(self.layout())?;
        let mut problem = PullError::NotFound(reference.to_string());
        for endpoint in registries.endpoints(reference.domain()) {
            let connection = Connection::new(endpoint, credentials.clone())?;
            let pull = Pull { store: self, reference, connection, progress: &progress };
            match pull.run().await {
                Ok(record) => return Ok(record),
                // What one registry has and is bad, another may have and be good; but say what was bad.
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }
}

struct Pull<'a, P> {
    store: &'a Store,
    reference: &'a Reference,
    connection: Connection,
    progress: &'a P,
}

impl<P: Fn(Progress) + Sync> Pull<'_, P> {
    async fn run(&self) -> Result<ImageRecord, PullError> {
        let name = match (self.reference.digest(), self.reference.tag()) {
            (Some(digest), _) => digest.to_owned(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let (mut media_type, mut bytes) = self.manifest(&name).await?;
        if let Ok(index) = parse::<Index>(&bytes) {
            let chosen = index.for_this_machine().ok_or_else(|| {
                PullError::NotFound(format!("no match for this machine's platform in manifest: {}", self.reference))
            })?;
            (media_type, bytes) = self.manifest(&chosen.digest.to_string()).await?;
        }
        let manifest: Manifest = parse(&bytes).map_err(|problem| self.nonsense(&name, &problem))?;

        let layout = self.store.layout();
        let wanted: Vec<&Descriptor> = manifest.layers.iter().filter(|layer| !layout.has_blob(&layer.digest)).collect();
        let total = wanted.iter().map(|layer| layer.size).sum();
        (self.progress)(Progress::Resolved { layers: wanted.len(), bytes: total });
        let mut blobs: Vec<Blob> = stream::iter([&manifest.config].into_iter().chain(wanted))
            .map(|descriptor| self.blob(descriptor))
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        // An image may have the same layer twice.
        let mut seen = std::collections::BTreeSet::new();
        blobs.retain(|blob| seen.insert(blob.digest));

        (self.progress)(Progress::Unpacking);
        let media_type = if media_type == DOCKER_MANIFEST { DOCKER_MANIFEST } else { OCI_MANIFEST };
        let (store, reference) = (self.store.clone(), self.reference.clone());
        let unpacked = tokio::task::spawn_blocking(move || {
            let manifest = store.layout().write_blob(bytes.as_slice())?;
            let stored = stored::add(store.layout(), std::slice::from_ref(&reference), manifest, media_type, blobs)?;
            stored.record(store.layout(), Some(&reference))
        });
        match unpacked.await {
            Ok(record) => Ok(record?),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn nonsense(&self, what: &str, problem: &str) -> PullError {
        ImageError::Archive(format!("{} of {}: {problem}", what, self.reference)).into()
    }

    /// A manifest or index by tag or digest: its media type and its bytes.
    async fn manifest(&self, name: &str) -> Result<(String, Vec<u8>), PullError> {
        let path = format!("/v2/{}/manifests/{name}", self.reference.path());
        let accept = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(", ");
        let response = self.connection.get(&path, &accept).await?;
        self.check(response.status(), &path)?;
        let media_type = response.headers().get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_owned();
        let limit = usize::try_from(DOCUMENT_LIMIT).unwrap_or(usize::MAX);
        let body = timeout(PATIENCE, Limited::new(response.into_body(), limit).collect()).await;
        let body = body.map_err(|_| self.connection.failed(&path, "it stopped answering"))?;
        let bytes = body.map_err(|error| self.connection.failed(&path, error))?.to_bytes().to_vec();
        match name.parse::<Digest>() {
            Ok(digest) if digest != Digest::of(&bytes) => {
                Err(self.nonsense(name, "its content does not have its digest"))
            }
            _ => Ok((media_type, bytes)),
        }
    }

    fn check(&self, status: StatusCode, path: &str) -> Result<(), PullError> {
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err(PullError::NotFound(self.reference.to_string())),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let problem = format!("server message: {status}");
                Err(PullError::Denied { problem })
            }
            status => Err(self.connection.failed(path, format!("unexpected status {status}"))),
        }
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<Blob, PullError> {
        let mut attempt = 1;
        loop {
            match self.try_blob(descriptor).await {
                // A connection that broke is worth another try; an answer is an answer.
                Err(PullError::Failed { .. }) if attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
    }

    async fn try_blob(&self, descriptor: &Descriptor) -> Result<Blob, PullError> {
        let path = format!("/v2/{}/blobs/{}", self.reference.path(), descriptor.digest);
        let response = self.connection.get(&path, "*/*").await?;
        self.check(response.status(), &path)?;
        let mut body = response.into_body();
        let mut writer = self.store.layout().blob_writer()?;
        loop {
            let frame = timeout(PATIENCE, body.frame()).await;
            let frame = frame.map_err(|_| self.connection.failed(&path, "it stopped sending"))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| self.connection.failed(&path, error))?;
            let Some(piece) = frame.data_ref() else { continue };
            if writer.size() + piece.len() as u64 > descriptor.size {
                return Err(self.nonsense(&descriptor.digest.to_string(), "it is larger than its manifest says"));
            }
            writer.write(piece)?;
            (self.progress)(Progress::Received { bytes: piece.len() as u64 });
        }
        let blob = writer.finish();
        if blob.size < descriptor.size {
            return Err(self.connection.failed(&path, "it ended early"));
        }
        if blob.digest != descriptor.digest {
            return Err(self.nonsense(&descriptor.digest.to_string(), "its content does not have its digest"));
        }
        Ok(blob)
    }
}
