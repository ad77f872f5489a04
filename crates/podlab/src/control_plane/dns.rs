//! The cluster's DNS: a Deployment in kube-system, set up once. What a reader changes of it stays changed; what is deleted
//! comes back with the next start.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use podlab_client::{Client, Object};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Its objects, in the order in which they are needed.
const MANIFEST: &str = include_str!("dns.yaml");

/// Creates what is not there.
pub(super) async fn install(client: Client) {
    for object in objects() {
        let installed = match object {
            Ok(object) => create(&client, object).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = installed {
            tracing::warn!("the cluster's DNS is not whole: {error:#}");
        }
    }
}

fn objects() -> Vec<Result<serde_yaml::Value, serde_yaml::Error>> {
    serde_yaml::Deserializer::from_str(MANIFEST).map(serde_yaml::Value::deserialize).collect()
}

async fn create(client: &Client, object: serde_yaml::Value) -> anyhow::Result<()> {
    let kind = object.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned();
    match kind.as_str() {
        "ServiceAccount" => make::<ServiceAccount>(client, object).await,
        "ConfigMap" => make::<ConfigMap>(client, object).await,
        "Service" => make::<Service>(client, object).await,
        "Deployment" => make::<Deployment>(client, object).await,
        other => anyhow::bail!("its manifest has a {other}"),
    }
}

async fn make<K: Object + DeserializeOwned>(client: &Client, object: serde_yaml::Value) -> anyhow::Result<()> {
    let object: K = serde_yaml::from_value(object)?;
    match client.create(&object).await {
        Err(error) if !error.is_already_exists() => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_what_its_objects_say() {
        let objects = objects().into_iter().map(Result::unwrap);
        let kinds: Vec<String> = objects.map(|object| object["kind"].as_str().unwrap().to_owned()).collect();
        assert_eq!(kinds, ["ServiceAccount", "ConfigMap", "Service", "Deployment"]);
    }
}
