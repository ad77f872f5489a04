//! From a Pod's volumes to what the backend makes: pure, with everything that is referred to already looked up.

mod files;

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, Volume};
use podlab_api::quantity::Quantity;
use serde::Serialize;

use crate::backend::{self, VolumeSource};
use crate::kubelet::fields::Around;
use crate::kubelet::sources::Sources;

/// What looking up a volume's sources has to find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    pub config_maps: Vec<String>,
    pub secrets: Vec<String>,
    pub claims: Vec<String>,
    pub images: Vec<String>,
    /// Tokens: the source's place in the projected volume, its audience, and for how many seconds.
    pub tokens: Vec<(usize, Option<String>, i64)>,
}

/// What a volume refers to.
#[must_use]
pub fn references(volume: &Volume) -> References {
    let mut references = References::default();
    if let Some(source) = &volume.config_map {
        references.config_maps.push(source.name.clone());
    }
    if let Some(source) = &volume.secret {
        references.secrets.extend(source.secret_name.clone());
    }
    if let Some(source) = &volume.persistent_volume_claim {
        references.claims.push(source.claim_name.clone());
    }
    if let Some(source) = &volume.image {
        references.images.extend(source.reference.clone());
    }
    let projections = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    for (place, source) in projections.enumerate() {
        references.config_maps.extend(source.config_map.as_ref().map(|source| source.name.clone()));
        references.secrets.extend(source.secret.as_ref().map(|source| source.name.clone()));
        if let Some(token) = &source.service_account_token {
            references.tokens.push((place, token.audience.clone(), token.expiration_seconds.unwrap_or(3600)));
        }
    }
    references
}

/// What the backend is to make. The error is what a `FailedMount` event says after the volume's name.
///
/// # Errors
/// An object that is missing, and kinds of volumes that this node does not know.
pub fn resolve(pod: &Pod, volume: &Volume, sources: &Sources, around: &Around) -> Result<backend::Volume, String> {
    let fs_group = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.security_context.as_ref()?.fs_group)
        .and_then(|group| u32::try_from(group).ok());
    let source = source(pod, volume, sources, around)?;
    Ok(backend::Volume { name: volume.name.clone(), source, fs_group })
}

fn source(pod: &Pod, volume: &Volume, sources: &Sources, around: &Around) -> Result<VolumeSource, String> {
    if let Some(empty) = &volume.empty_dir {
        let limit = empty.size_limit.as_ref().and_then(|limit| Quantity::parse(&limit.0).ok());
        let size_limit = limit.and_then(|limit| u64::try_from(limit.value()).ok()).filter(|limit| *limit > 0);
        return Ok(VolumeSource::EmptyDir { memory: empty.medium.as_deref() == Some("Memory"), size_limit });
    }
    if let Some(host) = &volume.host_path {
        let kind = host.type_.clone().unwrap_or_default();
        return Ok(VolumeSource::HostPath { path: host.path.clone(), kind, read_only: false });
    }
    if let Some(nfs) = &volume.nfs {
        let (server, path) = (nfs.server.clone(), nfs.path.clone());
        return Ok(VolumeSource::Nfs { server, path, read_only: nfs.read_only.unwrap_or(false) });
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        return of_claim(claim, sources);
    }
    if let Some(image) = &volume.image {
        let reference = image.reference.as_deref().unwrap_or_default();
        return match sources.images.get(reference) {
            Some(id) => Ok(VolumeSource::Image { image_id: id.clone() }),
            None => Err(format!("image \"{reference}\" not found")),
        };
    }
    match files::files(pod, volume, sources, around) {
        Some(files) => {
            // Secrets and tokens never touch a disk.
            let memory = volume.secret.is_some() || volume.projected.is_some();
            Ok(VolumeSource::Files { files: files?, memory })
        }
        None if is_empty(volume) => Ok(VolumeSource::EmptyDir { memory: false, size_limit: None }),
        None => Err(unsupported(&kind(volume, &["name"]))),
    }
}

/// A volume without a source is an emptyDir (the API fills it in; this is for Pods that did not come through it).
fn is_empty(volume: &Volume) -> bool {
    *volume == Volume { name: volume.name.clone(), ..Volume::default() }
}

/// The volume that a claim is bound to: a directory of the node, or of a file server.
fn of_claim(source: &PersistentVolumeClaimVolumeSource, sources: &Sources) -> Result<VolumeSource, String> {
    let (name, read_only) = (&source.claim_name, source.read_only.unwrap_or(false));
    let Some(Some((claim, volume))) = sources.claims.get(name) else {
        return Err(format!("persistentvolumeclaim \"{name}\" not found"));
    };
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let spec = volume.as_ref().and_then(|volume| volume.spec.as_ref());
    let Some(spec) = spec.filter(|_| phase == Some("Bound")) else {
        return Err(format!("PVC is not bound: persistentvolumeclaim \"{name}\""));
    };
    if let Some(host) = &spec.host_path {
        let kind = host.type_.clone().unwrap_or_default();
        return Ok(VolumeSource::HostPath { path: host.path.clone(), kind, read_only });
    }
    if let Some(nfs) = &spec.nfs {
        let (server, path) = (nfs.server.clone(), nfs.path.clone());
        return Ok(VolumeSource::Nfs { server, path, read_only: read_only || nfs.read_only.unwrap_or(false) });
    }
    if let Some(local) = &spec.local {
        return Ok(VolumeSource::HostPath { path: local.path.clone(), kind: "Directory".to_owned(), read_only });
    }
    Err(unsupported(&kind(spec, &OF_EVERY_VOLUME)))
}

fn unsupported(kind: &str) -> String {
    format!(
        "volumes of the kind {kind} are not supported here: use emptyDir, hostPath, configMap, secret, downwardAPI, \
         projected, image, nfs or persistentVolumeClaim"
    )
}

/// The field that says what a volume is, for the text of the refusal: the one that is none of `others`.
fn kind(volume: &impl Serialize, others: &[&str]) -> String {
    let fields = serde_json::to_value(volume).unwrap_or_default();
    let source = fields.as_object().and_then(|fields| fields.keys().find(|field| !others.contains(&field.as_str())));
    match source.map(String::as_str) {
        Some("gitRepo") => "gitRepo (removed upstream: it ran the repository's hooks on the node)".to_owned(),
        source => source.unwrap_or("unknown").to_owned(),
    }
}

/// The fields of a PersistentVolumeSpec that are not where the data lies.
const OF_EVERY_VOLUME: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The one whose source ran on the node (CVE-2024-10220, CVE-2025-1767), and others that are not there.
    #[test]
    fn volumes_of_unknown_kinds_are_refused_by_name() {
        for (kind, source) in [
            ("gitRepo", json!({"gitRepo": {"repository": "https://example.com/x"}})),
            ("csi", json!({"csi": {"driver": "x"}})),
            ("cinder", json!({"cinder": {"volumeID": "x"}})),
        ] {
            let mut volume = json!({"name": "v"});
            volume.as_object_mut().unwrap().extend(source.as_object().cloned().unwrap());
            let volume: Volume = serde_json::from_value(volume).unwrap();
            let refused = resolve(&Pod::default(), &volume, &Sources::default(), &Around::default()).unwrap_err();
            assert!(refused.starts_with(&format!("volumes of the kind {kind}")), "{refused}");
        }
    }

    #[test]
    fn a_claims_volume_is_refused_by_its_kind() {
        let sources = Sources {
            claims: [(
                "data".to_owned(),
                Some((
                    serde_json::from_value(json!({"status": {"phase": "Bound"}})).unwrap(),
                    serde_json::from_value(json!({"spec": {
                        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
                        "volumeMode": "Filesystem", "persistentVolumeReclaimPolicy": "Retain",
                        "claimRef": {"name": "data"}, "nodeAffinity": {}, "mountOptions": ["ro"],
                        "iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:x", "lun": 0},
                    }}))
                    .unwrap(),
                )),
            )]
            .into(),
            ..Sources::default()
        };
        let volume: Volume =
            serde_json::from_value(json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}})).unwrap();
        let refused = resolve(&Pod::default(), &volume, &sources, &Around::default()).unwrap_err();
        assert!(refused.starts_with("volumes of the kind iscsi are not supported here"), "{refused}");
    }
}
