//! The objects that a Pod is made from besides itself: looked up first, so that what is made of them is a pure function.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Secret, Service};

/// Objects by name, all of the Pod's namespace. A name that maps to `None` was looked for and does not exist.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub config_maps: BTreeMap<String, Option<ConfigMap>>,
    pub secrets: BTreeMap<String, Option<Secret>>,
    /// Claims, with the volume each is bound to.
    pub claims: BTreeMap<String, Option<(PersistentVolumeClaim, Option<PersistentVolume>)>>,
    /// Tokens by their place in a projected volume: (volume, source).
    pub tokens: BTreeMap<(String, usize), String>,
    /// Image volumes: reference to the id in the store.
    pub images: BTreeMap<String, String>,
    /// The Services of the Pod's namespace, and `kubernetes` of `default`.
    pub services: Vec<Arc<Service>>,
}

impl Sources {
    /// A ConfigMap, if it exists.
    #[must_use]
    pub fn config_map(&self, name: &str) -> Option<&ConfigMap> {
        self.config_maps.get(name)?.as_ref()
    }

    /// A Secret, if it exists.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name)?.as_ref()
    }
}
