//! Volumes: from what a Pod names to what the backend mounts.
//!
//! Everything a volume needs is looked up here, so that the backend gets files and paths and knows no ConfigMaps. What
//! cannot be had is an error whose text becomes the `FailedMount` event.

mod files;

use k8s_openapi::api::core::v1::{NFSVolumeSource, PersistentVolume, PersistentVolumeClaim, Pod, Volume as Wanted};
use podlab_client::Client;

use crate::backend::{NodeFacts, Volume, VolumeSource};
use crate::kubelet::resources;

/// What volumes are made from.
pub struct Lookup<'a> {
    pub client: &'a Client,
    pub pod: &'a Pod,
    pub address: &'a str,
    pub node: &'a NodeFacts,
}

/// Why a volume is not to be had; the text follows `MountVolume.SetUp failed for volume "…" : `.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("{kind} references non-existent {what} key: {key}")]
    NoSuchKey { kind: &'static str, what: &'static str, key: String },
    #[error("unsupported field reference \"{0}\"")]
    NoSuchField(String),
    #[error("persistentvolumeclaim \"{0}\" is not bound")]
    NotBound(String),
    #[error(
        "volumes of the kind {0} are not supported here: use emptyDir, hostPath, configMap, secret, downwardAPI, \
         projected, image, nfs or persistentVolumeClaim"
    )]
    Unsupported(&'static str),
    #[error("{0}")]
    Api(#[from] podlab_client::Error),
}

/// What the backend is asked for, for one volume of the Pod. `None`: nothing to prepare.
///
/// # Errors
/// [`VolumeError`] for what is not there or not supported.
pub async fn resolve(lookup: &Lookup<'_>, volume: &Wanted) -> Result<Volume, VolumeError> {
    let security = lookup.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let fs_group = security.and_then(|security| security.fs_group).and_then(|group| u32::try_from(group).ok());
    Ok(Volume { name: volume.name.clone(), source: source(lookup, volume).await?, fs_group })
}

async fn source(lookup: &Lookup<'_>, volume: &Wanted) -> Result<VolumeSource, VolumeError> {
    if let Some(directory) = &volume.empty_dir {
        let limit = directory.size_limit.as_ref().and_then(resources::millis).map(|millis| millis / 1000);
        let memory = directory.medium.as_deref() == Some("Memory");
        return Ok(VolumeSource::EmptyDir { memory, size_limit: limit.filter(|limit| *limit > 0) });
    }
    if let Some(host) = &volume.host_path {
        let kind = host.type_.clone().unwrap_or_default();
        return Ok(VolumeSource::HostPath { path: host.path.clone(), kind });
    }
    if let Some(nfs) = &volume.nfs {
        return Ok(network(nfs));
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        return persistent(lookup, &claim.claim_name, claim.read_only.unwrap_or(false)).await;
    }
    if let Some(files) = files::files(lookup, volume).await? {
        // Secrets and tokens never touch a disk.
        let memory = volume.secret.is_some() || volume.projected.is_some();
        return Ok(VolumeSource::Files { files, memory });
    }
    Err(VolumeError::Unsupported(kind(volume)))
}

fn network(nfs: &NFSVolumeSource) -> VolumeSource {
    VolumeSource::Nfs { server: nfs.server.clone(), path: nfs.path.clone(), read_only: nfs.read_only.unwrap_or(false) }
}

/// The volume behind a claim.
async fn persistent(lookup: &Lookup<'_>, claim: &str, read_only: bool) -> Result<VolumeSource, VolumeError> {
    let namespace = lookup.pod.metadata.namespace.as_deref();
    let not_found = |kind, name: &str, error: podlab_client::Error| {
        if error.is_not_found() { VolumeError::NotFound { kind, name: name.to_owned() } } else { error.into() }
    };
    let found: PersistentVolumeClaim =
        lookup.client.get(namespace, claim).await.map_err(|error| not_found("persistentvolumeclaim", claim, error))?;
    let bound = found.spec.and_then(|spec| spec.volume_name).filter(|name| !name.is_empty());
    let name = bound.ok_or_else(|| VolumeError::NotBound(claim.to_owned()))?;
    let volume: PersistentVolume =
        lookup.client.get(None, &name).await.map_err(|error| not_found("persistentvolume", &name, error))?;
    let spec = volume.spec.unwrap_or_default();
    if let Some(host) = spec.host_path {
        return Ok(VolumeSource::HostPath { path: host.path, kind: host.type_.unwrap_or_default() });
    }
    if let Some(local) = spec.local {
        return Ok(VolumeSource::HostPath { path: local.path, kind: "Directory".to_owned() });
    }
    if let Some(mut nfs) = spec.nfs {
        nfs.read_only = Some(read_only || nfs.read_only.unwrap_or(false));
        return Ok(network(&nfs));
    }
    Err(VolumeError::Unsupported("of this persistentVolume"))
}

/// The field of the volume that says what it is, for the text of the refusal.
fn kind(volume: &Wanted) -> &'static str {
    let kinds: [(&'static str, bool); 12] = [
        ("gitRepo (removed upstream: it ran the repository's hooks on the node)", volume.git_repo.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("csi", volume.csi.is_some()),
        ("fc", volume.fc.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("awsElasticBlockStore", volume.aws_elastic_block_store.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("ephemeral", volume.ephemeral.is_some()),
    ];
    kinds.into_iter().find_map(|(name, present)| present.then_some(name)).unwrap_or("unknown")
}
