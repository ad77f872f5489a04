//! Every namespace has the service account `default`, in whose name its Pods run, and the ConfigMap `kube-root-ca.crt`, by
//! which they know the API server.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use podlab_client::Object;
use podlab_client::cache::{Change, Key};
use podlab_client::{Cache, ListOptions};

use crate::context::Context;
use crate::queue::WorkQueue;
use crate::worker::{Again, feed, itself, settled, work};

const ACCOUNT: &str = "default";
const CONFIG_MAP: &str = "kube-root-ca.crt";
const CERTIFICATE: &str = "ca.crt";
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes \
     clusters.",
);

/// What a namespace lacks.
#[derive(Debug, Default, PartialEq)]
pub struct Missing {
    pub account: Option<ServiceAccount>,
    pub config_map: Option<ConfigMap>,
    /// The ConfigMap is there, but somebody changed it.
    pub restore: bool,
}

/// Decides what a namespace lacks. One that is being deleted gets nothing new.
#[must_use]
pub fn missing(
    namespace: &Namespace,
    account: Option<&ServiceAccount>,
    config_map: Option<&ConfigMap>,
    certificate: &str,
) -> Missing {
    if namespace.metadata.deletion_timestamp.is_some() {
        return Missing::default();
    }
    let metadata = |name: &str, annotations: Option<BTreeMap<String, String>>| ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.name().to_owned()),
        annotations,
        ..ObjectMeta::default()
    };
    let wanted = ConfigMap {
        metadata: metadata(CONFIG_MAP, Some(BTreeMap::from([(DESCRIPTION.0.to_owned(), DESCRIPTION.1.to_owned())]))),
        data: Some(BTreeMap::from([(CERTIFICATE.to_owned(), certificate.to_owned())])),
        ..ConfigMap::default()
    };
    let intact = config_map.is_some_and(|found| found.data == wanted.data);
    Missing {
        account: account
            .is_none()
            .then(|| ServiceAccount { metadata: metadata(ACCOUNT, None), ..ServiceAccount::default() }),
        config_map: (!intact).then_some(wanted),
        restore: config_map.is_some() && !intact,
    }
}

/// Runs the controller.
pub async fn run(context: Context, certificate: String) {
    let queue = WorkQueue::default();
    let namespaces = context.cache::<Namespace>();
    // Only the objects of these names, not all ConfigMaps of the cluster.
    let named = |name: &str| ListOptions::default().fields(format!("metadata.name={name}"));
    let (client, sleeper) = (&context.client, podlab_client::sleeper::Sleeper::wall());
    let accounts = Cache::<ServiceAccount>::spawn(client.clone(), None, named(ACCOUNT), sleeper.clone());
    let config_maps = Cache::<ConfigMap>::spawn(client.clone(), None, named(CONFIG_MAP), sleeper);
    tokio::join!(namespaces.synced(), accounts.synced(), config_maps.synced());

    let deal = async |key: Key| {
        let Some(namespace) = namespaces.get_key(&key) else { return Ok(Again::No) };
        let account = accounts.get(key.name.as_str(), ACCOUNT);
        let config_map = config_maps.get(key.name.as_str(), CONFIG_MAP);
        let missing = missing(&namespace, account.as_deref(), config_map.as_deref(), &certificate);
        if let Some(account) = missing.account {
            settled(client.create(&account).await)?;
        }
        match missing.config_map {
            Some(config_map) if missing.restore => settled(client.replace(&config_map).await)?,
            Some(config_map) => settled(client.create(&config_map).await)?,
            None => {}
        }
        Ok(Again::No)
    };
    tokio::join!(
        feed(namespaces.clone(), &queue, itself),
        feed(accounts.clone(), &queue, |change| vec![of_namespace(change)]),
        feed(config_maps.clone(), &queue, |change| vec![of_namespace(change)]),
        work("service accounts", &queue, &context.time, deal),
    );
}

fn of_namespace<K: Object>(change: &Change<K>) -> Key {
    Key::new("", change.key.namespace.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace() -> Namespace {
        let metadata = ObjectMeta { name: Some("team-a".to_owned()), ..ObjectMeta::default() };
        Namespace { metadata, ..Namespace::default() }
    }

    #[test]
    fn a_new_namespace_gets_both_and_a_complete_one_nothing() {
        let first = missing(&namespace(), None, None, "PEM");
        let (account, config_map) = (first.account.expect("an account"), first.config_map.expect("a ConfigMap"));
        assert_eq!((account.name(), account.namespace()), ("default", Some("team-a")));
        assert_eq!(config_map.data.as_ref().expect("data")["ca.crt"], "PEM");
        assert_eq!(missing(&namespace(), Some(&account), Some(&config_map), "PEM"), Missing::default());
        let changed = missing(&namespace(), Some(&account), Some(&config_map), "OTHER");
        assert!(changed.restore && changed.config_map.is_some() && changed.account.is_none());
    }

    #[test]
    fn a_namespace_that_is_deleted_gets_nothing() {
        let mut namespace = namespace();
        namespace.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(missing(&namespace, None, None, "PEM"), Missing::default());
    }
}
