//! Volumes that are files made from objects: ConfigMaps, Secrets, the downward API, tokens, and several of them in one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, Volume, VolumeProjection};

use crate::backend::ProjectedFile;
use crate::kubelet::fields::{self, Around};
use crate::kubelet::sources::Sources;

/// The mode of a file that says nothing about it.
const DEFAULT_MODE: u32 = 0o644;

type Files = BTreeMap<String, ProjectedFile>;

/// The files of a volume; `None` when it is of another kind.
pub(super) fn files(pod: &Pod, volume: &Volume, sources: &Sources, around: &Around) -> Option<Result<Files, String>> {
    if let Some(source) = &volume.config_map {
        let mode = mode(source.default_mode, DEFAULT_MODE);
        let (items, optional) = (source.items.as_deref(), source.optional == Some(true));
        return Some(config_map(&source.name, sources, items, mode, optional));
    }
    if let Some(source) = &volume.secret {
        let mode = mode(source.default_mode, DEFAULT_MODE);
        let (items, optional) = (source.items.as_deref(), source.optional == Some(true));
        return Some(secret(source.secret_name.as_deref().unwrap_or_default(), sources, items, mode, optional));
    }
    if let Some(source) = &volume.downward_api {
        let mode = mode(source.default_mode, DEFAULT_MODE);
        return Some(downward(pod, source.items.as_deref().unwrap_or_default(), mode, around));
    }
    let projected = volume.projected.as_ref()?;
    let mode = mode(projected.default_mode, DEFAULT_MODE);
    let mut all = Files::new();
    for (place, source) in projected.sources.iter().flatten().enumerate() {
        match projection(pod, volume, place, source, sources, mode, around) {
            Ok(files) => all.extend(files),
            Err(error) => return Some(Err(error)),
        }
    }
    Some(Ok(all))
}

fn projection(
    pod: &Pod,
    volume: &Volume,
    place: usize,
    source: &VolumeProjection,
    sources: &Sources,
    mode: u32,
    around: &Around,
) -> Result<Files, String> {
    if let Some(source) = &source.config_map {
        return config_map(&source.name, sources, source.items.as_deref(), mode, source.optional == Some(true));
    }
    if let Some(source) = &source.secret {
        return secret(&source.name, sources, source.items.as_deref(), mode, source.optional == Some(true));
    }
    if let Some(source) = &source.downward_api {
        return downward(pod, source.items.as_deref().unwrap_or_default(), mode, around);
    }
    let Some(token) = &source.service_account_token else { return Ok(Files::new()) };
    let text = sources.tokens.get(&(volume.name.clone(), place)).ok_or("the token was not asked for")?;
    // Readable by whom the container runs as: by all when it says nothing, by its group when the Pod has one.
    let has_group = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref()?.fs_group).is_some();
    let mode = if has_group { 0o600 } else { mode };
    Ok(Files::from([(token.path.clone(), ProjectedFile { content: text.clone().into_bytes(), mode })]))
}

fn config_map(
    name: &str,
    sources: &Sources,
    items: Option<&[KeyToPath]>,
    mode: u32,
    optional: bool,
) -> Result<Files, String> {
    let Some(map) = sources.config_map(name) else {
        return if optional { Ok(Files::new()) } else { Err(format!("configmap \"{name}\" not found")) };
    };
    let ConfigMap { data, binary_data, .. } = map;
    let text = data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_bytes()));
    let binary = binary_data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
    select(&text.chain(binary).collect(), items, mode, optional)
        .map_err(|key| format!("configmap references non-existent config key: {key}"))
}

fn secret(
    name: &str,
    sources: &Sources,
    items: Option<&[KeyToPath]>,
    mode: u32,
    optional: bool,
) -> Result<Files, String> {
    let Some(secret) = sources.secret(name) else {
        return if optional { Ok(Files::new()) } else { Err(format!("secret \"{name}\" not found")) };
    };
    let Secret { data, .. } = secret;
    let data = data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice())).collect();
    select(&data, items, mode, optional).map_err(|key| format!("references non-existent secret key: {key}"))
}

/// Each key a file, or those that `items` name, under their paths. The error is the key that does not exist.
fn select(
    data: &BTreeMap<&str, &[u8]>,
    items: Option<&[KeyToPath]>,
    mode: u32,
    optional: bool,
) -> Result<Files, String> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        let file = |content: &[u8]| ProjectedFile { content: content.to_vec(), mode };
        return Ok(data.iter().map(|(key, content)| ((*key).to_owned(), file(content))).collect());
    };
    let mut files = Files::new();
    for item in items {
        match data.get(item.key.as_str()) {
            Some(content) => {
                let file = ProjectedFile { content: content.to_vec(), mode: self::mode(item.mode, mode) };
                files.insert(item.path.clone(), file);
            }
            None if optional => {}
            None => return Err(item.key.clone()),
        }
    }
    Ok(files)
}

fn downward(pod: &Pod, items: &[DownwardAPIVolumeFile], mode: u32, around: &Around) -> Result<Files, String> {
    let mut files = Files::new();
    for item in items {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(selector), _) => fields::field(pod, &selector.field_path, around)
                .ok_or_else(|| format!("unsupported fieldPath: {}", selector.field_path))?,
            (None, Some(selector)) => fields::resource(pod, "", selector, around)
                .ok_or_else(|| format!("unsupported container resource: {}", selector.resource))?,
            (None, None) => String::new(),
        };
        let file = ProjectedFile { content: text.into_bytes(), mode: self::mode(item.mode, mode) };
        files.insert(item.path.clone(), file);
    }
    Ok(files)
}

fn mode(mode: Option<i32>, default: u32) -> u32 {
    mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(default)
}
