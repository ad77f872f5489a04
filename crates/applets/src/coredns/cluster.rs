//! The cluster's Services and who is behind them, kept in view by watching the API server.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, ListOptions, kubeconfig};

use super::zone::Directory;

/// Where a Pod has the files of its service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Which Service a slice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// A view of the cluster.
pub(super) struct Cluster {
    services: Cache<Service>,
    slices: Cache<EndpointSlice>,
}

impl Cluster {
    /// Begins to watch the cluster that this Pod is in.
    pub(super) fn connect() -> Result<Cluster, String> {
        let variable = |name: &str| std::env::var(name).map_err(|_| format!("plugin/kubernetes: {name} is not set"));
        let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        let endpoint = kubeconfig::in_cluster(Path::new(ACCOUNT), &format!("https://{host}:{port}"))
            .map_err(|error| format!("plugin/kubernetes: {error}"))?;
        let client = Client::from_endpoint(endpoint).map_err(|error| format!("plugin/kubernetes: {error}"))?;
        let client = client.user_agent("coredns");
        let services = Cache::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
        let slices = Cache::spawn(client, None, ListOptions::default(), Sleeper::wall());
        Ok(Cluster { services, slices })
    }

    /// Returns when the view is whole.
    pub(super) async fn synced(&self) {
        tokio::join!(self.services.synced(), self.slices.synced());
    }

    pub(super) fn is_synced(&self) -> bool {
        self.services.is_synced() && self.slices.is_synced()
    }
}

impl Directory for Cluster {
    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        self.services.get(namespace, name)
    }

    fn services(&self) -> Vec<Arc<Service>> {
        self.services.all()
    }

    fn slices(&self, namespace: &str, service: &str) -> Vec<Arc<EndpointSlice>> {
        let mut slices = self.slices.in_namespace(namespace);
        slices.retain(|slice| {
            slice.metadata.labels.iter().flatten().any(|(key, name)| key == SERVICE_NAME && name == service)
        });
        slices
    }
}
