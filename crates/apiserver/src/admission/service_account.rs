//! ServiceAccount: every Pod runs as one, and finds its credentials in a projected volume.

use std::time::Duration;

use podlab_api::error::ApiError;
use serde_json::{Value, json};

use super::{Admission, containers_mut};
use crate::http::random_suffix;
use crate::store::{GroupResource, Key};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// A little longer than an hour, so that the kubelet's renewal falls before the hour.
const TOKEN_SECONDS: u32 = 3607;
/// The account of a namespace that was made just now comes a moment later: a Pod waits for it this long.
const PATIENCE: Duration = Duration::from_secs(1);
const ACCOUNTS: GroupResource = GroupResource { group: "", resource: "serviceaccounts" };

/// Says that a Pod is the image of one the kubelet has from a file.
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) async fn pod(admission: &Admission<'_>, pod: &mut Value) -> Result<(), ApiError> {
    if pod["metadata"]["annotations"][MIRROR].is_string() {
        return Ok(());
    }
    if pod["spec"]["serviceAccountName"].as_str().unwrap_or_default().is_empty() {
        pod["spec"]["serviceAccountName"] = "default".into();
    }
    let name = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default().to_owned();
    // The old name of the field says the same.
    pod["spec"]["serviceAccount"] = name.clone().into();
    let Some(account) = find(admission, &name).await else {
        let place = format!("{}/{name}", admission.namespace);
        let message = format!("error looking up service account {place}: serviceaccount {name:?} not found");
        return Err(admission.forbidden(pod, message));
    };
    let wanted = pod["spec"]["automountServiceAccountToken"].as_bool();
    if wanted.or(account["automountServiceAccountToken"].as_bool()).unwrap_or(true) {
        mount(pod);
    }
    if pod["spec"]["imagePullSecrets"].as_array().is_none_or(Vec::is_empty)
        && account["imagePullSecrets"].as_array().is_some_and(|secrets| !secrets.is_empty())
    {
        pod["spec"]["imagePullSecrets"] = account["imagePullSecrets"].clone();
    }
    Ok(())
}

async fn find(admission: &Admission<'_>, name: &str) -> Option<Value> {
    let store = admission.server.store();
    let key = Key::new(ACCOUNTS, admission.namespace, name);
    let mut watch = store.watch(ACCOUNTS, store.revision()).ok()?;
    let patience = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(account) = store.get(&key) {
            return Some(account.value());
        }
        // Only the account that every namespace gets is worth waiting for.
        if name != "default" || !matches!(tokio::time::timeout_at(patience, watch.next()).await, Ok(Ok(_))) {
            return None;
        }
    }
}

/// Adds the volume, and its mount to every container that does not have one there already.
fn mount(pod: &mut Value) {
    let has_volume = |volume: &&Value| volume["name"].as_str().is_some_and(|name| name.starts_with(VOLUME_PREFIX));
    let known = pod["spec"]["volumes"].as_array().and_then(|volumes| volumes.iter().find(has_volume));
    let known = known.and_then(|volume| volume["name"].as_str()).map(str::to_owned);
    let name = known.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", random_suffix(5)));
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in containers_mut(pod, list) {
            let mounts = &mut container["volumeMounts"];
            if !mounts.is_array() {
                *mounts = json!([]);
            }
            let Some(mounts) = mounts.as_array_mut() else { continue };
            if mounts.iter().all(|mount| mount["mountPath"] != MOUNT_PATH) {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
                mounted = true;
            }
        }
    }
    if !mounted || known.is_some() {
        return;
    }
    if !pod["spec"]["volumes"].is_array() {
        pod["spec"]["volumes"] = json!([]);
    }
    if let Some(volumes) = pod["spec"]["volumes"].as_array_mut() {
        volumes.push(volume(&name));
    }
}

/// Token, certificate of the cluster, namespace.
fn volume(name: &str) -> Value {
    json!({
        "name": name,
        "projected": {
            "defaultMode": 420,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                ]}},
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_container_sees_the_credentials_once() {
        let own = json!({"name": "own", "mountPath": MOUNT_PATH});
        let mut pod = json!({"spec": {
            "containers": [{"name": "a"}, {"name": "b", "volumeMounts": [own]}],
            "initContainers": [{"name": "c"}],
        }});
        mount(&mut pod);
        let name = pod["spec"]["volumes"][0]["name"].as_str().unwrap().to_owned();
        assert!(name.starts_with(VOLUME_PREFIX) && name.len() == VOLUME_PREFIX.len() + 5);
        assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["name"], *name);
        assert_eq!(pod["spec"]["containers"][1]["volumeMounts"].as_array().unwrap().len(), 1);
        assert_eq!(pod["spec"]["initContainers"][0]["volumeMounts"][0]["readOnly"], true);
        let once = pod.clone();
        mount(&mut pod);
        assert_eq!(pod, once);
    }
}
