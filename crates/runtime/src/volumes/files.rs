//! The files of configMap, secret, downwardAPI and projected volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, Secret, ServiceAccount, ServiceAccountTokenProjection,
    Volume as Wanted,
};

use super::{Lookup, VolumeError};
use crate::backend::ProjectedFile;
use crate::kubelet::fields;

type Files = BTreeMap<String, ProjectedFile>;
type Data = BTreeMap<String, Vec<u8>>;

/// What a file may be read by when nobody says otherwise.
const DEFAULT_MODE: i32 = 0o644;

/// The files of a volume; `None` for a volume that is not made of files.
pub(super) async fn files(lookup: &Lookup<'_>, volume: &Wanted) -> Result<Option<Files>, VolumeError> {
    let mut files = Files::new();
    if let Some(source) = &volume.config_map {
        let optional = source.optional.unwrap_or(false);
        let data = config_map(lookup, &source.name, optional).await?;
        place(&mut files, data, source.items.as_deref(), source.default_mode, ("configmap", "config"), optional)?;
    } else if let Some(source) = &volume.secret {
        let optional = source.optional.unwrap_or(false);
        let data = secret(lookup, source.secret_name.as_deref().unwrap_or_default(), optional).await?;
        place(&mut files, data, source.items.as_deref(), source.default_mode, ("secret", "secret"), optional)?;
    } else if let Some(source) = &volume.downward_api {
        downward(lookup, &mut files, source.items.as_deref(), source.default_mode)?;
    } else if let Some(projected) = &volume.projected {
        let mode = projected.default_mode;
        for source in projected.sources.iter().flatten() {
            if let Some(source) = &source.config_map {
                let optional = source.optional.unwrap_or(false);
                let data = config_map(lookup, &source.name, optional).await?;
                place(&mut files, data, source.items.as_deref(), mode, ("configmap", "config"), optional)?;
            }
            if let Some(source) = &source.secret {
                let optional = source.optional.unwrap_or(false);
                let data = secret(lookup, &source.name, optional).await?;
                place(&mut files, data, source.items.as_deref(), mode, ("secret", "secret"), optional)?;
            }
            if let Some(source) = &source.downward_api {
                downward(lookup, &mut files, source.items.as_deref(), mode)?;
            }
            if let Some(source) = &source.service_account_token {
                let content = token(lookup, source).await?;
                files.insert(source.path.clone(), file(content, None, mode));
            }
        }
    } else {
        return Ok(None);
    }
    Ok(Some(files))
}

fn file(content: Vec<u8>, mode: Option<i32>, default: Option<i32>) -> ProjectedFile {
    let mode = mode.or(default).unwrap_or(DEFAULT_MODE);
    ProjectedFile { content, mode: u32::try_from(mode).unwrap_or(0o644) & 0o777 }
}

/// Puts keys under their paths: those that are listed, or all under their own names.
fn place(
    files: &mut Files,
    mut data: Data,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
    (kind, what): (&'static str, &'static str),
    optional: bool,
) -> Result<(), VolumeError> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        files.extend(data.into_iter().map(|(key, content)| (key, file(content, None, mode))));
        return Ok(());
    };
    for item in items {
        match data.remove(&item.key) {
            Some(content) => {
                files.insert(item.path.clone(), file(content, item.mode, mode));
            }
            None if optional => {}
            None => return Err(VolumeError::NoSuchKey { kind, what, key: item.key.clone() }),
        }
    }
    Ok(())
}

async fn config_map(lookup: &Lookup<'_>, name: &str, optional: bool) -> Result<Data, VolumeError> {
    let found: Result<ConfigMap, _> = lookup.client.get(lookup.pod.metadata.namespace.as_deref(), name).await;
    let Some(map) = present(found, "configmap", name, optional)? else { return Ok(Data::new()) };
    let mut data: Data = map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect();
    data.extend(map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes())));
    Ok(data)
}

async fn secret(lookup: &Lookup<'_>, name: &str, optional: bool) -> Result<Data, VolumeError> {
    let found: Result<Secret, _> = lookup.client.get(lookup.pod.metadata.namespace.as_deref(), name).await;
    let Some(secret) = present(found, "secret", name, optional)? else { return Ok(Data::new()) };
    Ok(secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect())
}

fn present<K>(
    found: Result<K, podlab_client::Error>,
    kind: &'static str,
    name: &str,
    optional: bool,
) -> Result<Option<K>, VolumeError> {
    match found {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_not_found() && optional => Ok(None),
        Err(error) if error.is_not_found() => Err(VolumeError::NotFound { kind, name: name.to_owned() }),
        Err(error) => Err(error.into()),
    }
}

fn downward(
    lookup: &Lookup<'_>,
    files: &mut Files,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: Option<i32>,
) -> Result<(), VolumeError> {
    for item in items.into_iter().flatten() {
        let value = if let Some(field) = &item.field_ref {
            fields::field(lookup.pod, &field.field_path, lookup.address, lookup.node)
                .ok_or_else(|| VolumeError::NoSuchField(field.field_path.clone()))?
        } else if let Some(selector) = &item.resource_field_ref {
            fields::resource(lookup.pod, &Container::default(), selector, lookup.node)
                .ok_or_else(|| VolumeError::NoSuchField(selector.resource.clone()))?
        } else {
            continue;
        };
        files.insert(item.path.clone(), file(value.into_bytes(), item.mode, mode));
    }
    Ok(())
}

/// A token of the Pod's service account, bound to the Pod.
async fn token(lookup: &Lookup<'_>, source: &ServiceAccountTokenProjection) -> Result<Vec<u8>, VolumeError> {
    let pod = lookup.pod;
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: source.audience.iter().cloned().collect(),
            expiration_seconds: source.expiration_seconds,
            bound_object_ref: Some(k8s_openapi::api::authentication::v1::BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
        },
        ..TokenRequest::default()
    };
    let namespace = pod.metadata.namespace.as_deref();
    let answer: TokenRequest =
        lookup.client.create_subresource::<ServiceAccount, _, _>(namespace, account, "token", &request).await?;
    Ok(answer.status.map(|status| status.token).unwrap_or_default().into_bytes())
}
