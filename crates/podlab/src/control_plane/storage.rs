//! The classes of persistent volumes that every cluster has, and which of them is the default.

use k8s_openapi::api::storage::v1::StorageClass;
use podlab_client::{Client, Object, Patch};
use serde::Deserialize;
use serde_json::json;

const MANIFEST: &str = include_str!("storage.yaml");
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Creates what is not there. With `default`, that class is the only one that claims get which name none; without it,
/// this stays as it is.
pub(super) async fn install(client: Client, default: Option<String>) {
    for class in classes() {
        let installed = match class {
            Ok(class) => settle(&client, class, default.as_deref()).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = installed {
            tracing::warn!("a class of volumes is not as it should be: {error:#}");
        }
    }
}

fn classes() -> Vec<Result<StorageClass, serde_yaml::Error>> {
    serde_yaml::Deserializer::from_str(MANIFEST).map(StorageClass::deserialize).collect()
}

async fn settle(client: &Client, mut class: StorageClass, default: Option<&str>) -> anyhow::Result<()> {
    let name = class.name().to_owned();
    let is_default = default.map(|default| (default == name).to_string());
    if let Some(is_default) = is_default.clone().filter(|is_default| is_default == "true") {
        class.metadata.annotations.get_or_insert_default().insert(IS_DEFAULT.to_owned(), is_default);
    }
    match client.create(&class).await {
        Err(error) if error.is_already_exists() => {}
        other => return Ok(other.map(drop)?),
    }
    if let Some(is_default) = is_default {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { IS_DEFAULT: is_default } } }));
        client.patch::<StorageClass>(None, &name, &patch, None).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::STORAGE_CLASSES;

    #[test]
    fn the_classes_are_those_that_can_be_chosen() {
        let names: Vec<String> = classes().into_iter().map(|class| class.unwrap().name().to_owned()).collect();
        assert_eq!(names, STORAGE_CLASSES[..2]);
    }
}
